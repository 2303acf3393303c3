"""Frames of the wire protocol: COBS, CRC-32 and a reader that takes bytes as they come."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from norcim.spec.protocol import (
    FRAME_HEADER_WORDS,
    FRAME_OVERHEAD_BYTES,
    MAX_PAYLOAD_BYTES,
    FrameHeader,
)
from norcim.spec.record import pack_record, unpack_record

_HEADER_BYTES = 4 * FRAME_HEADER_WORDS
_CRC_BYTES = 4
_MAX_ENCODED = MAX_PAYLOAD_BYTES + FRAME_OVERHEAD_BYTES


@dataclass(frozen=True)
class Frame:
    """A request or an answer. type: FrameType, in an answer with ANSWER set."""

    type: int
    status: int
    sequence: int
    payload: bytes


def cobs_encode(data: bytes) -> bytes:
    """Bytes without a zero that stand for `data`."""
    out = bytearray()
    *parts, last = data.split(b"\0")
    for part in parts:
        out += _encode_run(part, is_last=False)
    return bytes(out + _encode_run(last, is_last=True))


def _encode_run(run: bytes, *, is_last: bool) -> bytes:
    """Blocks for a run without zeros; only the very last may end with a full block."""
    out, at = bytearray(), 0
    while len(run) - at >= 254:
        out += b"\xff" + run[at : at + 254]
        at += 254
    if at == len(run) > 0 and is_last:
        return bytes(out)
    return bytes(out) + bytes([len(run) - at + 1]) + run[at:]


def cobs_decode(data: bytes) -> bytes | None:
    """What `data`, without zeros, stands for; None if it is no such encoding."""
    out, at = bytearray(), 0
    while at < len(data):
        code = data[at]
        if code == 0 or at + code > len(data):
            return None
        out += data[at + 1 : at + code]
        at += code
        if code != 0xFF and at < len(data):
            out.append(0)
    return bytes(out)


def encode_frame(frame: Frame) -> bytes:
    """A frame as it goes over the wire, with the zero byte that ends it."""
    header = FrameHeader(frame.type, frame.status, frame.sequence)
    body = pack_record(header, FRAME_HEADER_WORDS) + frame.payload
    return cobs_encode(body + zlib.crc32(body).to_bytes(_CRC_BYTES, "little")) + b"\0"


def decode_frame(encoded: bytes) -> Frame | None:
    """The frame that stood before a zero byte; None if it is broken."""
    raw = cobs_decode(encoded)
    if raw is None or len(raw) < _HEADER_BYTES + _CRC_BYTES:
        return None
    body, crc = raw[:-_CRC_BYTES], int.from_bytes(raw[-_CRC_BYTES:], "little")
    if zlib.crc32(body) != crc or len(body) - _HEADER_BYTES > MAX_PAYLOAD_BYTES:
        return None
    header = unpack_record(FrameHeader, body[:_HEADER_BYTES])
    return Frame(header.type, header.status, header.sequence, body[_HEADER_BYTES:])


class FrameReader:
    """Gathers bytes into frames; broken frames are counted and dropped."""

    def __init__(self) -> None:
        self.n_broken = 0
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes; returns the good frames that they end."""
        *ended, rest = (bytes(self._pending) + data).split(b"\0")
        self._pending = bytearray(rest[: _MAX_ENCODED + 1])  # longer is no frame, whatever follows
        found = []
        for encoded in ended:
            frame = decode_frame(encoded) if len(encoded) <= _MAX_ENCODED else None
            if frame is not None:
                found.append(frame)
            elif encoded:
                self.n_broken += 1
        return found
