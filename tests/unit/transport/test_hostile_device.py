"""A device whose answers are wrong in any way: every call ends, well or with an error."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from norcim.errors import NorcimError
from norcim.image import build_image
from norcim.spec.image_format import HEADER_BYTES
from norcim.spec.program import PORT_WORDS, Port
from norcim.spec.protocol import ANSWER, COUNTER_RECORD_WORDS, FrameType
from norcim.spec.record import pack_record
from norcim.transport.board import Board
from norcim.transport.framing import Frame, encode_frame
from norcim.transport.wire import Patience
from tests.unit.image.sample import sample_content
from tests.unit.transport.test_wire import FakeStream, hello_bytes, reply

IMPATIENT = Patience(answer_s=0.001, erase_s=0.002, image_s=0.002, tries=2)
MOST_REQUESTS = 2000
IMAGE = build_image(sample_content())

CALLS: dict[str, Callable[[Board], object]] = {
    "info": lambda board: board.info(),
    "activate": lambda board: board.activate(1),
    "load": lambda board: board.load(0),
    "verify": lambda board: board.verify(0),
    "write": lambda board: board.write(0, IMAGE),
    "run": lambda board: board.run([bytes(8)]),
    "counters": lambda board: board.counters(),
    "step": lambda board: board.step(0, 9),
    "memory": lambda board: board.read_memory(0, 500),
    "log": lambda board: board.log(),
    "reset": lambda board: board.reset(),
    "baud": lambda board: board.set_baud(460_800),
}


def payload_for(rng: random.Random) -> bytes:
    """An answer of a right or a wrong length, with anything in it."""
    lengths = (0, 1, 4, 8, 12, 20, 32, 64, 200, 256, 1024, rng.randrange(1025))
    return rng.choice((rng.randbytes, bytes))(rng.choice(lengths))


def hostile(rng: random.Random) -> Callable[[Frame], bytes]:
    """Answers HELLO well at first, then everything in one of many wrong ways, or well."""
    n_seen = 0

    def answer(frame: Frame) -> bytes:
        nonlocal n_seen
        n_seen += 1
        if frame.type == FrameType.HELLO and (n_seen == 1 or rng.random() < 0.7):
            return reply(frame, hello_bytes())
        good = encode_frame(Frame(frame.type | ANSWER, 0, frame.sequence, payload_for(rng)))
        flipped = bytearray(good)
        flipped[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        other = Frame(
            rng.randrange(256), rng.randrange(256), rng.randrange(1 << 16), rng.randbytes(9)
        )
        status = Frame(frame.type | ANSWER, rng.randrange(256), frame.sequence, rng.randbytes(4))
        ways = (good, good, good, bytes(flipped), good[: rng.randrange(len(good))], good + good,
                b"", rng.randbytes(2000), encode_frame(other) + good, encode_frame(status),
                b"\0" * 500)  # fmt: skip
        return rng.choice(ways)

    return answer


@pytest.mark.parametrize("name", CALLS)
def test_whatever_is_answered(name: str) -> None:
    for seed in range(60):
        stream = FakeStream(hostile(random.Random(f"{name} {seed}")))
        error = None
        try:
            CALLS[name](Board(stream, IMPATIENT))
        except NorcimError as found:
            error = found
        assert error is None or error.exit_code in (3, 5), f"seed {seed}: {error}"
        assert len(stream.seen) < MOST_REQUESTS, f"seed {seed}"


def greeted(then: Callable[[Frame], bytes]) -> Board:
    """A board whose device says HELLO well."""
    return Board(
        FakeStream(lambda f: reply(f, hello_bytes()) if f.type == FrameType.HELLO else then(f)),
        IMPATIENT,
    )


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(NorcimError) as caught:
        call()
    return caught.value.id


def test_counters_without_end() -> None:
    board = greeted(lambda frame: reply(frame, bytes(4 * COUNTER_RECORD_WORDS * 20)))
    assert refused(board.counters) == "NC-E0634"


def test_a_log_of_single_bytes_without_end() -> None:
    assert greeted(lambda frame: reply(frame, b"x")).log() == ["x" * 1024]


def test_a_port_larger_than_any_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its image is never checked on the host: it is on the device only."""
    board = greeted(lambda frame: reply(frame))
    port = pack_record(Port(h=0xFFFF, w=0xFFFF, c=0xFFFF), PORT_WORDS)
    monkeypatch.setattr(board, "info", lambda: type("Info", (), {"loaded_slot": 0}))
    monkeypatch.setattr(
        board,
        "_read",
        lambda slot, offset, length: (
            IMAGE[:HEADER_BYTES] if offset == 0 else (port * (length // len(port)))[:length]
        ),
    )
    assert refused(board._loaded_networks) == "NC-E0634"
