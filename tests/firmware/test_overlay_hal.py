"""The drivers of the SoC, compiled for this machine, on a model of its registers."""

from __future__ import annotations

import ctypes as c
from pathlib import Path

import numpy as np
import pytest

from norcim.emulator.flash import NorFlash
from norcim.spec.error_codes import DeviceError
from norcim.spec.image_format import SectionKind
from norcim.spec.program import DESCRIPTOR_WORDS, TABLE_BYTES
from norcim.spec.protocol import PAGE_BYTES, SECTOR_BYTES
from tests.firmware import compiler
from tests.firmware.native import Npu, Stop
from tests.firmware.soc_model import Chip, SocModel

HAL = compiler.ROOT / "firmware" / "hal" / "overlay"
BASE, N_SECTORS = 0x200000, 4
U32 = c.c_uint32


class Nor(c.Structure):
    _fields_ = (("base", U32), ("n_bytes", U32))


@pytest.fixture(scope="module")
def hal(build_folder: Path) -> c.CDLL:
    names = ("nc_nor.c", "nc_serial.c", "nc_accelerator.c")
    found = [*(HAL / name for name in names), compiler.TESTS / "mmio.c"]
    path = compiler.compile_host(
        build_folder / "libhal.so", found, "-shared", "-fPIC", "-DNC_MMIO_MODEL"
    )
    library = c.CDLL(str(path))
    for name in ("nc_nor_read", "nc_nor_erase", "nc_nor_program"):
        getattr(library, name).restype = c.c_uint8
    return library


def _bytes(data: bytes) -> c.Array[c.c_uint8]:
    return (c.c_uint8 * len(data)).from_buffer_copy(data)


@pytest.fixture
def model(hal: c.CDLL) -> SocModel:
    found = SocModel(Chip(NorFlash(N_SECTORS), base=BASE))
    found.attach(hal)
    return found


@pytest.fixture
def nor(hal: c.CDLL, model: SocModel) -> Nor:
    found = Nor(BASE, N_SECTORS * SECTOR_BYTES)
    hal.nc_nor_begin(c.byref(found))
    return found


def _read(hal: c.CDLL, nor: Nor, offset: int, n: int) -> tuple[int, bytes]:
    buffer = c.create_string_buffer(n + 1)
    return hal.nc_nor_read(c.byref(nor), U32(offset), buffer, U32(n)), buffer.raw[:n]


def _program(hal: c.CDLL, nor: Nor, offset: int, data: bytes) -> int:
    return int(hal.nc_nor_program(c.byref(nor), U32(offset), data, U32(len(data))))


def _erase(hal: c.CDLL, nor: Nor, offset: int) -> int:
    return int(hal.nc_nor_erase(c.byref(nor), U32(offset)))


@pytest.mark.parametrize("n", [1, 3, 4, 52, 255, 256])
def test_what_is_programmed_is_read(hal: c.CDLL, model: SocModel, nor: Nor, n: int) -> None:
    data = np.random.default_rng(n).integers(0, 256, n, dtype=np.uint8).tobytes()
    place = SECTOR_BYTES + 2 * PAGE_BYTES
    assert _program(hal, nor, place, data) == DeviceError.OK
    assert model.chip.cells.read(place, n) == data
    assert _read(hal, nor, place, n) == (DeviceError.OK, data)
    assert _read(hal, nor, place - 5, 5)[1] == b"\xff" * 5


def test_an_erased_sector_is_blank_and_its_neighbours_are_not(hal: c.CDLL, nor: Nor) -> None:
    for sector in range(3):
        assert _program(hal, nor, sector * SECTOR_BYTES, b"\x55") == DeviceError.OK
    assert _erase(hal, nor, SECTOR_BYTES) == DeviceError.OK
    assert [_read(hal, nor, s * SECTOR_BYTES, 1)[1] for s in range(3)] == [b"U", b"\xff", b"U"]


@pytest.mark.parametrize("offset", [N_SECTORS * SECTOR_BYTES, 0xFFFFFF00])
def test_what_is_not_ours_is_left_alone(
    hal: c.CDLL, model: SocModel, nor: Nor, offset: int
) -> None:
    assert _read(hal, nor, offset, 4)[0] == DeviceError.FLASH_FAILED
    assert _program(hal, nor, offset, b"x") == DeviceError.FLASH_FAILED
    assert _erase(hal, nor, offset) == DeviceError.FLASH_FAILED
    assert model.chip.cells.erase_counts == [0] * N_SECTORS


def test_a_program_never_leaves_its_page(hal: c.CDLL, nor: Nor) -> None:
    assert _program(hal, nor, PAGE_BYTES - 1, b"ab") == DeviceError.FLASH_FAILED


def test_a_worn_sector_is_waited_for_and_a_dead_one_is_not(
    hal: c.CDLL, model: SocModel, nor: Nor
) -> None:
    model.chip.busy_ms = 4000
    assert _erase(hal, nor, 0) == DeviceError.OK
    model.chip.busy_ms = 1 << 30
    before = model.ms
    assert _erase(hal, nor, 0) == DeviceError.FLASH_FAILED
    assert 4000 < model.ms - before < 6000
    assert _program(hal, nor, 0, b"x") == DeviceError.FLASH_FAILED  # busy for ever


def test_time_that_wraps_round_is_no_time_out(hal: c.CDLL, model: SocModel, nor: Nor) -> None:
    model.ms = 0xFFFFFFF0
    model.chip.busy_ms = 200
    assert _erase(hal, nor, 0) == DeviceError.OK


def test_a_protected_chip_is_noticed(hal: c.CDLL, model: SocModel, nor: Nor) -> None:
    model.chip.deaf = True
    assert _erase(hal, nor, 0) == DeviceError.FLASH_FAILED
    assert _program(hal, nor, 0, b"x") == DeviceError.FLASH_FAILED
    assert model.chip.n_ignored == 0  # it was not even tried


def test_a_chip_that_is_still_busy_from_before_a_reset_is_waited_for(
    hal: c.CDLL, model: SocModel
) -> None:
    model.chip.busy_until = 3000
    found = Nor(BASE, N_SECTORS * SECTOR_BYTES)
    hal.nc_nor_begin(c.byref(found))
    assert model.ms >= 3000
    assert _erase(hal, found, 0) == DeviceError.OK


def test_the_chip_s_own_id_is_read(hal: c.CDLL, nor: Nor) -> None:
    words = (U32 * 2)()
    hal.nc_nor_read_unique_id(words)
    assert list(words) == [0x04030201, 0x08070605]


@pytest.mark.parametrize(
    ("baud", "can"), [(115200, True), (9600, True), (3_000_000, True), (9_000_000, False),
                      (600, False), (0, False), (11_000_000, False)],
)  # fmt: skip
def test_rates_that_can_be_met(hal: c.CDLL, model: SocModel, baud: int, can: bool) -> None:
    hal.nc_serial_can.restype = c.c_bool
    assert hal.nc_serial_can(U32(baud)) == can
    if can:
        hal.nc_serial_set(U32(baud))
        divisor = model.values["UART", "DIVISOR"]
        assert abs(50_000_000 / divisor - baud) <= 0.02 * baud


def test_bytes_go_both_ways(hal: c.CDLL, model: SocModel) -> None:
    hal.nc_serial_write(b"hello, host", U32(11))
    assert model.uart_out == b"hello, host"
    model.uart_in += b"abcde"
    buffer = c.create_string_buffer(8)
    assert hal.nc_serial_read(buffer, U32(3)) == 3
    assert hal.nc_serial_read(c.byref(buffer, 3), U32(5)) == 2
    assert buffer.raw[:5] == b"abcde"


class Accelerator:
    """The NPU's driver."""

    def __init__(self, hal: c.CDLL, model: SocModel) -> None:
        self.npu = Npu.in_dll(hal, "nc_accelerator_npu")
        self.context = c.create_string_buffer(256)
        self.model = model
        model.values |= {("NPU", "RECORD_WORDS"): 1024, ("NPU", "WEIGHT_BYTES"): 1000,
                         ("SYSTEM", "CLOCK_HZ"): 4_000_000}  # fmt: skip
        self.npu.begin(self.context, 500)

    def load(self, kind: int, offset: int, data: bytes) -> int:
        return int(self.npu.load(self.context, kind, offset, _bytes(data), len(data)))

    def layout(self, name: str) -> int:
        return self.model.values["NPU", f"LAYOUT_{name}"]

    def run(self) -> tuple[int, Stop]:
        stop = Stop()
        return int(self.npu.run(self.context, 3, c.byref(stop))), stop


@pytest.fixture
def accelerator(hal: c.CDLL, model: SocModel) -> Accelerator:
    return Accelerator(hal, model)


def test_sections_lie_one_after_the_other(accelerator: Accelerator) -> None:
    a, rng = accelerator, np.random.default_rng(1)
    sizes = {SectionKind.PROGRAM: 8 * DESCRIPTOR_WORDS, SectionKind.TILES: 96,
             SectionKind.COLUMNS: 16, SectionKind.WEIGHTS: 301, SectionKind.VECTOR_WEIGHTS: 77,
             SectionKind.TABLES: TABLE_BYTES}  # fmt: skip
    data = {k: rng.integers(0, 256, n, dtype=np.uint8).tobytes() for k, n in sizes.items()}
    for kind, content in data.items():
        for at in range(0, len(content), 128):
            assert a.load(kind, at, content[at : at + 128]) == DeviceError.OK
    records = b"".join(data[k] for k in (SectionKind.PROGRAM, SectionKind.TILES,
                                         SectionKind.COLUMNS, SectionKind.TABLES))  # fmt: skip
    weights = data[SectionKind.WEIGHTS] + data[SectionKind.VECTOR_WEIGHTS]
    assert a.model.windows["RECORDS"][: len(records)] == records
    assert a.model.windows["WEIGHTS"][: len(weights)] == weights
    n_program = 2 * DESCRIPTOR_WORDS
    assert a.layout("PROGRAM") == 0
    assert a.layout("TILES") == n_program
    assert a.layout("COLUMNS") == n_program + 24
    assert a.layout("TABLES") == n_program + 28
    assert a.layout("N_DESCRIPTORS") == 2
    assert a.layout("N_COLUMNS") == 2
    assert a.layout("N_TABLES") == 1
    assert (a.layout("N_CELL_BYTES"), a.layout("VECTOR_WEIGHTS")) == (301, 301)
    assert a.layout("N_VECTOR_BYTES") == 77
    assert a.layout("N_ACTIVATION_BYTES") == 500


def test_a_descriptor_can_be_replaced(accelerator: Accelerator) -> None:
    a = accelerator
    n = 4 * DESCRIPTOR_WORDS
    assert a.load(SectionKind.PROGRAM, 0, b"a" * 3 * n) == DeviceError.OK
    assert a.load(SectionKind.TILES, 0, b"t" * 48) == DeviceError.OK
    assert a.load(SectionKind.PROGRAM, n, b"b" * n) == DeviceError.OK
    expected = b"a" * n + b"b" * n + b"a" * n + b"t" * 48
    assert a.model.windows["RECORDS"][: len(expected)] == expected
    assert a.layout("N_DESCRIPTORS") == 3
    assert a.load(SectionKind.PROGRAM, 3 * n, b"c" * n) == DeviceError.DOES_NOT_FIT


def test_what_does_not_fit_is_refused(accelerator: Accelerator) -> None:
    a = accelerator
    assert a.load(SectionKind.WEIGHTS, 0, bytes(900)) == DeviceError.OK
    assert a.load(SectionKind.VECTOR_WEIGHTS, 0, bytes(101)) == DeviceError.DOES_NOT_FIT
    assert a.load(SectionKind.VECTOR_WEIGHTS, 0, bytes(100)) == DeviceError.OK
    a.npu.begin(a.context, 1)
    assert a.load(SectionKind.PORTS, 0, bytes(4)) == DeviceError.DOES_NOT_FIT
    assert a.load(99, 0, bytes(4)) == DeviceError.DOES_NOT_FIT
    assert a.layout("N_CELL_BYTES") == a.layout("N_VECTOR_BYTES") == 0


@pytest.mark.parametrize(("address", "n"), [(0, 9), (1, 1), (2, 7), (3, 8), (100, 0)])
def test_activations_at_any_address(accelerator: Accelerator, address: int, n: int) -> None:
    a, data = accelerator, bytes(range(1, n + 1))
    a.model.windows["ACTIVATIONS"][:200] = b"\xee" * 200
    a.npu.write(a.context, address, _bytes(data), n)
    expected = bytearray(b"\xee" * 200)
    expected[address : address + n] = data
    assert a.model.windows["ACTIVATIONS"][:200] == expected
    buffer = (c.c_uint8 * (n + 1))()
    a.npu.read(a.context, address, buffer, n)
    assert bytes(buffer) == data + b"\0"


@pytest.mark.parametrize(
    ("status", "error", "firmware"),
    [(0b0010, DeviceError.OK, False), (0b0100, DeviceError.OK, True),
     (DeviceError.TILE_RANGE << 8, DeviceError.TILE_RANGE, False),
     (0, DeviceError.WATCHDOG, False)],
)  # fmt: skip
def test_how_a_run_ends(
    accelerator: Accelerator, status: int, error: DeviceError, firmware: bool
) -> None:
    a = accelerator

    def start() -> None:
        a.model.values |= {("NPU", "STATUS"): status, ("NPU", "DESCRIPTOR"): 5,
                           ("NPU", "RUN_CYCLES"): 77}  # fmt: skip

    a.model.on_start = start
    found, stop = a.run()
    assert (found, stop.descriptor, stop.cycles, stop.firmware) == (error, 5, 77, firmware)
    assert a.model.values["NPU", "FIRST"] == 3
    assert 0 < a.model.values["NPU", "WATCHDOG"] <= 20 * 4_000_000


def test_an_npu_that_does_not_answer_is_given_up(accelerator: Accelerator) -> None:
    a = accelerator
    a.model.values["NPU", "STATUS"] = 1
    a.model.ms_a_look = 50
    before = a.model.ms
    assert a.run()[0] == DeviceError.WATCHDOG
    assert a.model.ms - before < 15_000
    assert a.model.values["NPU", "CONTROL"] == 2  # stopped
