"""Transfers of bytes into a slot: windows of long frames in order, or small ones in any order."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from norcim.spec.protocol import (
    ANSWER,
    DATA_ANSWER_WORDS,
    DATA_REQUEST_WORDS,
    DATA_WINDOW_BYTES,
    GRAIN_BYTES,
    PAGE_BYTES,
    SLOT_RANGE_WORDS,
    WRITE_ANSWER_WORDS,
    DataAnswer,
    DataRequest,
    FrameType,
)
from norcim.spec.record import pack_record, unpack_record
from norcim.transport.framing import Frame
from norcim.transport.link import nonsense, stopped_answering
from norcim.transport.noise import DATA_FRAME_BYTES, NOISY
from norcim.transport.wire import Wire, slot_range

_RANGE_BYTES = 4 * SLOT_RANGE_WORDS
_FRAME_BYTES = _RANGE_BYTES + 10
_POLL_S = 0.001


def write_in_order(wire: Wire, slot: int, offset: int, data: bytes) -> bool:
    """Program `data` from `offset` on, in windows of frames as long as the device takes them.

    The last page may wait for the next request. Returns False as soon as the line proves too bad
    for long frames; the sector has to be erased again then. Raises NC-E0632 if the device stops
    answering, or its own error.
    """
    wire.on_slot(FrameType.WRITE, slot, offset)
    end, acknowledged, n_silent = offset + len(data), offset, 0
    while acknowledged < end:
        sent = _send_window(wire, slot, offset, data, acknowledged)
        frames = [(start, stop) for _, start, stop in sent]
        reached = _gather(wire, sent, acknowledged, end)
        for start, stop in frames:
            if stop <= reached:
                wire.noise.record(stop - start + _FRAME_BYTES, lost=False)
            elif start <= reached:  # those after it are not the line's fault
                wire.noise.record(stop - start + _FRAME_BYTES, lost=True)
        wire.n_repeated += reached < frames[-1][1]
        n_silent = 0 if reached > acknowledged else n_silent + 1
        acknowledged = reached
        if n_silent >= wire.patience.tries:
            raise stopped_answering(wire.url, FrameType.WRITE.name)
        if acknowledged < end and wire.noise.errors_per_bit > NOISY:
            return False
    return True


def _send_window(
    wire: Wire, slot: int, offset: int, data: bytes, position: int
) -> deque[tuple[int, int, int]]:
    """Send frames from `position` on; returns number, first and end offset of each."""
    size = wire.max_payload_bytes - _RANGE_BYTES
    sent: deque[tuple[int, int, int]] = deque()
    while position < offset + len(data) and len(sent) < wire.window_frames:
        part = data[position - offset : position - offset + size]
        payload = slot_range(slot, position, len(part)) + part
        sent.append((wire.send(FrameType.WRITE, payload), position, position + len(part)))
        position += len(part)
    return sent


def _gather(wire: Wire, sent: deque[tuple[int, int, int]], acknowledged: int, end: int) -> int:
    """Wait for the answers to a window; returns how far the transfer is.

    An answer tells that all frames before it were answered or lost, so that only the loss of
    the last costs a time-out.
    """
    until = time.monotonic() + wire.patience.answer_s
    while sent:
        answer = wire.receive(until)
        if answer is None or time.monotonic() >= until:
            break
        numbers = [number for number, _, _ in sent]
        if answer.type != FrameType.WRITE | ANSWER or answer.sequence not in numbers:
            continue
        wire.check_status(answer)
        acknowledged = _read_progress(wire, answer, acknowledged, end)
        for _ in range(numbers.index(answer.sequence) + 1):
            sent.popleft()
        until = time.monotonic() + wire.patience.answer_s
    return acknowledged


def _read_progress(wire: Wire, answer: Frame, acknowledged: int, end: int) -> int:
    if len(answer.payload) != 4 * WRITE_ANSWER_WORDS:
        raise nonsense(wire.url, f"WRITE answered with {len(answer.payload)} bytes")
    reached = int.from_bytes(answer.payload, "little")
    if not acknowledged <= reached <= end:
        raise nonsense(wire.url, f"next offset {reached}, between {acknowledged} and {end}")
    return reached


@dataclass
class _Flight:
    """What is known of a transfer in any order.

    base      first page that the device does not have whole; grains: what it has from there on
    sent      by offset of a grain, the count of frames at which it was sent last, from 1 on; 0 for
              one that is given up
    frames    by request number, the frames on their way: count, first and end offset, when it left
    late      those of them that are given up; their answers still tell what the device has
    newest    the highest count of a frame that was answered
    """

    base: int
    end: int
    grains: int = 0
    count: int = 0
    newest: int = 0
    sent: dict[int, int] = field(default_factory=dict)
    frames: dict[int, tuple[int, int, int, float]] = field(default_factory=dict)
    late: dict[int, tuple[int, int, int, float]] = field(default_factory=dict)

    def has(self, offset: int) -> bool:
        """Whether the device has a grain."""
        return offset < self.base or bool(self.grains >> ((offset - self.base) // GRAIN_BYTES) & 1)

    @property
    def missing(self) -> list[int]:
        """Grains within the device's window that it does not have."""
        stop = min(self.base + DATA_WINDOW_BYTES, self.end)
        return [at for at in range(self.base, stop, GRAIN_BYTES) if not self.has(at)]

    def next_run(self, size: int) -> tuple[int, int] | None:
        """First and end offset of at most `size` bytes that were not sent yet, or were lost."""
        due = [at for at in self.missing if self._is_due(at)]
        return _first_run(due, size) if due else None

    def oldest_run(self, size: int) -> tuple[int, int]:
        """What was sent longest ago of what the device may not have."""
        missing = self.missing
        first = min(missing, key=lambda at: self.sent.get(at, 0))
        return _first_run(missing[missing.index(first) :], size)

    def _is_due(self, offset: int) -> bool:
        """Answers come in the order of the frames: what is older than an answered one was lost."""
        count = self.sent.get(offset, 0)
        return count == 0 or count < self.newest


def _first_run(grains: list[int], size: int) -> tuple[int, int]:
    """First and end offset of the grains at the begin of a list that follow each other."""
    first = grains[0]
    n = next((i for i, at in enumerate(grains) if at != first + i * GRAIN_BYTES), len(grains))
    return first, first + min(n * GRAIN_BYTES, size)


def write_in_any_order(wire: Wire, slot: int, offset: int, data: bytes) -> None:
    """As `write_in_order`, in small frames of which only those are sent again that got lost.

    A line that would be idle while answers are awaited repeats what was sent longest ago: on a
    line this bad that costs nothing and often saves the wait.
    """
    wire.on_slot(FrameType.WRITE, slot, offset)
    padded = data + b"\xff" * (-len(data) % GRAIN_BYTES)
    flight = _Flight(offset, offset + len(padded))
    advanced = time.monotonic()
    while flight.missing:
        now = time.monotonic()
        size = wire.noise.data_bytes
        _give_up(wire, flight, now - wire.late_s)
        run = flight.next_run(size)
        if run is None and _has_waited(wire, flight, now):
            run = flight.oldest_run(size)
        if run is not None:
            _send_run(wire, flight, run, padded[run[0] - offset : run[1] - offset])
        answer = wire.receive(now if run is not None else max(wire.idle_from, now + _POLL_S))
        if answer is not None and _take(wire, flight, answer):
            advanced = time.monotonic()
        elif time.monotonic() - advanced > wire.patience.tries * wire.patience.answer_s:
            raise stopped_answering(wire.url, FrameType.DATA.name)


def _has_waited(wire: Wire, flight: _Flight, now: float) -> bool:
    """Whether the line is idle, and an answer is due by what answers take on average."""
    oldest = min((frame[3] for frame in flight.frames.values()), default=0.0)
    return wire.idle_from <= now and now - oldest >= wire.answer_s


def _send_run(wire: Wire, flight: _Flight, run: tuple[int, int], part: bytes) -> None:
    request = pack_record(DataRequest(run[0]), DATA_REQUEST_WORDS)
    number = wire.send(FrameType.DATA, request + part)
    flight.count += 1
    flight.frames[number] = (flight.count, *run, wire.idle_from)
    for at in range(*run, GRAIN_BYTES):
        wire.n_repeated += at == run[0] and at in flight.sent
        flight.sent[at] = flight.count


def _give_up(wire: Wire, flight: _Flight, late: float) -> None:
    """Frames that left before a time and were not answered are lost."""
    for number in [n for n, frame in flight.frames.items() if frame[3] < late]:
        flight.late[number] = flight.frames.pop(number)
        count, first, last, _ = flight.late[number]
        wire.noise.record(last - first + DATA_FRAME_BYTES, lost=True)
        for at in range(first, last, GRAIN_BYTES):
            if flight.sent[at] == count:
                flight.sent[at] = 0


def _take(wire: Wire, flight: _Flight, answer: Frame) -> bool:
    """Take an answer in; whether the device has more than before."""
    frame = flight.frames.get(answer.sequence) or flight.late.get(answer.sequence)
    if answer.type != FrameType.DATA | ANSWER or frame is None:
        return False
    wire.check_status(answer)
    if len(answer.payload) != 4 * DATA_ANSWER_WORDS:
        raise nonsense(wire.url, f"DATA answered with {len(answer.payload)} bytes")
    found = unpack_record(DataAnswer, answer.payload)
    step = found.base - flight.base
    if step < 0 or step % PAGE_BYTES or found.base - flight.end >= PAGE_BYTES:
        raise nonsense(wire.url, f"page {found.base} after {flight.base}, of {flight.end}")
    has_advanced = (found.base, found.grains) != (flight.base, flight.grains)
    flight.base, flight.grains = found.base, found.grains
    now = time.monotonic()
    wire.note_answer(now - frame[3])
    if frame[3] > now:  # the line is faster than its rate says
        wire.idle_from -= frame[3] - now
        flight.frames = {
            number: (*other[:3], other[3] - (frame[3] - now))
            for number, other in flight.frames.items()
        }
    flight.newest = max(flight.newest, frame[0])
    for number in [n for n, other in flight.frames.items() if other[0] <= flight.newest]:
        _, first, last, _ = flight.frames.pop(number)
        lost = not all(flight.has(at) for at in range(first, last, GRAIN_BYTES))
        wire.noise.record(last - first + DATA_FRAME_BYTES, lost=lost)
    return has_advanced
