"""The host's end of the wire protocol over any byte stream: requests, retries, transfers.

Pure: time and bytes come from the stream. A request that is not answered is sent again under its
number, which a device never executes twice; a transfer goes back to what the device has.
"""

from __future__ import annotations

import random
import time
from collections import deque
from dataclasses import dataclass

from norcim.spec.error_codes import DeviceError
from norcim.spec.image_format import CHIP_HASH, CHIP_NAME
from norcim.spec.protocol import (
    ANSWER,
    ANSWER_TIMEOUT_MS,
    ERASE_TIMEOUT_MS,
    HELLO_ANSWER_WORDS,
    IMAGE_TIMEOUT_MS,
    MAX_PAYLOAD_BYTES,
    MAX_WINDOW_FRAMES,
    MIN_PAYLOAD_BYTES,
    N_SLOTS,
    PROTOCOL_VERSION,
    SECTOR_BYTES,
    SLOT_RANGE_WORDS,
    WRITE_ANSWER_WORDS,
    FrameType,
    HelloAnswer,
    SlotRange,
)
from norcim.spec.record import pack_record, unpack_record
from norcim.transport.faults import device_error
from norcim.transport.framing import Frame, FrameReader, encode_frame
from norcim.transport.link import (
    ByteStream,
    nonsense,
    nothing_answers,
    other_protocol,
    stopped_answering,
)

_RANGE_BYTES = 4 * SLOT_RANGE_WORDS


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds. tries: how often a request is sent before it is given up."""

    answer_s: float = ANSWER_TIMEOUT_MS / 1000
    erase_s: float = ERASE_TIMEOUT_MS / 1000
    image_s: float = IMAGE_TIMEOUT_MS / 1000
    tries: int = 6

    def limit_s(self, type: FrameType) -> float:
        """After what time without an answer a device is given up."""
        long = {FrameType.ERASE: self.erase_s, FrameType.VERIFY: self.image_s,
                FrameType.ACTIVATE: self.image_s, FrameType.RUN: self.image_s}  # fmt: skip
        return max(long.get(type, 0.0), self.tries * self.answer_s)


@dataclass(frozen=True)
class Hello:
    """Who answered: its record, chip name and chip hash."""

    record: HelloAnswer
    chip: str
    chip_hash: str


class Wire:
    """A connection on which a device answers."""

    def __init__(self, stream: ByteStream, patience: Patience | None = None) -> None:
        self._stream = stream
        self._patience = patience or Patience()
        self._reader = FrameReader()
        self._answers: deque[Frame] = deque()
        self._sequence = random.SystemRandom().randrange(1 << 16)
        self.n_sent_frames = 0
        self.n_repeated = 0  #: requests and windows that were sent again
        self.max_payload_bytes = MIN_PAYLOAD_BYTES
        self.window_frames = 1

    @property
    def url(self) -> str:
        """The connection's name."""
        return self._stream.url

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()

    def hello(self, *, after_restart: bool = False) -> Hello:
        """Ask who is there, and go by what it says.

        after_restart  wait as long as a device may take to check and load its image
        Raises NC-E0631 if nothing answers, NC-E0633 for another protocol, NC-E0634 for nonsense.
        """
        self._stream.write(b"\0")  # ends whatever an earlier session left unfinished
        patience = self._patience
        limit_s = patience.image_s if after_restart else patience.tries * patience.answer_s
        answer = self._exchange(FrameType.HELLO, b"", limit_s)
        if answer is None:
            raise nothing_answers(self.url)
        data = answer.payload
        n_record = 4 * HELLO_ANSWER_WORDS
        if answer.status or not data:
            raise nonsense(self.url, f"HELLO of {len(data)} bytes, status {answer.status}")
        if data[0] != PROTOCOL_VERSION:
            raise other_protocol(self.url, data[0])
        if len(data) != n_record + CHIP_NAME.n_bytes + CHIP_HASH.n_bytes:
            raise nonsense(self.url, f"HELLO of {len(data)} bytes")
        record = unpack_record(HelloAnswer, data[:n_record])
        self._check_hello(record)
        self.max_payload_bytes = record.max_payload_bytes
        self.window_frames = min(record.window_frames, MAX_WINDOW_FRAMES)
        name, chip_hash = data[n_record : n_record + 32], data[n_record + 32 :]
        chip = name.rstrip(b"\0").decode("ascii", "replace")
        return Hello(record, chip, chip_hash.hex() if chip else "")

    def request(self, type: FrameType, payload: bytes = b"") -> bytes:
        """One request; its answer's payload.

        Raises NC-E0632 if no answer comes, and the device's own error if it refuses.
        """
        answer = self._exchange(type, payload, self._patience.limit_s(type))
        if answer is None:
            raise stopped_answering(self.url, type.name)
        if answer.status:
            stopped_at = answer.payload[:4]
            raise self._refused(
                answer.status, int.from_bytes(stopped_at, "little") if stopped_at else None
            )
        return answer.payload

    def on_slot(self, type: FrameType, slot: int, offset: int = 0, length: int = 0) -> bytes:
        """A request about bytes of a slot; its answer's payload."""
        return self.request(type, _range(slot, offset, length))

    def transfer(self, slot: int, offset: int, data: bytes) -> None:
        """Program `data` from `offset` on, in windows of frames; the last page may wait for the
        next request. Raises NC-E0632 if the device stops answering, or its own error."""
        self.on_slot(FrameType.WRITE, slot, offset)
        end, acknowledged, n_silent = offset + len(data), offset, 0
        while acknowledged < end:
            sent = self._send_window(slot, offset, data, acknowledged)
            last_sent = sent[-1][1]
            reached = self._gather(sent, acknowledged, end)
            self.n_repeated += reached < last_sent
            n_silent = 0 if reached > acknowledged else n_silent + 1
            acknowledged = reached
            if n_silent >= self._patience.tries:
                raise stopped_answering(self.url, FrameType.WRITE.name)

    def set_baud(self, baud: int) -> None:
        """Forget what came at the old rate and go on at another."""
        self._stream.set_baud(baud)
        self._reader = FrameReader()
        self._answers.clear()

    def _check_hello(self, record: HelloAnswer) -> None:
        wrong = {
            "payload": not MIN_PAYLOAD_BYTES <= record.max_payload_bytes <= MAX_PAYLOAD_BYTES,
            "window": record.window_frames < 1,
            "slots": record.n_slots != N_SLOTS,
            "slot size": record.slot_bytes < 1 or bool(record.slot_bytes % SECTOR_BYTES),
        }
        if any(wrong.values()):
            raise nonsense(
                self.url, ", ".join(name for name, is_wrong in wrong.items() if is_wrong)
            )

    def _refused(self, status: int, descriptor: int | None) -> Exception:
        try:
            code = DeviceError(status)
        except ValueError:
            return nonsense(self.url, f"status {status:#x}")
        return device_error(code, self.url, descriptor=descriptor)

    def _send(self, type: FrameType, payload: bytes) -> int:
        """Send a new request; returns its number."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._stream.write(encode_frame(Frame(type, 0, self._sequence, payload)))
        self.n_sent_frames += 1
        return self._sequence

    def _exchange(self, type: FrameType, payload: bytes, limit_s: float) -> Frame | None:
        """Send a request until its answer comes, less and less often; None after `limit_s`."""
        sequence = self._send(type, payload)
        begin = time.monotonic()
        pause_s = self._patience.answer_s
        next_try = begin + pause_s
        while True:
            answer = self._receive(next_try)
            if answer and (answer.sequence, answer.type) == (sequence, type | ANSWER):
                return answer
            now = time.monotonic()
            if now < next_try:
                continue
            if now - begin >= limit_s:
                return None
            self.n_repeated += 1
            self._stream.write(encode_frame(Frame(type, 0, sequence, payload)))
            if limit_s > self._patience.tries * self._patience.answer_s:
                pause_s *= 1.5  # it may be busy with what it was asked
            next_try = min(now + pause_s, begin + limit_s)

    def _receive(self, until: float) -> Frame | None:
        """The next good frame, None if none comes until then."""
        while not self._answers:
            left_s = until - time.monotonic()
            data = self._stream.read(max(left_s, 0.0))
            self._answers.extend(self._reader.feed(data))
            if left_s <= 0 and not self._answers:
                return None
        return self._answers.popleft()

    def _send_window(
        self, slot: int, offset: int, data: bytes, position: int
    ) -> deque[tuple[int, int]]:
        """Send frames from `position` on; returns number and end offset of each."""
        size = self.max_payload_bytes - _RANGE_BYTES
        sent: deque[tuple[int, int]] = deque()
        while position < offset + len(data) and len(sent) < self.window_frames:
            part = data[position - offset : position - offset + size]
            payload = _range(slot, position, len(part)) + part
            position += len(part)
            sent.append((self._send(FrameType.WRITE, payload), position))
        return sent

    def _gather(self, sent: deque[tuple[int, int]], acknowledged: int, end: int) -> int:
        """Wait for the answers to a window; returns how far the transfer is.

        An answer tells that all frames before it were answered or lost, so that only the loss of
        the last costs a time-out.
        """
        until = time.monotonic() + self._patience.answer_s
        while sent:
            answer = self._receive(until)
            if answer is None or time.monotonic() >= until:
                break
            numbers = [number for number, _ in sent]
            if answer.type != FrameType.WRITE | ANSWER or answer.sequence not in numbers:
                continue
            if answer.status:
                raise self._refused(answer.status, None)
            acknowledged = self._read_progress(answer, acknowledged, end)
            for _ in range(numbers.index(answer.sequence) + 1):
                sent.popleft()
            until = time.monotonic() + self._patience.answer_s
        return acknowledged

    def _read_progress(self, answer: Frame, acknowledged: int, end: int) -> int:
        if len(answer.payload) != 4 * WRITE_ANSWER_WORDS:
            raise nonsense(self.url, f"WRITE answered with {len(answer.payload)} bytes")
        reached = int.from_bytes(answer.payload, "little")
        if not acknowledged <= reached <= end:
            raise nonsense(self.url, f"next offset {reached}, between {acknowledged} and {end}")
        return reached


def _range(slot: int, offset: int, length: int) -> bytes:
    return pack_record(SlotRange(slot, offset, length), SLOT_RANGE_WORDS)
