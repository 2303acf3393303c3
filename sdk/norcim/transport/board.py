"""A board that speaks the wire protocol, behind the interface of every device."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress

from norcim.emulator import Counters
from norcim.errors import EXIT_DEVICE, NorcimError
from norcim.image import read_header
from norcim.spec.image_format import (
    HEADER_BYTES,
    MAX_DESCRIPTORS,
    MAX_PORTS,
    SECTION_ENTRY_WORDS,
    SECTION_TABLE_OFFSET,
    SectionEntry,
    SectionKind,
)
from norcim.spec.program import PORT_WORDS
from norcim.spec.protocol import (
    BAUD_REQUEST_WORDS,
    COUNTER_RECORD_WORDS,
    COUNTERS_REQUEST_WORDS,
    DEFAULT_BAUD,
    NO_SLOT,
    RUN_LENGTH_WORDS,
    RUN_REQUEST_WORDS,
    BaudRequest,
    CounterRecord,
    CountersRequest,
    FrameType,
    RunAction,
    RunLength,
    RunRequest,
)
from norcim.spec.record import pack_record, unpack_record
from norcim.transport.base import Device, DeviceInfo, ReportProgress, slot_or_none
from norcim.transport.link import ByteStream, LinkError, nonsense
from norcim.transport.loaded import LoadedNetwork, read_networks
from norcim.transport.noise import QUIET
from norcim.transport.transfer import write_in_any_order, write_in_order
from norcim.transport.wire import Patience, Wire

_SHA256_BYTES = 32
_LOG_REQUESTS = 1024  #: after so many a log is taken for endless
_RESTARTS = 3  #: of a device during a write, before it is given up
_MEMORIES = (
    "activation_bytes", "weight_bytes", "vector_weight_bytes", "n_descriptors", "n_tiles",
    "n_columns", "n_tables",
)  # fmt: skip


class Board(Device):
    """A device at the other end of a byte stream.

    baud  rate to try; `baud` tells whether it works. None: DEFAULT_BAUD
    Raises NC-E0631 if nothing answers there; the stream is closed then.
    """

    def __init__(
        self, stream: ByteStream, patience: Patience | None = None, *, baud: int | None = None
    ) -> None:
        self.wire = Wire(stream, patience)
        self._networks: tuple[LoadedNetwork, ...] | None = None
        self._chosen = 0
        self._is_closed = False
        self._baud = DEFAULT_BAUD
        self._is_noisy = False
        try:
            self._begin(baud)
        except BaseException:
            self.close()
            raise

    @property
    def baud(self) -> int:
        """Bits a second of the link."""
        return self._baud

    def info(self) -> DeviceInfo:
        """Who is there; asks the device."""
        self._check_open()
        hello = self.wire.hello()
        record = hello.record
        version = (record.firmware_major, record.firmware_minor, record.firmware_patch)
        return DeviceInfo(
            name="board",
            chip=hello.chip,
            chip_hash=hello.chip_hash,
            abi_level=record.abi_level,
            lanes=record.lanes,
            memories={name: getattr(record, name) for name in _MEMORIES},
            firmware_version=".".join(map(str, version)),
            unique_id=f"{record.unique_id_hi:08x}{record.unique_id_lo:08x}",
            n_slots=record.n_slots,
            slot_bytes=record.slot_bytes,
            active_slot=slot_or_none(record.active_slot),
            loaded_slot=slot_or_none(record.loaded_slot),
        )

    def activate(self, slot: int) -> None:
        """Check, test, commit and load a slot."""
        self._forget_image()
        self._on_slot(FrameType.ACTIVATE, slot)

    def load(self, slot: int | None = None) -> None:
        """Check and load a slot."""
        self._forget_image()
        self._run(RunAction.LOAD, NO_SLOT if slot is None else slot)

    def select(self, network: int) -> None:
        """Choose a network of the loaded image."""
        n_networks = len(self._loaded_networks())
        if not 0 <= network < n_networks:
            raise NorcimError(
                "NC-E0612", "the loaded image has no such network", where=self.wire.url,
                expected=f"0..{n_networks - 1}", got=str(network), exit_code=EXIT_DEVICE,
                fix="choose one of the networks that it has",
            )  # fmt: skip
        self._chosen = network

    def verify(self, slot: int) -> str:
        """Let the device check a slot's image from its cells; returns its SHA-256 in hex."""
        return self._sized(self._on_slot(FrameType.VERIFY, slot), _SHA256_BYTES).hex()

    def write(
        self,
        slot: int,
        data: bytes,
        progress: ReportProgress | None = None,
        *,
        resume: bool = True,
    ) -> int:
        """As every device; goes on by itself when the device restarts meanwhile."""
        for _ in range(_RESTARTS - 1):
            try:
                return super().write(slot, data, progress, resume=resume)
            except NorcimError as error:
                if error.id != "NC-E0614":
                    raise
                resume = True
        return super().write(slot, data, progress, resume=resume)

    def run(self, inputs: Sequence[bytes], *, counters: bool = False) -> list[bytes]:
        """Run a batch, sample by sample; the device counts always."""
        network = self._network
        sizes, out_sizes = network.input_sizes, network.output_sizes
        n_samples = _count_samples(inputs, sizes, self.wire.url)
        outputs = [bytearray() for _ in out_sizes]
        for index in range(n_samples):
            parts = [
                data[index * size : (index + 1) * size]
                for data, size in zip(inputs, sizes, strict=True)
            ]
            found = self._run_sample(network, b"".join(parts))
            for output, size in zip(outputs, out_sizes, strict=True):
                output += found[:size]
                found = found[size:]
        return [bytes(output) for output in outputs]

    def counters(self) -> tuple[Counters, ...]:
        """Counters of the last run."""
        found: list[Counters] = []
        known = self._networks[self._chosen] if self._networks else None  # a run makes it known
        first, end = (known.first, known.end) if known else (0, None)
        while True:
            request = pack_record(CountersRequest(first + len(found)), COUNTERS_REQUEST_WORDS)
            data = self._request(FrameType.COUNTERS, request)
            n_record = 4 * COUNTER_RECORD_WORDS
            if len(data) % n_record:
                raise nonsense(self.wire.url, f"counters of {len(data)} bytes")
            if not data or (end is not None and first + len(found) >= end):
                return tuple(found[: end and end - first])
            if len(found) + len(data) // n_record > MAX_DESCRIPTORS:
                raise nonsense(self.wire.url, f"counters of more than {MAX_DESCRIPTORS} steps")
            for at in range(0, len(data), n_record):
                record = unpack_record(CounterRecord, data[at : at + n_record])
                index = len(found)
                found.append(Counters(index, record.macs, record.conversions, record.saturated))

    def put(self, inputs: Sequence[bytes]) -> None:
        """Put one sample's bytes into activation memory."""
        network = self._network
        _count_samples(inputs, network.input_sizes, self.wire.url, most=1)
        self._put(network, b"".join(inputs))

    def step(self, first: int, n: int) -> list[int]:
        """Run descriptors one at a time, as many at once as an answer holds."""
        found: list[int] = []
        first += self._network.first if self._chosen else 0
        while len(found) < n:
            data = self._run(RunAction.STEP, first + len(found), _length(n - len(found)))
            if len(data) % 4 or len(data) > 4 * (n - len(found)):
                raise nonsense(self.wire.url, f"{len(data)} bytes of check sums")
            if not data:
                break
            found += [crc for (crc,) in struct.iter_unpack("<I", data)]
        return found

    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes of activation memory."""
        found = b""
        while len(found) < length:
            n = min(length - len(found), self.wire.max_payload_bytes)
            part = self._run(RunAction.MEMORY, address + len(found), _length(n))
            found += self._sized(part, n)
        return found

    def log(self) -> list[str]:
        """Lines of the device's log since they were last read."""
        text = b""
        for _ in range(_LOG_REQUESTS):
            part = self._request(FrameType.LOG)
            if not part:
                break
            text += part
        return text.decode("utf-8", "replace").splitlines()

    def reset(self) -> None:
        """Restart the device: it loads the active slot."""
        self._forget_image()
        self._request(FrameType.RESET)
        self._go_on_at(DEFAULT_BAUD)
        self.wire.hello(after_restart=True)

    def set_baud(self, baud: int) -> int:
        """Try another rate; returns the one that is used then.

        The rate counts once a HELLO is answered at it. Else both ends go back to DEFAULT_BAUD.
        Raises NC-E0612 if the device refuses the rate.
        """
        request = pack_record(BaudRequest(baud), BAUD_REQUEST_WORDS)
        self._request(FrameType.BAUD, request)
        try:
            self._go_on_at(baud)
            self.wire.hello()
        except LinkError as error:
            if error.id not in ("NC-E0631", "NC-E0636"):
                raise
            self._go_on_at(DEFAULT_BAUD)
            self.wire.hello()
        return self._baud

    def close(self) -> None:
        """Let go of the port; the device goes back to DEFAULT_BAUD, for the next host."""
        if not self._is_closed and self._baud != DEFAULT_BAUD:
            with suppress(NorcimError):
                request = pack_record(BaudRequest(DEFAULT_BAUD), BAUD_REQUEST_WORDS)
                self._request(FrameType.BAUD, request)
        self._is_closed = True
        self.wire.close()

    def _begin(self, baud: int | None) -> None:
        """Find the device, which an interrupted session may have left at `baud`."""
        wanted = baud or DEFAULT_BAUD
        try:
            self.wire.hello()
        except LinkError as error:
            if wanted == DEFAULT_BAUD or error.id != "NC-E0631":
                raise
            self._go_on_at(wanted)
            self.wire.hello()
        if wanted != self._baud:
            try:
                self.set_baud(wanted)
            except NorcimError as error:
                if error.id != "NC-E0612":  # else the device refuses the rate: it stays as it is
                    raise

    def _go_on_at(self, baud: int) -> None:
        self.wire.set_baud(baud)
        self._baud = baud

    def _erase_sector(self, slot: int, offset: int) -> None:
        self._on_slot(FrameType.ERASE, slot, offset)

    def _program(self, slot: int, offset: int, data: bytes) -> None:
        self._check_open()
        if self.wire.noise.errors_per_bit < QUIET or not self._is_noisy:
            self._is_noisy = not write_in_order(self.wire, slot, offset, data)
            if not self._is_noisy:
                return
            self.wire.noise.doubt()
            self._erase_sector(slot, offset)
        write_in_any_order(self.wire, slot, offset, data)

    def _hash(self, slot: int, offset: int, length: int) -> bytes:
        found = self._on_slot(FrameType.VERIFY, slot, offset, length)
        return self._sized(found, _SHA256_BYTES)

    def _check_open(self) -> None:
        if self._is_closed:
            raise NorcimError(
                "NC-E0604", "the device was closed", where=self.wire.url, exit_code=EXIT_DEVICE,
                fix="open it again",
            )  # fmt: skip

    def _request(self, type: FrameType, payload: bytes = b"") -> bytes:
        self._check_open()
        return self.wire.request(type, payload)

    def _on_slot(self, type: FrameType, slot: int, offset: int = 0, length: int = 0) -> bytes:
        self._check_open()
        if not 0 <= slot < NO_SLOT:
            raise NorcimError(
                "NC-E0611", "the device has no such slot", where=self.wire.url, got=str(slot),
                fix="choose one of the slots that it has", exit_code=EXIT_DEVICE,
            )  # fmt: skip
        return self.wire.on_slot(type, slot, offset, length)

    def _run(self, action: RunAction, argument: int = 0, data: bytes = b"") -> bytes:
        request = pack_record(RunRequest(action, argument), RUN_REQUEST_WORDS)
        return self._request(FrameType.RUN, request + data)

    def _put(self, network: LoadedNetwork, data: bytes) -> None:
        size = self.wire.max_payload_bytes - 4 * RUN_REQUEST_WORDS
        for at in range(0, len(data), size):
            self._run(RunAction.INPUT, network.input_at + at, data[at : at + size])

    def _run_sample(self, network: LoadedNetwork, data: bytes) -> bytes:
        self._put(network, data)
        self._run(RunAction.START, network.first)
        found, n_output = b"", sum(network.output_sizes)
        while len(found) < n_output:
            part = self._run(RunAction.OUTPUT, network.output_at + len(found))
            if not part or (network.end is None and len(found) + len(part) > n_output):
                raise nonsense(self.wire.url, f"{len(found) + len(part)} bytes of output")
            found += part
        return found[:n_output]  # those of the next network may follow

    def _forget_image(self) -> None:
        self._networks, self._chosen = None, 0

    @property
    def _network(self) -> LoadedNetwork:
        return self._loaded_networks()[self._chosen]

    def _loaded_networks(self) -> tuple[LoadedNetwork, ...]:
        """The networks of the loaded image, read from its slot."""
        if self._networks is None:
            slot = self.info().loaded_slot
            if slot is None:
                raise NorcimError(
                    "NC-E0618", "the device has no image to run", where=self.wire.url,
                    fix="flash one: norcim flash MODEL.cim", exit_code=EXIT_DEVICE,
                )  # fmt: skip
            header = self._read(slot, 0, HEADER_BYTES)
            read_header(header)
            n_entry = 4 * SECTION_ENTRY_WORDS
            first = SECTION_TABLE_OFFSET + n_entry * (SectionKind.PORTS - 1)
            entry = unpack_record(SectionEntry, header[first : first + n_entry])
            if entry.length > 4 * PORT_WORDS * MAX_PORTS:
                raise nonsense(self.wire.url, f"ports of {entry.length} bytes")
            raw = self._read(slot, entry.offset, entry.length)
            self._networks = read_networks(raw, self.wire.url)
        return self._networks

    def _read(self, slot: int, offset: int, length: int) -> bytes:
        found = b""
        while len(found) < length:
            n = min(length - len(found), self.wire.max_payload_bytes)
            part = self._on_slot(FrameType.READ, slot, offset + len(found), n)
            found += self._sized(part, n)
        return found

    def _sized(self, data: bytes, n_bytes: int) -> bytes:
        if len(data) != n_bytes:
            raise nonsense(self.wire.url, f"{len(data)} bytes where {n_bytes} are due")
        return data


def _length(n: int) -> bytes:
    return pack_record(RunLength(n), RUN_LENGTH_WORDS)


def _count_samples(
    inputs: Sequence[bytes], sizes: Sequence[int], url: str, most: int = 1 << 32
) -> int:
    n_samples = len(inputs[0]) // sizes[0] if inputs and sizes and sizes[0] else 0
    if not 1 <= n_samples <= most or [len(data) for data in inputs] != [
        n_samples * size for size in sizes
    ]:
        raise NorcimError(
            "NC-E0612", "the bytes do not fit the device", where=url,
            expected=" + ".join(f"n * {size}" for size in sizes),
            got=" + ".join(str(len(data)) for data in inputs) or "none",
            fix="check the number and shape of the inputs", exit_code=EXIT_DEVICE,
        )  # fmt: skip
    return n_samples
