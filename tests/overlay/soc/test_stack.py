"""The firmware's stack is as large as its deepest path."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("elftools", reason="pip install 'norcim[dev]'")

from norcim_overlay.soc import firmware
from tests.firmware import compiler
from tests.overlay.soc.stack_use import Program

CODE = """
#define APART __attribute__((noinline))
void *memset(void *to, int c, unsigned n) { while (n--) ((char *)to)[n] = (char)c; return to; }
APART int leaf(volatile char *at) { return at[0]; }
APART int deep(int n) { volatile char a[400]; a[0] = (char)n; return leaf(a) + 1; }
APART int flat(int n) { volatile char a[40]; a[0] = (char)n; return leaf(a) + 2; }
struct calls { int (*one)(int); };
const struct calls calls = { deep };
APART int pick(const struct calls *from, int n) { return from->one(n) + 3; }
APART int loop(int n) { return n ? loop(n - 1) + flat(n) + 1 : 0; }
__attribute__((section(".start"))) int nc_start(int n) {
    return n > 3 ? pick(&calls, n) : n > 2 ? flat(n) : CASE;
}
"""


def _linked(folder: Path, case: str) -> Program:
    (folder / "code.c").write_text(CODE.replace("CASE", case))
    (folder / "link.ld").write_text(
        "SECTIONS { . = 0; .text : { KEEP(*(.start)) *(.text .text.*) }\n"
        ".rodata : { *(.rodata .rodata.* .srodata .srodata.*) } }\n"
    )
    options = ["-Os", "-ffreestanding", "-fno-sanitize=all", "-fomit-frame-pointer"]
    firmware._zig("cc", [*firmware.TARGET, *options, "-c", "code.c"], folder)
    last = ["-Os", "-g", "-nostdlib", "-T", "link.ld", "-Wl,--entry=nc_start"]
    firmware._zig("cc", [*firmware.TARGET, *last, "code.o", "-o", "code.elf"], folder)
    return Program(folder / "code.elf", [folder / "code.o"])


@pytest.fixture(autouse=True)
def _zig() -> None:
    compiler.zig()


def test_the_deepest_path_of_the_firmware_fits(tmp_path: Path) -> None:
    header = firmware.chip_header(firmware.CHIP)
    elf = firmware.link_firmware(tmp_path, 32 << 10, header)
    program = Program(elf, sorted(tmp_path.glob("*.o")))
    use = program.use(program.functions["nc_main"][0])
    assert "nc_device_activate" in " ".join(use.path)  # the walk reaches the commands
    assert use.peak <= firmware.MIN_STACK_BYTES, use


def test_calls_through_a_pointer_count(tmp_path: Path) -> None:
    program = _linked(tmp_path, "0")
    use = program.use(program.functions["nc_start"][0])
    assert [name.split("+")[0] for name in use.path][-2:] == ["pick", "deep"]
    assert 400 < use.peak < 480


def test_recursion_has_no_bound(tmp_path: Path) -> None:
    program = _linked(tmp_path, "loop(n)")
    with pytest.raises(ValueError, match=r"may call itself: .*loop -> loop"):
        program.use(program.functions["nc_start"][0])
