"""The host's end of the wire against devices that are slow, broken or hostile."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from norcim.errors import NorcimError
from norcim.spec.protocol import ANSWER, FrameType, HelloAnswer
from norcim.spec.record import pack_record
from norcim.transport.board import Board
from norcim.transport.framing import Frame, FrameReader, encode_frame
from norcim.transport.loaded import LoadedNetwork
from norcim.transport.transfer import write_in_any_order, write_in_order
from norcim.transport.wire import Patience, Wire

QUICK = Patience(answer_s=0.01, erase_s=0.02, image_s=0.02, tries=3)
GOOD = HelloAnswer(
    version=1, window_frames=4, max_payload_bytes=200, abi_level=1, n_slots=2, slot_bytes=8192,
    active_slot=255, loaded_slot=255,
)  # fmt: skip


def hello_bytes(record: HelloAnswer = GOOD, tail: int = 64) -> bytes:
    return pack_record(record, 15) + bytes(tail)


Answer = Callable[[Frame], bytes]


class FakeStream:
    """Answers each request at once, as `answer` says."""

    url = "fake"

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._reader = FrameReader()
        self._pending = b""
        self.seen: list[Frame] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            self.seen.append(frame)
            self._pending += self._answer(frame)

    def read(self, timeout_s: float) -> bytes:
        data, self._pending = self._pending, b""
        return data

    def set_baud(self, baud: int) -> None:
        self._pending = b""

    def close(self) -> None:
        self.is_closed = True


def reply(frame: Frame, payload: bytes = b"", status: int = 0) -> bytes:
    return encode_frame(Frame(frame.type | ANSWER, status, frame.sequence, payload))


def _greets(then: Answer) -> Answer:
    """A device with a good HELLO."""
    return lambda f: reply(f, hello_bytes()) if f.type == FrameType.HELLO else then(f)


def _id(call: Callable[[], object]) -> str:
    with pytest.raises(NorcimError) as caught:
        call()
    assert caught.value.exit_code == 5
    return caught.value.id


def test_hello_that_nobody_answers_closes_the_port() -> None:
    stream = FakeStream(lambda frame: b"")
    assert _id(lambda: Board(stream, QUICK)) == "NC-E0631"
    assert stream.is_closed
    assert len(stream.seen) >= 3


@pytest.mark.parametrize("noise", [b"\0", b"login: ", b"\xff" * 3000, bytes(range(256)) * 3])
def test_port_that_only_makes_noise(noise: bytes) -> None:
    class Noisy(FakeStream):
        def read(self, timeout_s: float) -> bytes:
            return noise

    assert _id(Wire(Noisy(lambda frame: b""), QUICK).hello) == "NC-E0631"


def test_echo_is_no_device() -> None:
    assert _id(Wire(FakeStream(encode_frame), QUICK).hello) == "NC-E0631"


def test_other_protocol_version() -> None:
    data = bytes([2]) + hello_bytes()[1:]
    wire = Wire(FakeStream(lambda frame: reply(frame, data)), QUICK)
    assert _id(wire.hello) == "NC-E0633"


@pytest.mark.parametrize(
    "record",
    [
        HelloAnswer(**{**vars(GOOD), name: value})
        for name, value in [
            ("window_frames", 0), ("max_payload_bytes", 159), ("max_payload_bytes", 1025),
            ("n_slots", 3), ("slot_bytes", 0), ("slot_bytes", 4097),
        ]
    ],
)  # fmt: skip
def test_hello_that_makes_no_sense(record: HelloAnswer) -> None:
    wire = Wire(FakeStream(lambda frame: reply(frame, hello_bytes(record))), QUICK)
    assert _id(wire.hello) == "NC-E0634"


@pytest.mark.parametrize("tail", [0, 63, 65, 400])
def test_hello_of_the_wrong_length(tail: int) -> None:
    wire = Wire(FakeStream(lambda frame: reply(frame, hello_bytes(tail=tail))), QUICK)
    assert _id(wire.hello) == "NC-E0634"


def test_request_is_sent_again_under_its_number() -> None:
    stream = FakeStream(lambda f: reply(f) if len(stream.seen) == 3 else b"")
    Wire(stream, QUICK).request(FrameType.LOG)
    assert len({frame.sequence for frame in stream.seen}) == 1


def test_answers_to_other_requests_are_passed_over() -> None:
    def late(frame: Frame) -> bytes:
        old = Frame(frame.type, 0, (frame.sequence - 1) & 0xFFFF, b"")
        other = Frame(FrameType.READ, 0, frame.sequence, b"")
        return reply(old, b"old") + reply(other, b"other") + reply(frame, b"new") * 2

    wire = Wire(FakeStream(late), QUICK)
    assert wire.request(FrameType.LOG) == b"new"
    assert wire.request(FrameType.LOG) == b"new"


def test_device_that_floods_with_other_answers_is_given_up() -> None:
    class Flood(FakeStream):
        def read(self, timeout_s: float) -> bytes:
            return reply(Frame(FrameType.READ, 0, 1, b""), b"x") * 20

    assert _id(lambda: Wire(Flood(lambda f: b""), QUICK).request(FrameType.LOG)) == "NC-E0632"


def test_unknown_status_makes_no_sense() -> None:
    wire = Wire(FakeStream(lambda frame: reply(frame, b"", 0xEE)), QUICK)
    assert _id(lambda: wire.request(FrameType.LOG)) == "NC-E0634"


@pytest.mark.parametrize("next_offset", [0, 255, 857, 10_000])
def test_transfer_that_goes_where_it_cannot(next_offset: int) -> None:
    """Backwards before what it acknowledged, or beyond the end."""
    answer = next_offset.to_bytes(4, "little")
    wire = Wire(FakeStream(lambda frame: reply(frame, answer)), QUICK)
    assert _id(lambda: write_in_order(wire, 0, 256, bytes(600))) == "NC-E0634"


def test_window_is_what_hello_says() -> None:
    """Four frames of 200 - 12 bytes at most wait for an answer."""
    waiting: list[Frame] = []
    most = 0

    class Slow(FakeStream):
        def read(self, timeout_s: float) -> bytes:
            nonlocal most
            most = max(most, len(waiting))
            if self._pending or not waiting:
                return super().read(timeout_s)
            frame = waiting.pop(0)
            ends = [int.from_bytes(frame.payload[at : at + 4], "little") for at in (4, 8)]
            return reply(frame, sum(ends).to_bytes(4, "little"))

    def collect(frame: Frame) -> bytes:
        if len(frame.payload) > 12:
            waiting.append(frame)
            return b""
        return reply(frame, bytes(4))

    wire = Wire(Slow(_greets(collect)), QUICK)
    wire.hello()
    write_in_order(wire, 0, 0, bytes(5000))
    assert most == 4


def test_transfer_that_never_advances_is_given_up() -> None:
    """First the long frames, then the small ones."""
    answer = (256).to_bytes(4, "little")
    wire = Wire(FakeStream(lambda frame: reply(frame, answer)), QUICK)
    assert not write_in_order(wire, 0, 256, bytes(600))
    wire = Wire(FakeStream(lambda frame: reply(frame, _state(256, 1))), QUICK)
    assert _id(lambda: write_in_any_order(wire, 0, 256, bytes(600))) == "NC-E0632"


def _state(base: int, grains: int) -> bytes:
    return base.to_bytes(4, "little") + grains.to_bytes(4, "little")


@pytest.mark.parametrize(
    "answer", [b"", _state(0, 0), _state(300, 0), _state(1280, 0), _state(256, 0)[:7]]
)
def test_data_that_goes_where_it_cannot(answer: bytes) -> None:
    """Before the transfer, into a page, beyond its end, or no such answer."""
    wire = Wire(FakeStream(lambda frame: reply(frame, answer)), QUICK)
    assert _id(lambda: write_in_any_order(wire, 0, 256, bytes(600))) == "NC-E0634"


@pytest.mark.parametrize(
    "call",
    [
        lambda board: board.verify(0),
        lambda board: board._hash(0, 0, 4),
        lambda board: board.counters(),
        lambda board: board._read(0, 0, 64),
        lambda board: board._run_sample(LoadedNetwork(0, None, 0, 0, (8,), (4,)), bytes(8)),
        lambda board: board.write(0, b""),
    ],
)
def test_answers_of_the_wrong_length(call: Callable[[Board], object]) -> None:
    board = Board(FakeStream(_greets(lambda frame: reply(frame, b"12345"))), QUICK)
    with pytest.raises(NorcimError):
        call(board)


def test_endless_log_ends() -> None:
    board = Board(FakeStream(_greets(lambda frame: reply(frame, b"x\n" * 512))), QUICK)
    assert len(board.log()) == 1 << 19


def test_device_that_takes_long_to_restart() -> None:
    """Silent for longer than any answer takes, while it loads its image."""
    begin = 0.0

    def restart(frame: Frame) -> bytes:
        nonlocal begin
        if frame.type == FrameType.RESET:
            begin = time.monotonic()
            return reply(frame)
        return b"" if time.monotonic() - begin < 0.1 else reply(frame, hello_bytes())

    Board(FakeStream(restart), Patience(answer_s=0.01, image_s=5.0, tries=3)).reset()
    assert time.monotonic() - begin >= 0.1


def test_closed_device_says_so() -> None:
    board = Board(FakeStream(_greets(reply)), QUICK)
    board.close()
    assert _id(board.info) == "NC-E0604"


def test_reader_survives_whatever_comes() -> None:
    rng = random.Random(1)
    reader = FrameReader()
    good = [encode_frame(Frame(3, 0, n, rng.randbytes(n))) for n in range(0, 600, 50)]
    for _ in range(3000):
        data = bytearray(rng.choice(good))
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        end = len(data) if rng.randrange(5) else rng.randrange(len(data))
        for frame in reader.feed(bytes(data[:end])):
            assert encode_frame(frame) in good
    reader.feed(b"\0")
    assert len(reader.feed(good[3])) == 1
    assert reader.n_broken > 1000
