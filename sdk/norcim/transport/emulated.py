"""A device without hardware: the device model behind the interface that boards share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import norcim
from norcim.chips import Chip
from norcim.emulator import Counters, Emulator
from norcim.emulator.device import FLASH_SECTORS, DeviceModel, Engine
from norcim.emulator.flash import DeviceFault, FileFlash, NorFlash
from norcim.errors import EXIT_DEVICE, NorcimError
from norcim.image import ImageContent
from norcim.spec.program import ABI_LEVEL
from norcim.spec.protocol import N_SLOTS
from norcim.transport.base import Device, DeviceInfo, slot_or_none
from norcim.transport.faults import device_error

SCHEME = "emulator:"


class EmulatedDevice(Device):
    """An emulated device.

    path         file that keeps its flash between sessions, None: in memory
    chip         the chip that it has, None: takes images for any chip
    make_engine  what executes images
    Raises NC-E0602 or NC-E0603 if the file cannot be used.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        chip: Chip | None = None,
        *,
        make_engine: Callable[[ImageContent], Engine] = Emulator,
    ) -> None:
        self._path = None if path is None else Path(path).expanduser()
        self._chip = chip
        self._make_engine = make_engine
        n_sectors = FLASH_SECTORS
        flash = FileFlash(self._path, n_sectors) if self._path else NorFlash(n_sectors)
        self._open_model: DeviceModel | None = self._start(flash)

    @property
    def url(self) -> str:
        """What `open_device` opens it by."""
        return f"{SCHEME}{self._path or ''}"

    def info(self) -> DeviceInfo:
        """Who is there."""
        model, chip = self._model, self._chip
        return DeviceInfo(
            name="emulator",
            chip=chip.name if chip else "",
            chip_hash=chip.fingerprint if chip else "",
            abi_level=ABI_LEVEL,
            lanes=chip.timing.lanes if chip else 0,
            memories=chip.memories.limits() if chip else {},
            firmware_version=norcim.__version__,
            unique_id=hashlib.sha256(self.url.encode()).hexdigest()[:16],
            n_slots=N_SLOTS,
            slot_bytes=model.slot_bytes,
            active_slot=slot_or_none(model.active_slot),
            loaded_slot=slot_or_none(model.loaded_slot),
        )

    def activate(self, slot: int) -> None:
        """Check, test, commit and load a slot."""
        with self._faults():
            self._model.activate(slot)

    def load(self, slot: int | None = None) -> None:
        """Check and load a slot."""
        with self._faults():
            self._model.load(slot)

    def select(self, network: int) -> None:
        """Choose a network of the loaded image."""
        with self._faults():
            self._model.select(network)

    def verify(self, slot: int) -> str:
        """Check a slot's image from its cells; returns its SHA-256 in hex."""
        with self._faults():
            return self._model.check(slot).hex()

    def run(self, inputs: Sequence[bytes], *, counters: bool = False) -> list[bytes]:
        """Run a batch."""
        with self._faults():
            return self._model.run(inputs, counters=counters)

    def counters(self) -> tuple[Counters, ...]:
        """Counters of the last run."""
        with self._faults():
            return self._model.counters()

    def put(self, inputs: Sequence[bytes]) -> None:
        """Put one sample's bytes into activation memory."""
        with self._faults():
            self._model.put(inputs)

    def step(self, first: int, n: int) -> list[int]:
        """Run descriptors one at a time, with the golden arithmetic."""
        with self._faults():
            return self._model.step(first, n)

    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes of activation memory."""
        with self._faults():
            return self._model.read_memory(address, length)

    def log(self) -> list[str]:
        """Lines of the log since they were last read."""
        return self._model.log()

    def reset(self) -> None:
        """Restart the device model over the same flash."""
        self._open_model = self._start(self._model.flash)

    def close(self) -> None:
        """Close the flash file."""
        if self._open_model:
            self._open_model.flash.close()
        self._open_model = None

    @property
    def _model(self) -> DeviceModel:
        if self._open_model is None:
            raise NorcimError(
                "NC-E0604", "the device was closed", where=self.url, exit_code=EXIT_DEVICE,
                fix="open it again",
            )  # fmt: skip
        return self._open_model

    def _start(self, flash: NorFlash) -> DeviceModel:
        return DeviceModel(flash, self._chip, make_engine=self._make_engine)

    def _erase_sector(self, slot: int, offset: int) -> None:
        with self._faults():
            self._model.erase(slot, offset)

    def _program(self, slot: int, offset: int, data: bytes) -> None:
        with self._faults():
            self._model.write(slot, offset, data)

    def _hash(self, slot: int, offset: int, length: int) -> bytes:
        with self._faults():
            return self._model.hash(slot, offset, length)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except DeviceFault as fault:
            raise device_error(fault.code, self.url, fault.detail, fault.descriptor) from fault
