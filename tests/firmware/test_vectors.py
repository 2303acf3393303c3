"""CRC, COBS, SHA-256, frames and softmax: the C against Python's."""

from __future__ import annotations

import hashlib
import random
import zlib

import numpy as np
import pytest

from norcim import arith
from norcim.transport.framing import (
    Frame,
    FrameReader,
    cobs_decode,
    cobs_encode,
    encode_frame,
)
from tests.firmware.native import Library, NativeDevice, NorFlash

EDGES = [
    b"", b"\0", b"\0\0", b"\1", b"\xff" * 253, b"\xff" * 254, b"\xff" * 255, b"a" * 254 + b"\0",
    b"a" * 254 + b"\0b", b"\0" + b"a" * 254, b"a" * 508, b"a" * 509, b"\0" * 300,
]  # fmt: skip


def _random_bytes(rng: random.Random) -> bytes:
    n, zeros = rng.randrange(1040), rng.choice((0, 1, 50))
    return bytes(0 if rng.randrange(100) < zeros else rng.randrange(1, 256) for _ in range(n))


def test_crc_of_the_standard_vector(lib: Library) -> None:
    assert lib.crc32(b"123456789") == 0xCBF43926


def test_crc_in_pieces(lib: Library) -> None:
    rng = random.Random(1)
    for _ in range(200):
        a, b = _random_bytes(rng), _random_bytes(rng)
        assert lib.crc32(b, lib.crc32(a)) == zlib.crc32(a + b)


def test_cobs_known_answers() -> None:
    """From the paper: S. Cheshire, M. Baker, Consistent Overhead Byte Stuffing, 1999."""
    assert cobs_encode(b"") == b"\1"
    assert cobs_encode(b"\0") == b"\1\1"
    assert cobs_encode(b"\x11\x22\0\x33") == b"\3\x11\x22\2\x33"
    assert cobs_encode(bytes(range(1, 255))) == b"\xff" + bytes(range(1, 255))


def test_cobs_is_the_same_and_comes_back(lib: Library) -> None:
    rng = random.Random(2)
    for data in [*EDGES, *(_random_bytes(rng) for _ in range(400))]:
        encoded = cobs_encode(data)
        assert 0 not in encoded
        assert lib.cobs_encode(data) == encoded
        assert cobs_decode(encoded) == lib.cobs_decode(encoded) == data


def test_cobs_refuses_the_same(lib: Library) -> None:
    rng = random.Random(3)
    for _ in range(2000):
        data = bytes(rng.choice((1, 2, 3, 5, 255, 0)) for _ in range(rng.randrange(12)))
        assert (cobs_decode(data) or b"") == lib.cobs_decode(data)


@pytest.mark.parametrize("n", [0, 1, 3, 55, 56, 57, 63, 64, 65, 119, 120, 128, 5000])
def test_sha_in_pieces(lib: Library, n: int) -> None:
    rng = random.Random(n)
    data, pieces, at = rng.randbytes(n), [], 0
    while at < n:
        size = rng.randrange(1, 90)
        pieces.append(data[at : at + size])
        at += size
    assert lib.sha256(pieces) == hashlib.sha256(data).digest()


def test_every_length_of_payload_comes_back() -> None:
    reader, rng = FrameReader(), random.Random(4)
    for n in (*range(260), 507, 508, 509, 1023, 1024):
        frame = Frame(3, 0, n, rng.randbytes(n))
        encoded = encode_frame(frame)
        assert len(encoded) <= n + 14
        assert reader.feed(encoded) == [frame]


def test_device_drops_what_is_broken_and_answers_what_is_whole(lib: Library) -> None:
    device, hello = NativeDevice(lib, NorFlash(7)), encode_frame(Frame(1, 0, 9, b""))
    answer = device.take(hello)
    assert FrameReader().feed(answer)[0].sequence == 9
    for offset in range(len(hello)):
        for value in (0, hello[offset] ^ 1, 0xFF):
            broken = bytearray(hello)
            broken[offset] = value
            if bytes(broken) != hello:
                device.take(bytes(broken) + b"\0")
                assert device.out == b"", offset
                assert device.take(b"\0" + hello) == answer
    assert device.take(b"x" * 5000) == b""
    assert device.take(b"\0" + hello) == answer


def test_softmax_is_bit_exact(lib: Library) -> None:
    rng = np.random.default_rng(5)
    cases = [(np.full(n, v, np.uint8), 1) for n in (1, 2, 300) for v in (0, 127, 128, 255)]
    cases += [(np.array([128, 127], np.uint8), 1), (np.array([0, 255], np.uint8), 0)]
    cases += [
        (rng.integers(0, 256, rng.integers(1, 1500)).astype(np.uint8), int(rng.integers(2)))
        for _ in range(300)
    ]
    for index, (codes, signed) in enumerate(cases):
        table = arith.softmax_table(float(rng.choice([1e-4, 0.01, 0.1, 1, 9])))
        zp, hi = ((-128, 127), (0, 255), (0, 127), (-20, 90))[index % 4]
        values = codes.view(np.int8) if signed else codes
        due = (arith.softmax(values, table, zp, hi) & 0xFF).astype(np.uint8).tobytes()
        raw = table.astype("<u2").tobytes()
        found = lib.softmax(codes.tobytes(), raw, signed, zp, hi, (1, 7, 256)[index % 3])
        assert found == due
