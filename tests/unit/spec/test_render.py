"""The generated C header and reference pages."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from norcim.spec import render, render_c
from norcim.spec.program import COLUMN_WORDS, DESCRIPTOR_WORDS, Column, Descriptor
from norcim.spec.record import bit_fields, pack_record
from norcim.spec.registers import PERIPHERALS, WINDOWS, Peripheral

ROOT = Path(__file__).resolve().parents[3]
FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"]


def _compiler() -> list[str]:
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    if shutil.which("cc"):
        return ["cc"]
    if os.environ.get("CI"):
        pytest.fail("no C compiler: pip install ziglang")
    pytest.skip("no C compiler: pip install ziglang")


def _run_c(tmp_path: Path, body: str) -> str:
    source = tmp_path / "main.c"
    source.write_text(
        f'#include <stdio.h>\n#include "norcim_spec.h"\nint main(void)\n{{\n{body}\nreturn 0;\n}}\n'
    )
    header = tmp_path / "norcim_spec.h"
    header.write_text(render.render_c_header())
    program = tmp_path / "main"
    command = [*_compiler(), *FLAGS, "-I", str(tmp_path), str(source), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout


def test_generated_files_are_fresh() -> None:
    stale = render.stale_files(ROOT)
    assert not stale, f"{', '.join(stale)} stale; renew with: {render.COMMAND}"


def test_a_stale_file_is_named_with_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "render_c_header", lambda: "changed")
    assert render.main(["--check"]) == 1
    err = capsys.readouterr().err
    assert render.HEADER_PATH in err
    assert "python -m norcim.spec.render" in err


def test_unknown_argument_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert render.main(["--wipe"]) == 2
    assert "usage" in capsys.readouterr().err


def test_every_page_says_how_it_is_renewed() -> None:
    pages = {"header": render.render_c_header(), **render.render_reference()}
    for text in pages.values():
        assert "renew with: python -m norcim.spec.render" in text.splitlines()[0]


def test_no_macro_is_defined_twice() -> None:
    names = re.findall(r"^#define (\w+)", render.render_c_header(), re.MULTILINE)
    assert len(names) == len(set(names))


def test_fields_of_a_record_do_not_overlap() -> None:
    for record in render_c.RECORDS:
        taken: set[int] = set()
        for item in bit_fields(record):
            place = set(range(32 * item.word + item.lsb, 32 * item.word + item.lsb + item.width))
            assert item.lsb + item.width <= 32, (record, item.name)
            assert not place & taken, (record, item.name)
            taken |= place


def test_page_gives_the_byte_of_a_field() -> None:
    page = render.render_reference()["docs/reference/program.md"]
    assert "| 66-67 |  | `pad_left` | i16 |" in page
    assert "| 2 | 4 | `in_signed` | u1 |" in page


def _as_c_words(name: str, data: bytes) -> str:
    words = [f"0x{data[i : i + 4][::-1].hex()}u" for i in range(0, len(data), 4)]
    return f"static const uint32_t {name}[] = {{{', '.join(words)}}};"


def test_c_reads_every_field_of_a_packed_descriptor(tmp_path: Path) -> None:
    values = {f.name: f.lo if f.signed else (0x9E3779B9 * (i + 1)) & f.hi
              for i, f in enumerate(bit_fields(Descriptor))}  # fmt: skip
    packed = pack_record(replace(Descriptor(), **values), DESCRIPTOR_WORDS)
    lines = [_as_c_words("d", packed)]
    for name in values:
        lines.append(f'printf("%lld\\n", (long long)NC_GET_DESCRIPTOR_{name.upper()}(d));')
    printed = _run_c(tmp_path, "\n".join(lines)).split()
    assert [int(text) for text in printed] == list(values.values())


def test_c_writes_a_column_as_python_packs_it(tmp_path: Path) -> None:
    packed = pack_record(Column(bias=-5, multiplier=40000, shift=33), COLUMN_WORDS)
    body = """
    uint32_t w[2] = {0, 0};
    w[NC_COLUMN_BIAS_WORD] |= NC_PUT_COLUMN_BIAS(-5);
    w[NC_COLUMN_MULTIPLIER_WORD] |= NC_PUT_COLUMN_MULTIPLIER(40000);
    w[NC_COLUMN_SHIFT_WORD] |= NC_PUT_COLUMN_SHIFT(33);
    printf("%08lx %08lx", (unsigned long)w[0], (unsigned long)w[1]);"""
    words = [packed[i : i + 4][::-1].hex() for i in (0, 4)]
    assert _run_c(tmp_path, body).split() == words


@pytest.mark.parametrize("peripheral", PERIPHERALS, ids=lambda p: p.name)
def test_registers_do_not_overlap(peripheral: Peripheral) -> None:
    offsets = [register.offset for register in peripheral.registers]
    assert offsets == sorted(set(offsets))
    assert all(offset % 4 == 0 for offset in offsets)
    for register in peripheral.registers:
        ends = [item.lsb + item.width for item in register.fields]
        starts = [item.lsb for item in register.fields]
        assert all(end <= start for end, start in zip(ends, [*starts[1:], 32], strict=False))


def test_peripherals_and_windows_lie_apart() -> None:
    bases = sorted([p.base for p in PERIPHERALS] + [w.base for w in WINDOWS])
    ends = {p.base: p.base + p.registers[-1].offset + 4 for p in PERIPHERALS}
    assert len(bases) == len(set(bases))
    for base, following in pairwise(bases):
        assert ends.get(base, base + 0x40000) <= following
