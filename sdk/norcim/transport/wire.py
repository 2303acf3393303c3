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
    DEFAULT_BAUD,
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
from norcim.transport.noise import Noise

_LEAST_PAUSE_S = 0.002
_BITS_A_BYTE = 10  #: on a serial line: a start and a stop bit each

_QUICK = frozenset({FrameType.HELLO, FrameType.ERASE, FrameType.WRITE, FrameType.READ,
                    FrameType.LOG, FrameType.COUNTERS})  # fmt: skip
"""What most devices answer at once; to be asked again early does them no harm."""


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


SIMULATED = Patience(answer_s=2.0, erase_s=60.0, image_s=600.0)
"""For a virtual board: its second takes 25 to 50 of a processor's, and a busy machine has less."""


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
        self.patience = patience or Patience()
        self._reader = FrameReader()
        self._answers: deque[Frame] = deque()
        self._sequence = random.SystemRandom().randrange(1 << 16)
        self.n_sent_frames = 0
        self.n_repeated = 0  #: requests, windows and frames that were sent again
        self.noise = Noise()
        self.idle_from = 0.0  #: when all that was sent will have left, by the line's rate
        self._answer_s: float | None = None
        self._spread_s = 0.0
        self._usual_s: dict[FrameType, float] = {}  #: till the answer to a request sent once
        self._byte_s = _BITS_A_BYTE / DEFAULT_BAUD
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
        patience = self.patience
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
        answer = self._exchange(type, payload, self.patience.limit_s(type))
        if answer is None:
            raise stopped_answering(self.url, type.name)
        self.check_status(answer)
        return answer.payload

    def check_status(self, answer: Frame) -> None:
        """Raise the device's own error if it refuses."""
        if answer.status:
            stopped_at = answer.payload[:4]
            raise self._refused(
                answer.status, int.from_bytes(stopped_at, "little") if stopped_at else None
            )

    def note_answer(self, seconds: float) -> None:
        """Learn from the time between a frame that has left and its answer."""
        seconds = max(seconds, 0.0)
        if self._answer_s is None:
            self._answer_s, self._spread_s = seconds, seconds / 2
            return
        self._spread_s += (abs(seconds - self._answer_s) - self._spread_s) / 4
        self._answer_s += (seconds - self._answer_s) / 8

    @property
    def answer_s(self) -> float:
        """How long after a frame has left its answer comes on average."""
        return self.patience.answer_s / 4 if self._answer_s is None else self._answer_s

    @property
    def late_s(self) -> float:
        """How long after a frame has left its answer counts as late (as in RFC 6298)."""
        if self._answer_s is None:
            return self.patience.answer_s / 4
        late_s = self._answer_s + max(4 * self._spread_s, _LEAST_PAUSE_S)
        return min(late_s, self.patience.answer_s)

    def on_slot(self, type: FrameType, slot: int, offset: int = 0, length: int = 0) -> bytes:
        """A request about bytes of a slot; its answer's payload."""
        return self.request(type, slot_range(slot, offset, length))

    def set_baud(self, baud: int) -> None:
        """Forget what came at the old rate and go on at another."""
        self._stream.set_baud(baud)
        self._byte_s = _BITS_A_BYTE / baud
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

    def send(self, type: FrameType, payload: bytes) -> int:
        """Send a new request; returns its number."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._write(Frame(type, 0, self._sequence, payload))
        self.n_sent_frames += 1
        return self._sequence

    def _write(self, frame: Frame) -> None:
        data = encode_frame(frame)
        self._stream.write(data)
        self.idle_from = max(self.idle_from, time.monotonic()) + len(data) * self._byte_s

    def _exchange(self, type: FrameType, payload: bytes, limit_s: float) -> Frame | None:
        """Send a request until its answer comes, less and less often; None after `limit_s`."""
        sequence = self.send(type, payload)
        begin = time.monotonic()
        next_try, n_again = begin + self._pause_s(type, 0), 0
        while True:
            answer = self.receive(next_try)
            now = time.monotonic()
            if answer and (answer.sequence, answer.type) == (sequence, type | ANSWER):
                self.idle_from = min(self.idle_from, now)
                if n_again == 0:
                    self._note_usual(type, now - begin)
                return answer
            if now < next_try:
                continue
            if now - begin >= limit_s and n_again >= self.patience.tries - 1:
                return None
            self.n_repeated += 1
            n_again += 1
            self._write(Frame(type, 0, sequence, payload))
            next_try = now + self._pause_s(type, n_again)
            if now < begin + limit_s:
                next_try = min(next_try, begin + limit_s)

    def _pause_s(self, type: FrameType, n_again: int) -> float:
        """How long to wait before a request is sent again: not long on a line that loses much."""
        patience = self.patience
        if type not in _QUICK:
            return float(patience.answer_s * 1.5**n_again)  # it may be busy with what it was asked
        if not self.n_repeated:
            return patience.answer_s
        usual_s = self._usual_s.get(type, patience.answer_s / 4)
        return float(min(usual_s * 1.25**n_again, patience.answer_s))

    def _note_usual(self, type: FrameType, seconds: float) -> None:
        before = self._usual_s.get(type, seconds)
        self._usual_s[type] = max(1.5 * seconds, 0.9 * before, 5 * _LEAST_PAUSE_S)

    def receive(self, until: float) -> Frame | None:
        """The next good frame, None if none comes until then."""
        while not self._answers:
            left_s = until - time.monotonic()
            data = self._stream.read(max(left_s, 0.0))
            self._answers.extend(self._reader.feed(data))
            if left_s <= 0 and not self._answers:
                return None
        return self._answers.popleft()


def slot_range(slot: int, offset: int, length: int) -> bytes:
    """The record that begins a request about bytes of a slot."""
    return pack_record(SlotRange(slot, offset, length), SLOT_RANGE_WORDS)
