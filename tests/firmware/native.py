"""firmware/lib through ctypes: its functions, and a device over Python's flash models."""

from __future__ import annotations

import ctypes as c
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from norcim.chips import Chip
from norcim.emulator import reference
from norcim.emulator.flash import DeviceFault, NorFlash
from norcim.image import ImageContent
from norcim.image.records import decode_records
from norcim.spec.error_codes import DeviceError
from norcim.spec.image_format import SectionKind
from norcim.spec.program import (
    ABI_LEVEL,
    COLUMN_WORDS,
    DESCRIPTOR_WORDS,
    TILE_WORDS,
    Column,
    Descriptor,
    Opcode,
    Tile,
)
from norcim.spec.protocol import MAX_PAYLOAD_BYTES, FrameType
from norcim.transport.framing import Frame, FrameReader, encode_frame
from tests.unit.device.torn_flash import PowerCut

U8, U32, PTR = c.c_uint8, c.c_uint32, c.c_void_p
ANY = 0xFFFFFFFF
Bytes = c.POINTER(U8)


class Stop(c.Structure):
    _fields_ = (("descriptor", U32), ("cycles", U32), ("firmware", c.c_bool))


BEGIN = c.CFUNCTYPE(None, PTR, U32)
LOAD = c.CFUNCTYPE(U8, PTR, U32, U32, Bytes, U32)
MOVE = c.CFUNCTYPE(U8, PTR, U32, Bytes, U32)
RUN = c.CFUNCTYPE(U8, PTR, U32, c.POINTER(Stop))
CLEAR = c.CFUNCTYPE(None, PTR)
COUNT = c.CFUNCTYPE(None, PTR, U32, c.POINTER(U32))
ERASE = c.CFUNCTYPE(U8, PTR, U32)
WRITE = c.CFUNCTYPE(None, PTR, Bytes, U32)
CAN = c.CFUNCTYPE(c.c_bool, PTR, U32)
SET = c.CFUNCTYPE(None, PTR, U32)
NOW = c.CFUNCTYPE(U32, PTR)


class Npu(c.Structure):
    _fields_ = (
        ("begin", BEGIN), ("load", LOAD), ("read", MOVE), ("write", MOVE), ("run", RUN),
        ("clear", CLEAR), ("counters", COUNT),
    )  # fmt: skip


class Hal(c.Structure):
    _fields_ = (
        ("context", PTR), ("flash_read", MOVE), ("flash_erase", ERASE), ("flash_program", MOVE),
        ("uart_write", WRITE), ("uart_can", CAN), ("uart_set", SET), ("now_ms", NOW),
        ("reset", CLEAR), ("npu", c.POINTER(Npu)),
    )  # fmt: skip


class Limits(c.Structure):
    _fields_ = (
        ("chip_name", U8 * 32), ("chip_hash", U8 * 32), ("abi_level", U32),
        ("activation_bytes", U32), ("weight_bytes", U32), ("vector_weight_bytes", U32),
        ("n_descriptors", U32), ("n_tiles", U32), ("n_columns", U32), ("n_tables", U32),
        ("record_bytes", U32),
    )  # fmt: skip


class Config(c.Structure):
    _fields_ = (
        ("limits", Limits), ("slot_sectors", U32), ("lanes", U32), ("clock_hz", U32),
        ("firmware_version", U32), ("unique_id_lo", U32), ("unique_id_hi", U32),
        ("window_frames", U32), ("max_payload_bytes", U32),
    )  # fmt: skip


class Library:
    """Functions of firmware/lib on Python's bytes."""

    def __init__(self, raw: c.CDLL) -> None:
        self.raw = raw
        raw.nc_crc32.restype = U32

    def crc32(self, data: bytes, crc: int = 0) -> int:
        return int(self.raw.nc_crc32(U32(crc), data, U32(len(data))))

    def cobs_encode(self, data: bytes) -> bytes:
        out = c.create_string_buffer(len(data) + len(data) // 254 + 1)
        n = self.raw.nc_cobs_encode(data, U32(len(data)), out)
        return out.raw[:n]

    def cobs_decode(self, data: bytes) -> bytes:
        buffer = c.create_string_buffer(data, len(data) or 1)
        n = self.raw.nc_cobs_decode(buffer, U32(len(data)))
        return buffer.raw[:n]

    def sha256(self, pieces: list[bytes]) -> bytes:
        state, digest = c.create_string_buffer(256), c.create_string_buffer(32)
        self.raw.nc_sha256_begin(state)
        for piece in pieces:
            self.raw.nc_sha256_update(state, piece, U32(len(piece)))
        self.raw.nc_sha256_end(state, digest)
        return digest.raw

    def softmax(self, codes: bytes, table: bytes, signed: int, zp: int, hi: int, n: int) -> bytes:
        buffer = c.create_string_buffer(codes, len(codes))
        self.raw.shim_softmax(buffer, U32(len(codes)), table, U32(signed), zp, hi, U32(n))
        return buffer.raw


@dataclass
class MemoryNpu:
    """An NPU that executes what was loaded with the golden arithmetic, on bytes of memory.

    It stops at firmware steps, as the hardware does. wrong: flips a bit of what it computes.
    """

    memory: Any = field(default_factory=lambda: np.zeros((1, 1 << 16), np.uint8))
    sections: dict[int, bytearray] = field(default_factory=dict)
    wrong: bool = False
    error: DeviceError = DeviceError.OK
    n_runs: int = 0

    def begin(self) -> None:
        self.sections.clear()

    def load(self, kind: int, offset: int, data: bytes) -> None:
        section = self.sections.setdefault(kind, bytearray())
        assert len(section) >= offset
        section[offset : offset + len(data)] = data

    def run(self, first: int) -> tuple[int, bool]:
        """Returns where it stopped, and whether at a firmware step."""
        content = self._decode()
        for index, d in enumerate(content.program[first:], first):
            if d.opcode in (Opcode.FIRMWARE, Opcode.END):
                self.n_runs += d.opcode == Opcode.END
                if self.wrong:
                    self.memory ^= 1
                return index, d.opcode == Opcode.FIRMWARE
            reference.execute(d, content, self.memory)
        raise AssertionError("no END")

    def _decode(self) -> ImageContent:
        raw = {kind: bytes(self.sections.get(kind, b"")) for kind in SectionKind}
        kind = SectionKind
        return ImageContent(
            chip="x", chip_hash="", activation_bytes=1 << 16, ports=(), kat_input=b"",
            kat_output=b"", meta={}, weights=raw[kind.WEIGHTS],
            vector_weights=raw[kind.VECTOR_WEIGHTS], tables=raw[kind.TABLES],
            program=decode_records(Descriptor, raw[kind.PROGRAM], DESCRIPTOR_WORDS, "", 4096),
            tiles=decode_records(Tile, raw[kind.TILES], TILE_WORDS, "", 65536),
            columns=decode_records(Column, raw[kind.COLUMNS], COLUMN_WORDS, "", 262144),
        )  # fmt: skip


def make_config(slot_sectors: int = 2, chip: Chip | None = None, **changes: int) -> Config:
    limits = Limits(abi_level=ABI_LEVEL, activation_bytes=1 << 16)
    for name, _ in Limits._fields_[4:]:
        setattr(limits, name, (chip and getattr(chip.memories, name)) or ANY)
    if chip:
        limits.chip_name[:] = chip.name.encode().ljust(32, b"\0")
        limits.chip_hash[:] = bytes.fromhex(chip.fingerprint)
        limits.activation_bytes = chip.memories.activation_bytes
    for name in set(changes) & {name for name, _ in Limits._fields_}:
        setattr(limits, name, changes.pop(name))
    values = {"window_frames": 8, "max_payload_bytes": MAX_PAYLOAD_BYTES, **changes}
    return Config(limits=limits, slot_sectors=slot_sectors, **values)


class NativeDevice:
    """The firmware's device over a flash model; make another one over the same flash to restart it.

    npu  None: it has none
    A PowerCut of the flash leaves the device dead: `dead` is set, nothing reaches the flash.
    """

    def __init__(
        self,
        lib: Library,
        flash: NorFlash,
        config: Config | None = None,
        npu: MemoryNpu | None = None,
    ) -> None:
        self.lib, self.flash, self.npu = lib, flash, npu
        self.config = config or make_config()
        self.dead = self.was_reset = False
        self.out = bytearray()
        self.bauds: list[int] = []
        self.clock_ms: int | None = None
        self._sequence = 0
        self._reader = FrameReader()
        self._state = c.create_string_buffer(lib.raw.shim_device_bytes())
        self._keep = self._make_npu() if npu else None
        self._hal = Hal(
            None, MOVE(self._read), ERASE(self._erase), MOVE(self._program), WRITE(self._send),
            CAN(lambda _, baud: baud < 10_000_000), SET(lambda _, baud: self.bauds.append(baud)),
            NOW(self._now), CLEAR(self._reset), c.pointer(self._keep) if self._keep else None,
        )  # fmt: skip
        lib.raw.nc_device_begin(self._state, c.byref(self._hal), c.byref(self.config))

    @property
    def active_slot(self) -> int:
        return int(self.lib.raw.shim_active_slot(self._state))

    @property
    def loaded_slot(self) -> int:
        return int(self.lib.raw.shim_loaded_slot(self._state))

    def take(self, data: bytes) -> bytes:
        """Feed bytes as from the host; returns what came back."""
        self.out.clear()
        self.lib.raw.nc_device_take(self._state, data, U32(len(data)))
        return bytes(self.out)

    def poll(self) -> None:
        self.lib.raw.nc_device_poll(self._state)

    def request(self, type: int, payload: bytes = b"", sequence: int | None = None) -> Frame | None:
        """One request, numbered in order; its answer, None if there is none."""
        self._sequence = (self._sequence + 1 if sequence is None else sequence) & 0xFFFF
        answers = self._reader.feed(
            self.take(encode_frame(Frame(type, 0, self._sequence, payload)))
        )
        assert len(answers) <= 1
        return answers[0] if answers else None

    def ask(self, type: int, payload: bytes = b"") -> bytes:
        """One request that succeeds. Raises DeviceFault with its status otherwise."""
        answer = self.request(type, payload)
        if self.dead:
            raise PowerCut
        assert answer is not None
        if answer.status:
            raise DeviceFault(DeviceError(answer.status), answer.payload.hex())
        return answer.payload

    def erase(self, slot: int, offset: int) -> None:
        self.ask(FrameType.ERASE, words(slot, offset, 0))

    def write(self, slot: int, offset: int, data: bytes, size: int = 200) -> None:
        """A whole transfer; the request after it programs its last page."""
        self.ask(FrameType.WRITE, words(slot, offset, 0))
        for at in range(0, len(data), size):
            part = data[at : at + size]
            self.ask(FrameType.WRITE, words(slot, offset + at, len(part)) + part)
        self.ask(FrameType.LOG)

    def activate(self, slot: int) -> int:
        return int.from_bytes(self.ask(FrameType.ACTIVATE, words(slot, 0, 0)), "little")

    def _read(self, _: Any, offset: int, data: Any, n: int) -> int:
        part = self.flash.read(offset, n)
        if len(part) != n:
            return int(DeviceError.FLASH_FAILED)
        c.memmove(data, part, n)
        return 0

    def _erase(self, _: Any, offset: int) -> int:
        return self._work(lambda: self.flash.erase(offset // 4096))

    def _program(self, _: Any, offset: int, data: Any, n: int) -> int:
        return self._work(lambda: self.flash.program(offset, c.string_at(data, n)))

    def _work(self, work: Callable[[], None]) -> int:
        if self.dead:
            return int(DeviceError.FLASH_FAILED)
        try:
            work()
        except PowerCut:
            self.dead = True
            return int(DeviceError.FLASH_FAILED)
        except DeviceFault as fault:
            return int(fault.code)
        return 0

    def _send(self, _: Any, data: Any, n: int) -> None:
        self.out += c.string_at(data, n)

    def _now(self, _: Any) -> int:
        return (int(time.monotonic() * 1000) if self.clock_ms is None else self.clock_ms) & ANY

    def _reset(self, _: Any) -> None:
        self.was_reset = True

    def _make_npu(self) -> Npu:
        assert self.npu is not None
        npu = self.npu

        def begin(_: Any, activation_bytes: int) -> None:
            npu.begin()

        def load(_: Any, kind: int, offset: int, data: Any, n: int) -> int:
            npu.load(kind, offset, c.string_at(data, n))
            return 0

        def read(_: Any, address: int, data: Any, n: int) -> int:
            c.memmove(data, npu.memory[0, address : address + n].tobytes(), n)
            return 0

        def write(_: Any, address: int, data: Any, n: int) -> int:
            npu.memory[0, address : address + n] = np.frombuffer(c.string_at(data, n), np.uint8)
            return 0

        def run(_: Any, first: int, stop: Any) -> int:
            found, firmware = npu.run(first)
            stop[0] = Stop(found, 7, firmware)
            return int(npu.error)

        def count(_: Any, index: int, out: Any) -> None:
            for word in range(5):
                out[word] = 10 * index + word

        return Npu(BEGIN(begin), LOAD(load), MOVE(read), MOVE(write), RUN(run),
                   CLEAR(lambda _: None), COUNT(count))  # fmt: skip


def words(*values: int) -> bytes:
    return b"".join((value & ANY).to_bytes(4, "little") for value in values)
