"""The device model: what a board does with its flash, its slots and its NPU, in numpy.

It keeps the same promises as the firmware: a slot is committed only when the device itself has
hashed the cells and passed the image's known-answer test, and a cut of the power at any flash
operation leaves the old or the new image active, never neither.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from norcim.chips import Chip
from norcim.emulator.engine import Counters, Emulator
from norcim.emulator.flash import DeviceFault, NorFlash
from norcim.emulator.regions import output_region, port_region
from norcim.emulator.slots import Commit, SlotTable
from norcim.errors import NorcimError
from norcim.image import (
    ImageContent,
    check_placement,
    memory_needs,
    networks,
    port_bytes,
    read_header,
    read_image,
)
from norcim.spec.error_codes import DeviceError
from norcim.spec.image_format import HEADER_BYTES, SHA256
from norcim.spec.protocol import N_SLOTS, NO_SLOT, PAGE_BYTES, SECTOR_BYTES
from norcim.spec.slot_table import SLOT_TABLE_SECTORS

Bytes = npt.NDArray[np.uint8]

SLOT_SECTORS = 1024
"""4 MiB a slot: an image that fills a WTM2101's 1.8 M cells needs 1.8 MB."""

FLASH_SECTORS = SLOT_TABLE_SECTORS + N_SLOTS * SLOT_SECTORS
LOG_LINES = 256


class Engine(Protocol):
    """What executes an image: `Emulator`, or a fake in a test."""

    def run(self, inputs: Sequence[Bytes], *, counters: bool = False) -> list[Bytes]: ...

    def step(self, index: int, memory: Bytes) -> None: ...

    @property
    def counters(self) -> tuple[Counters, ...]: ...


Network = tuple[ImageContent, Engine]
"""A network of an image, and what executes it."""


class DeviceModel:
    """A device from power-on; make another one over the same flash to restart it.

    content  the network that is run, the first of the loaded image unless another is selected

    flash        FLASH_SECTORS sectors, or fewer in a test with `slot_sectors`
    chip         the chip that it has; None takes images for any chip
    make_engine  what executes images
    All commands raise DeviceFault.
    """

    def __init__(
        self,
        flash: NorFlash,
        chip: Chip | None = None,
        *,
        make_engine: Callable[[ImageContent], Engine] = Emulator,
        slot_sectors: int = SLOT_SECTORS,
    ) -> None:
        self.flash = flash
        self.chip = chip
        self.slot_bytes = slot_sectors * SECTOR_BYTES
        self.content: ImageContent | None = None
        self.loaded_slot = NO_SLOT
        self._make_engine = make_engine
        self._engine: Engine | None = None
        self._loaded: tuple[Network, ...] = ()
        self._memory: Bytes = np.zeros((1, 0), np.uint8)
        self._table = SlotTable(flash)
        self._erased: set[int] = set()
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._commit = self._boot()

    @property
    def active_slot(self) -> int:
        """The slot that is loaded after a restart, or NO_SLOT."""
        return self._commit.slot

    def erase(self, slot: int, offset: int) -> None:
        """Erase the sector of a slot that holds `offset`. The active slot is refused."""
        self._check_range(slot, offset, 1)
        self._check_idle(slot)
        sector = (self._base(slot) + offset) // SECTOR_BYTES
        self.flash.erase(sector)
        self._erased.add(sector)
        if slot == self.loaded_slot:
            self._unload()

    def write(self, slot: int, offset: int, data: bytes) -> None:
        """Program pages from `offset`, a multiple of PAGE_BYTES, and read them back.

        Only sectors erased since power-on are written: an older blank page may be one whose
        programming was cut short.
        """
        self._check_range(slot, offset, len(data))
        self._check_idle(slot)
        if offset % PAGE_BYTES:
            raise DeviceFault(DeviceError.BAD_RANGE, f"offset {offset} is inside a page")
        base = self._base(slot)
        for first in range(0, len(data), PAGE_BYTES):
            place, page = base + offset + first, data[first : first + PAGE_BYTES]
            if place // SECTOR_BYTES not in self._erased:
                raise DeviceFault(DeviceError.NOT_ERASED, f"slot {slot} at {offset + first}")
            self.flash.program(place, page)
            if self.flash.read(place, len(page)) != page:
                raise DeviceFault(DeviceError.FLASH_FAILED, f"slot {slot} at {offset + first}")

    def read(self, slot: int, offset: int, length: int) -> bytes:
        """Bytes of a slot from the cells."""
        self._check_range(slot, offset, length)
        return self.flash.read(self._base(slot) + offset, length)

    def hash(self, slot: int, offset: int, length: int) -> bytes:
        """SHA-256 of bytes of a slot, from the cells."""
        return hashlib.sha256(self.read(slot, offset, length)).digest()

    def activate(self, slot: int) -> int:
        """Check a slot's image from the cells, pass its known-answer test, then commit the slot.

        Returns the counter of the slot table. Loads the image. Does nothing to a slot that is
        active already with this image.
        """
        content, digest, n_bytes = self._read_slot(slot)
        loaded = self._start(content)
        for network, engine in loaded:
            self._pass_known_answer(network, engine)
        if (self._commit.slot, self._commit.sha256) != (slot, digest):
            self._commit = self._table.commit(slot, n_bytes, digest, keep=self._commit)
            self._note(f"slot {slot} committed, counter {self._commit.counter}")
        self._use(slot, loaded)
        return self._commit.counter

    def check(self, slot: int) -> bytes:
        """Check a slot's image from the cells; returns the SHA-256 that its header holds."""
        return self._read_slot(slot)[1]

    def load(self, slot: int | None = None) -> None:
        """Check and load a slot's image, None: the active slot's. It need not be committed."""
        chosen = self.active_slot if slot is None else slot
        if chosen == NO_SLOT:
            raise DeviceFault(DeviceError.NO_IMAGE, "no slot is active")
        content, _, _ = self._read_slot(chosen)
        self._use(chosen, self._start(content))

    def select(self, index: int) -> None:
        """Choose the network that is run from now on, until an image is loaded."""
        if not 0 <= index < len(self._loaded):
            raise DeviceFault(
                DeviceError.BAD_RANGE if self._loaded else DeviceError.NO_IMAGE, f"network {index}"
            )
        self.content, self._engine = self._loaded[index]

    def run(self, inputs: Sequence[bytes], *, counters: bool = False) -> list[bytes]:
        """Run a batch.

        inputs  for each input port, the bytes of n samples one after the other
        Returns the same for each output port.
        """
        if self.content is None or self._engine is None:
            raise DeviceFault(DeviceError.NO_IMAGE, "nothing is loaded")
        arrays = split_samples(self.content, inputs)
        outputs = self._engine.run(arrays, counters=counters)
        return [array.tobytes() for array in outputs]

    def put(self, inputs: Sequence[bytes]) -> None:
        """Put one sample's bytes, one string an input port, into activation memory."""
        content, memory = self._there()
        ports = [port for port in content.ports if not port.is_output]
        for port, array in zip(ports, split_samples(content, inputs), strict=True):
            port_region(port).view(memory)[...] = array[:1]

    def step(self, first: int, n: int) -> list[int]:
        """Run n descriptors from `first` on, one by one; fewer if END comes before.

        Returns the CRC-32 of the bytes that each has written.
        """
        content, memory = self._there()
        n_there = len(content.program) - 1
        if not 0 <= first <= n_there:
            raise DeviceFault(DeviceError.BAD_RANGE, f"descriptor {first}")
        assert self._engine is not None, "an image is loaded with its engine"
        found = []
        for index in range(first, min(first + n, n_there)):
            self._engine.step(index, memory)
            found.append(zlib.crc32(output_region(content.program[index]).view(memory).tobytes()))
        return found

    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes of activation memory."""
        _, memory = self._there()
        if min(address, length) < 0 or address + length > memory.size:
            raise DeviceFault(DeviceError.BAD_RANGE, f"{length} bytes at {address}")
        return memory[0, address : address + length].tobytes()

    def counters(self) -> tuple[Counters, ...]:
        """Counters of the last run, one for each descriptor."""
        if self._engine is None:
            raise DeviceFault(DeviceError.NO_IMAGE, "nothing is loaded")
        return self._engine.counters

    def log(self) -> list[str]:
        """The log's lines, oldest first; takes them out of it."""
        lines = list(self._log)
        self._log.clear()
        return lines

    def _there(self) -> tuple[ImageContent, Bytes]:
        if self.content is None:
            raise DeviceFault(DeviceError.NO_IMAGE, "nothing is loaded")
        return self.content, self._memory

    def _boot(self) -> Commit:
        """Repair the slot table, then load the newest image that is sound."""
        commits = self._table.recover()
        for commit in commits:
            if commit.slot == NO_SLOT:
                break
            try:
                self._load_committed(commit)
            except DeviceFault as fault:
                self._note(f"slot {commit.slot} is not loaded: {fault}")
            else:
                self._note(f"slot {commit.slot} loaded, counter {commit.counter}")
                return commit
        return commits[0]

    def _load_committed(self, commit: Commit) -> None:
        """Load a slot if it holds the very image that was committed."""
        content, digest, _ = self._read_slot(commit.slot)
        if digest != commit.sha256:
            raise DeviceFault(DeviceError.IMAGE_DAMAGED, "another image was written since")
        self._use(commit.slot, self._start(content))

    def _note(self, text: str) -> None:
        self._log.append(text)

    def _base(self, slot: int) -> int:
        return SLOT_TABLE_SECTORS * SECTOR_BYTES + slot * self.slot_bytes

    def _check_range(self, slot: int, offset: int, length: int) -> None:
        if not 0 <= slot < N_SLOTS:
            raise DeviceFault(DeviceError.BAD_SLOT, f"slot {slot}")
        if min(offset, length) < 0 or offset + length > self.slot_bytes:
            raise DeviceFault(DeviceError.BAD_RANGE, f"{length} bytes at {offset}")

    def _check_idle(self, slot: int) -> None:
        if slot == self.active_slot:
            raise DeviceFault(DeviceError.SLOT_IN_USE, f"slot {slot} is active")

    def _read_slot(self, slot: int) -> tuple[ImageContent, bytes, int]:
        """A slot's image, its SHA-256 and its length, everything checked from the cells."""
        head = self.read(slot, 0, HEADER_BYTES)
        if head == b"\xff" * HEADER_BYTES:
            raise DeviceFault(DeviceError.NO_IMAGE, f"slot {slot} is blank")
        try:
            n_bytes = read_header(head).total_bytes
            if n_bytes > self.slot_bytes:
                raise DeviceFault(DeviceError.DOES_NOT_FIT, f"{n_bytes:,} bytes")
            data = self.read(slot, 0, n_bytes)
            content = read_image(data)
        except NorcimError as error:
            other_abi = error.id == "NC-E0511"
            code = DeviceError.WRONG_ABI if other_abi else DeviceError.IMAGE_DAMAGED
            raise DeviceFault(code, f"slot {slot}: {error.what}") from error
        self._check_chip(content)
        return content, data[SHA256.offset : SHA256.end], n_bytes

    def _check_chip(self, content: ImageContent) -> None:
        if self.chip is None:
            return
        if (content.chip, content.chip_hash) != (self.chip.name, self.chip.fingerprint):
            detail = f"image for {content.chip} {content.chip_hash[:12]}"
            raise DeviceFault(DeviceError.WRONG_CHIP, detail)
        needs = memory_needs(content)
        for name, there in self.chip.memories.limits().items():
            if needs[name] > there:
                raise DeviceFault(DeviceError.DOES_NOT_FIT, f"{name} {needs[name]:,} of {there:,}")
        try:
            check_placement(content, self.chip)
        except NorcimError as error:
            raise DeviceFault(DeviceError.TILE_RANGE, f"{error.where}: {error.what}") from error

    def _start(self, content: ImageContent) -> tuple[Network, ...]:
        try:
            return tuple((network, self._make_engine(network)) for network in networks(content))
        except NorcimError as error:
            raise DeviceFault(DeviceError.BAD_FIELD, error.what) from error

    def _pass_known_answer(self, content: ImageContent, engine: Engine) -> None:
        if not content.kat_input:
            raise DeviceFault(DeviceError.KAT_FAILED, "the image holds no known-answer test")
        expected = _split_ports(content, content.kat_output, is_output=1)
        outputs = engine.run(_split_ports(content, content.kat_input, is_output=0))
        for got, due in zip(outputs, expected, strict=True):
            if not np.array_equal(got, due):
                n_wrong = int(np.count_nonzero(got != due))
                raise DeviceFault(DeviceError.KAT_FAILED, f"{n_wrong} of {due.size} bytes differ")

    def _use(self, slot: int, loaded: tuple[Network, ...]) -> None:
        self.loaded_slot, self._loaded = slot, loaded
        self.select(0)
        self._memory = np.zeros((1, loaded[0][0].activation_bytes), np.uint8)

    def _unload(self) -> None:
        self.loaded_slot, self._loaded, self.content, self._engine = NO_SLOT, (), None, None


def split_samples(content: ImageContent, inputs: Sequence[bytes]) -> list[Bytes]:
    """Input bytes as arrays (n, h, w, c), one for each input port.

    Raises DeviceFault BAD_RANGE unless every port gets whole samples, of one number and not 0.
    """
    ports = [port for port in content.ports if not port.is_output]
    sizes = [port_bytes(port) for port in ports]
    n_samples = len(inputs[0]) // sizes[0] if inputs else 0
    if n_samples < 1 or [len(data) for data in inputs] != [n_samples * size for size in sizes]:
        expected = " + ".join(f"n * {size}" for size in sizes)
        got = " + ".join(str(len(data)) for data in inputs) or "none"
        raise DeviceFault(DeviceError.BAD_RANGE, f"inputs of {got} bytes, due {expected}")
    return [
        np.frombuffer(data, np.uint8).reshape(n_samples, port.h, port.w, port.c)
        for data, port in zip(inputs, ports, strict=True)
    ]


def _split_ports(content: ImageContent, data: bytes, *, is_output: int) -> list[Bytes]:
    """Known-answer bytes, sample by sample all ports after each other, as one array a port."""
    ports = [port for port in content.ports if port.is_output == is_output]
    sizes = [port_bytes(port) for port in ports]
    samples = np.frombuffer(data, np.uint8).reshape(-1, sum(sizes))
    starts = np.cumsum([0, *sizes])
    return [
        np.ascontiguousarray(samples[:, start : start + size]).reshape(-1, p.h, p.w, p.c)
        for p, start, size in zip(ports, starts, sizes, strict=False)
    ]
