"""What every device can do, whatever connects it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from norcim.emulator import Counters
from norcim.errors import EXIT_UNSUPPORTED, NorcimError
from norcim.image import ImageContent, memory_needs, read_image
from norcim.spec.image_format import SHA256
from norcim.spec.program import ABI_LEVEL
from norcim.spec.protocol import NO_SLOT, SECTOR_BYTES

ReportProgress = Callable[[str, int, int], None]
"""progress(step, done, total); done and total in bytes."""


@dataclass(frozen=True)
class DeviceInfo:
    """Who answers.

    name              kind of device: "emulator", or the board's name
    chip, chip_hash   the chip that images must be compiled for; empty: any
    abi_level         of the images that it executes
    lanes             multiply-accumulates a cycle, 0 if it has no such thing
    memories          limits of an image as named by `norcim.image.memory_needs`; empty: none
    firmware_version  "major.minor.patch"
    unique_id         16 hex digits
    n_slots           slots of slot_bytes bytes each
    active_slot       slot that is loaded after a restart, None without one
    loaded_slot       slot that is loaded now, None without one
    """

    name: str
    chip: str
    chip_hash: str
    abi_level: int
    lanes: int
    memories: dict[str, int]
    firmware_version: str
    unique_id: str
    n_slots: int
    slot_bytes: int
    active_slot: int | None
    loaded_slot: int | None

    @property
    def free_slot(self) -> int:
        """The slot to write next: the first that is not active."""
        return next(slot for slot in range(self.n_slots) if slot != self.active_slot)


def slot_or_none(slot: int) -> int | None:
    """A slot's number as in DeviceInfo."""
    return None if slot == NO_SLOT else slot


class Device(ABC):
    """A device that stores weight images and runs them.

    Commands raise NorcimError NC-E06xx with exit code 5, or 3 where the image is at fault.
    """

    @property
    def baud(self) -> int | None:
        """Bits a second of the link; None for a device without a serial port."""
        return None

    @abstractmethod
    def info(self) -> DeviceInfo:
        """Who is there; asks the device."""

    @abstractmethod
    def activate(self, slot: int) -> None:
        """Check a slot's image, pass its known-answer test, commit it and load it."""

    @abstractmethod
    def load(self, slot: int | None = None) -> None:
        """Check and load a slot's image for this session, None: the active one's."""

    @abstractmethod
    def select(self, network: int) -> None:
        """Choose the network that run, put, step and counters mean, by its number in the image.

        It is the first one, number 0, after every load, activation and restart.
        """

    @abstractmethod
    def verify(self, slot: int) -> str:
        """Let the device check a slot's image from its cells; returns its SHA-256 in hex."""

    @abstractmethod
    def run(self, inputs: Sequence[bytes], *, counters: bool = False) -> list[bytes]:
        """Run a batch on the chosen network of the loaded image.

        inputs    for each input port, the code bytes of n samples one after the other
        counters  count saturated conversions too, where that costs time
        Returns the same for each output port.
        """

    @abstractmethod
    def counters(self) -> tuple[Counters, ...]:
        """Counters of the last run, one for each descriptor of the chosen network."""

    @abstractmethod
    def put(self, inputs: Sequence[bytes]) -> None:
        """Put one sample's bytes, one string an input port, into activation memory."""

    @abstractmethod
    def step(self, first: int, n: int) -> list[int]:
        """Run n descriptors from `first` on, one at a time; fewer if END comes before.

        first  counted from the first of the chosen network
        Returns the CRC-32 of the bytes that each has written, rows, pixels, channels. The memory
        stays as it is for `read_memory` and the next step.
        """

    @abstractmethod
    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes of activation memory."""

    @abstractmethod
    def log(self) -> list[str]:
        """Lines of the device's log since they were last read."""

    @abstractmethod
    def reset(self) -> None:
        """Restart the device: it loads the active slot."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the device; it may be called twice."""

    @abstractmethod
    def _erase_sector(self, slot: int, offset: int) -> None:
        """Erase one sector of a slot."""

    @abstractmethod
    def _program(self, slot: int, offset: int, data: bytes) -> None:
        """Program erased bytes of a slot from a page's border on."""

    @abstractmethod
    def _hash(self, slot: int, offset: int, length: int) -> bytes:
        """SHA-256 of bytes of a slot, from the cells."""

    def erase(self, slot: int, progress: ReportProgress | None = None) -> None:
        """Erase a whole slot; the active one is refused."""
        n_bytes = self.info().slot_bytes
        for offset in range(0, n_bytes, SECTOR_BYTES):
            self._erase_sector(slot, offset)
            _report(progress, "erase", offset + SECTOR_BYTES, n_bytes)

    def write(
        self,
        slot: int,
        data: bytes,
        progress: ReportProgress | None = None,
        *,
        resume: bool = True,
    ) -> int:
        """Write an image into a slot and let the device verify it. Does not activate it.

        resume  keep what is right: of a whole image that differs in less than half of its sectors
                all the others, else those before the last one that is right
        Returns the number of sectors that were programmed. Refuses, before anything is erased, an
        image that is damaged, for another chip, of another ABI level or too large. Writing to the
        active slot the image that it holds does nothing.
        """
        info = self.info()
        check_fits(data, info)
        n_same = self._count_same(slot, data) if resume or slot == info.active_slot else 0
        n_all = -(-len(data) // SECTOR_BYTES)
        if slot == info.active_slot and n_same == n_all:
            return 0
        if resume and n_same < n_all and self._is_sound(slot):
            differ = self._differing(slot, data, max(n_same, 1))
            if 2 * len(differ) < n_all:
                return self._update(slot, data, differ, progress)
        # The last sector that seems right may have been cut short and read right by luck.
        first = max(n_same - 1, 0) * SECTOR_BYTES
        for offset in range(first, len(data), SECTOR_BYTES):
            self._erase_sector(slot, offset)
            self._program(slot, offset, data[offset : offset + SECTOR_BYTES])
            _report(progress, "write", min(offset + SECTOR_BYTES, len(data)), len(data))
        self._confirm(slot, data)
        return n_all - first // SECTOR_BYTES

    def _differing(self, slot: int, data: bytes, first: int) -> list[int]:
        """Offsets of the sectors, from number `first` on, in which a slot holds something else."""
        return [
            offset
            for offset in range(first * SECTOR_BYTES, len(data), SECTOR_BYTES)
            if not self._holds(slot, data, offset)
        ]

    def _update(
        self, slot: int, data: bytes, differ: list[int], progress: ReportProgress | None
    ) -> int:
        """Program the header and the sectors in which an image differs from a slot's whole one.

        The header is erased first and programmed last: what is interrupted is no image, so that
        nobody takes a sector that was cut short for one that is kept. The next write begins anew.
        """
        self._erase_sector(slot, 0)
        for n_done, offset in enumerate(differ):
            _report(progress, "write", n_done, len(differ) + 1)
            self._erase_sector(slot, offset)
            self._program(slot, offset, data[offset : offset + SECTOR_BYTES])
        self._program(slot, 0, data[:SECTOR_BYTES])
        _report(progress, "write", len(differ) + 1, len(differ) + 1)
        self._confirm(slot, data)
        return len(differ) + 1

    def _is_sound(self, slot: int) -> bool:
        """Whether a slot holds a whole image, whichever."""
        try:
            self.verify(slot)
        except NorcimError:
            return False
        return True

    def _confirm(self, slot: int, data: bytes) -> None:
        found, due = self.verify(slot), data[SHA256.offset : SHA256.end].hex()
        if found != due:
            raise NorcimError(
                "NC-E0617", "the device holds another image than was written",
                where=f"slot {slot}", expected=due, got=found, exit_code=5,
                fix="write it again; if it happens again, the flash is worn out",
            )  # fmt: skip

    def _count_same(self, slot: int, data: bytes) -> int:
        """How many leading sectors of a slot hold what they should."""
        for index, offset in enumerate(range(0, len(data), SECTOR_BYTES)):
            if not self._holds(slot, data, offset):
                return index
        return -(-len(data) // SECTOR_BYTES)

    def _holds(self, slot: int, data: bytes, offset: int) -> bool:
        """Whether a sector of a slot holds its part of an image."""
        part = data[offset : offset + SECTOR_BYTES]
        return self._hash(slot, offset, len(part)) == hashlib.sha256(part).digest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _report(progress: ReportProgress | None, step: str, done: int, total: int) -> None:
    if progress:
        progress(step, done, total)


def check_fits(data: bytes, info: DeviceInfo) -> ImageContent:
    """Decode an image that is meant for a device.

    Raises NC-E05xx if it is damaged or of another ABI level, NC-E0627 if the device is of another
    one, NC-E0615 if the image was compiled for another chip, NC-E0616 if it is too large for a slot
    or a memory.
    """
    content = read_image(data)
    if info.abi_level != ABI_LEVEL:
        raise NorcimError(
            "NC-E0627", "the device executes images of another ABI level",
            expected=str(ABI_LEVEL), got=str(info.abi_level), exit_code=EXIT_UNSUPPORTED,
            why="it would read the program's descriptors in another way",
            fix="install the version of norcim that fits the device's firmware, or update that "
            "firmware; nothing was erased",
        )  # fmt: skip
    if info.chip and (content.chip, content.chip_hash) != (info.chip, info.chip_hash):
        raise NorcimError(
            "NC-E0615", "the image was compiled for another chip",
            expected=f"{info.chip} ({info.chip_hash[:12]})",
            got=f"{content.chip} ({content.chip_hash[:12]})",
            fix=f"compile the model again with --chip {info.chip}", exit_code=EXIT_UNSUPPORTED,
        )  # fmt: skip
    limits = {"slot_bytes": info.slot_bytes, **info.memories}
    for name, needed in {"slot_bytes": len(data), **memory_needs(content)}.items():
        if name in limits and needed > limits[name]:
            raise NorcimError(
                "NC-E0616", "the image is too large for the device", where=name,
                expected=f"at most {limits[name]:,}", got=f"{needed:,}",
                fix="compile a smaller model, or use a larger device", exit_code=EXIT_UNSUPPORTED,
            )  # fmt: skip
    return content
