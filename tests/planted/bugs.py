"""Bugs that the tests have to notice: each is one change of one source file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Bug:
    """What is planted, and the quick test that has to fail.

    file  its text `old`, which is there once, is replaced by `new`
    test  what pytest is given
    """

    name: str
    file: str
    old: str
    new: str
    test: str


ARITH = "tests/conformance/test_arith.py"
REFERENCE = "tests/unit/emulator/test_against_reference.py"
VECTORS = "tests/firmware/test_vectors.py"
DEVICE = "tests/firmware/test_device.py"

PYTHON = (
    Bug("rounding: half an LSB too little", "sdk/norcim/arith/digital.py",
        "half = np.left_shift(np.int64(1), k - 1)", "half = np.left_shift(np.int64(1), k - 1) - 1",
        f"{ARITH}::test_requantise"),
    Bug("rounding: the vendor's rule rounds once", "sdk/norcim/arith/converter.py",
        "(towards_zero + 2) >> 2", "(4 * sums + (2 << gain)) >> (gain + 2)",
        f"{ARITH}::test_wtm2101_rule_is_not_one_rounding"),
    Bug("swapped operands: multipliers of an addition", "sdk/norcim/arith/vector.py",
        "zero_points[0]) * multipliers[0]", "zero_points[0]) * multipliers[1]",
        f"{ARITH}::test_directed_edges_and_random_cases_against_plain_integers"),
    Bug("saturation counted one code early", "sdk/norcim/arith/converter.py",
        "(codes < lo) | (codes > hi)", "(codes <= lo) | (codes > hi)",
        f"{ARITH}::test_saturations_are_counted_where_the_code_is_clipped_only"),
    Bug("window one row too high", "sdk/norcim/emulator/reference.py",
        "d.stride_h - d.pad_top", "d.stride_h - d.pad_top - 1", REFERENCE),
    Bug("fast path forgets the bias rows", "sdk/norcim/emulator/mvm.py",
        "constant = BIAS_DRIVE * cells", "constant = 0 * cells",
        "tests/unit/emulator/test_engine.py::test_bias_rows_are_driven_with_128"),
    Bug("flash: a page is programmed twice", "sdk/norcim/emulator/flash.py",
        "if page in self._programmed:", "if page in self._programmed and False:",
        "tests/unit/device/test_flash.py::test_a_page_is_programmed_once"),
    Bug("slot table: no CRC", "sdk/norcim/emulator/slots.py",
        "zlib.crc32(body) != crc or body[:4]", "body[:4]",
        "tests/unit/device/test_slots.py::test_a_page_with_a_flipped_bit_is_not_a_commit"),
    Bug("slot table: the recovery erases the last whole commit", "sdk/norcim/emulator/slots.py",
        "{winner.sector, *[state.sector for state in closed if state.done][:1]}",
        "{winner.sector}", "tests/unit/device/test_slots.py"),
    Bug("frames: no CRC", "sdk/norcim/transport/framing.py",
        "zlib.crc32(body) != crc or len(body)", "len(body)",
        "tests/unit/transport/test_wire.py::test_reader_survives_whatever_comes"),
    Bug("image: a section's CRC is not compared", "sdk/norcim/image/read.py",
        "if crc != entry.crc32:", "if crc != crc:",
        "tests/unit/image/test_container.py::test_flipped_bit_in_a_section_names_it"),
    Bug("transfer: the device may claim bytes never sent", "sdk/norcim/transport/transfer.py",
        "<= end", "<= end + 1",
        "tests/unit/transport/test_wire.py::test_transfer_that_goes_where_it_cannot"),
)  # fmt: skip

FIRMWARE = (
    Bug("C: frames without CRC", "firmware/lib/nc_frame.c",
        "nc_crc32(0, bytes, n_bytes - 4u) != nc_get_u32(bytes + n_bytes - 4u)", "false",
        f"{VECTORS}::test_device_drops_what_is_broken_and_answers_what_is_whole"),
    Bug("C: a page is not read back", "firmware/lib/nc_store.c",
        "!nc_equal(found, store->page, store->n_page)", "false",
        f"{DEVICE}::test_cells_that_do_not_take_a_program_are_noticed"),
    Bug("C: ranges one byte too long", "firmware/lib/nc_store.c",
        "length > store->slot_bytes - offset", "length > store->slot_bytes - offset + 1u",
        f"{DEVICE}::test_what_is_refused"),
    Bug("C: a section's CRC is not compared", "firmware/lib/nc_image.c",
        "return crc == section->crc32 ?", "return crc == crc ?",
        "tests/firmware/test_image.py::test_damage_that_one_check_alone_finds"),
    Bug("C: commit without the known answers", "firmware/lib/nc_device_image.c",
        "error = nc_run_known_answer(&device->hal, &image);", "error = NC_DEVICE_ERROR_OK;",
        f"{DEVICE}::test_failed_known_answers_keep_the_old_image"),
    Bug("C: the recovery erases the commit in force", "firmware/lib/nc_slots.c",
        "free == winner || free == done", "free == done",
        "tests/firmware/test_power_cut.py::test_recovery_from_every_table_that_cuts_can_leave"),
    Bug("C: softmax rounds down", "firmware/lib/nc_softmax.c",
        "+ s->sum / 2u) / s->sum", ") / s->sum", f"{VECTORS}::test_softmax_is_bit_exact"),
)  # fmt: skip

NPU = "bitstreams/norcim_overlay/npu"
QUICK = "tests/overlay/npu"
GATEWARE = (
    Bug("gateware: the vendor's rule rounds once", f"{NPU}/converter.py",
        "(quarters + 2) >> 2", "quarters >> 2", f"{QUICK}/test_converter.py"),
    Bug("gateware: a whole LSB is added, not half", f"{NPU}/requantise.py",
        "(Const(1, 48) << shift) >> 1", "(Const(1, 48) << shift)", f"{QUICK}/test_requantise.py"),
    Bug("gateware: clamp after a sum that is too narrow", f"{NPU}/requantise.py",
        "Signal(signed(PRODUCT_BITS + 1))", "Signal(signed(CODE_BITS))",
        f"{QUICK}/test_requantise.py"),
    Bug("gateware: swapped operands of PN encoding", f"{NPU}/encoder.py",
        "Mux(self.negative, self.zero_point - self.code, self.code - self.zero_point)",
        "Mux(self.negative, self.code - self.zero_point, self.zero_point - self.code)",
        f"{QUICK}/test_mac_lanes.py"),
    Bug("gateware: window one tap too wide", f"{NPU}/window.py",
        "at.kx + 2 == self.kernel_w", "at.kx + 1 == self.kernel_w",
        f"{QUICK}/test_window.py"),
    Bug("gateware: partial sums are never cleared", f"{NPU}/drain.py",
        "Mux(at.tag.first, 0, read.data.as_signed())", "read.data.as_signed()",
        f"{QUICK}/test_drain.py"),
    Bug("gateware: a request counts before it is taken", f"{NPU}/fetcher.py",
        "taken.eq(self.memory.request & self.memory.ready)", "taken.eq(self.memory.request)",
        f"{QUICK}/test_memories.py::test_the_fetcher_waits_for_a_slow_memory"),
    Bug("gateware: maxima see what lies outside", f"{NPU}/mac_lanes.py",
        "Mux(line.inside & (code > base), code, base)", "Mux(code > base, code, base)",
        f"{QUICK}/test_mac_lanes.py"),
)  # fmt: skip

BUGS = PYTHON + FIRMWARE + GATEWARE
