"""The chip files that ship, and every way in which a chip file can be wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from norcim.analysis.peak import peak, ratios, unexplained
from norcim.chips import list_chips, load_chip, parse_chip
from norcim.chips.schema import SCHEMA
from norcim.errors import EXIT_USAGE, NorcimError
from norcim.spec.program import (
    COLUMN_WORDS,
    DESCRIPTOR_WORDS,
    TABLE_BYTES,
    TILE_WORDS,
    Rule,
    Stage,
)

DATA = Path(__file__).parents[3] / "sdk" / "norcim" / "chips" / "data"
NOR1 = (DATA / "nor1.toml").read_text()


def refused(text: str | bytes) -> NorcimError:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(NorcimError) as caught:
        parse_chip(data, "my.toml")
    assert caught.value.where == "my.toml"
    assert caught.value.exit_code == EXIT_USAGE
    assert caught.value.fix
    return caught.value


def with_value(key: str, value: str) -> str:
    """nor1's file with the value of one key replaced."""
    changed, n = re.subn(
        rf"^{key} = \{{ value = [^\n]*?, source",
        f"{key} = {{ value = {value}, source",
        NOR1,
        flags=re.M,
    )
    assert n == 1
    return changed


def test_reference_chips_and_those_of_the_market_ship() -> None:
    assert {"digital", "nor1", "overlay", "wtm2101", "m1076", "ibm-64core"} <= set(list_chips())
    assert len(list_chips()) > 50


@pytest.mark.parametrize("name", list_chips())
def test_shipped_chip_loads_under_its_own_name_and_every_value_has_a_source(name: str) -> None:
    chip = load_chip(name)
    assert chip.name == name
    assert set(chip.sources) == set(SCHEMA)
    assert all(chip.sources.values())


def test_wtm2101_is_as_its_vendor_documents() -> None:
    chip = load_chip("wtm2101")
    arrays = chip.arrays
    assert (arrays.count, arrays.n_rows, arrays.n_columns) == (1, 1792, 1024)
    assert [(r.first, r.n_rows) for r in arrays.regions] == [(0, 896), (896, 896)]
    assert (arrays.n_bias_rows, arrays.reserved_columns, arrays.signed_rows) == (16, 128, False)
    assert (arrays.cell_lo, arrays.cell_hi) == (-128, 127)
    assert (chip.converter.rule, chip.stage) == (Rule.WTM2101, Stage.SHIFT)
    assert (chip.converter.gain_lo, chip.converter.gain_hi) == (8, 13)
    assert chip.converter.gain_scope == "layer"
    assert "dwconv" not in chip.vector_ops
    assert chip.n_cells == 1792 * 896


def test_nor1_has_the_arrays_of_wtm2101_and_a_full_digital_stage() -> None:
    chip = load_chip("nor1")
    assert chip.arrays == load_chip("wtm2101").arrays
    assert (chip.converter.rule, chip.converter.bits) == (Rule.LINEAR, 8)
    assert chip.stage == Stage.REQUANTISE
    assert "dwconv" in chip.vector_ops


def test_digital_is_lossless_and_holds_a_mobilenet() -> None:
    chip = load_chip("digital")
    assert chip.converter.rule == Rule.LOSSLESS
    assert chip.arrays.signed_rows
    assert chip.n_cells > 4_200_000


def test_overlay_fits_the_fpga() -> None:
    chip = load_chip("overlay")
    memories = chip.memories
    assert memories.weight_bytes == 64 * (4096 + 64)
    assert memories.activation_bytes == 64 * 1024
    records = [
        (memories.n_descriptors, DESCRIPTOR_WORDS), (memories.n_tiles, TILE_WORDS),
        (memories.n_columns, COLUMN_WORDS), (memories.n_tables, TABLE_BYTES // 4),
    ]  # fmt: skip
    assert [4 * count * words for count, words in records] == [memories.record_bytes] * 4
    assert memories.record_bytes == 32 * 1024
    assert (chip.timing.lanes, chip.timing.vector_lanes) == (64, 32)
    assert chip.converter == load_chip("nor1").converter


def test_fingerprint_follows_values_and_not_sources() -> None:
    original = parse_chip(NOR1.encode(), "nor1").fingerprint
    assert len(original) == 64
    other_source = NOR1.replace('source = "as wtm2101"', 'source = "ASSUMED"')
    assert parse_chip(other_source.encode(), "nor1").fingerprint == original
    assert parse_chip(with_value("cell_hi", "126").encode(), "nor1").fingerprint != original


def test_fingerprint_does_not_depend_on_how_a_number_is_written() -> None:
    spelt = with_value("clock_hz", "24000000")
    assert parse_chip(spelt.encode(), "nor1").fingerprint == load_chip("nor1").fingerprint


def test_chip_file_by_path(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(NOR1.replace('name = "nor1"', 'name = "mine"'))
    assert load_chip(path).name == "mine"


def test_unknown_chip_lists_the_known_ones_and_a_close_match() -> None:
    with pytest.raises(NorcimError) as caught:
        load_chip("wtm2100")
    assert caught.value.id == "NC-E0701"
    assert "overlay" in caught.value.expected
    assert "'wtm2101'" in caught.value.fix


@pytest.mark.parametrize("text", ["name = ", b"\xff\xfe"])
def test_not_toml(text: str | bytes) -> None:
    assert refused(text).id == "NC-E0702"


def test_unknown_keys_are_all_named_with_a_close_match() -> None:
    error = refused(NOR1.replace("n_rows =", "nrows =").replace("[energy]", "[enrgy]"))
    assert error.id == "NC-E0703"
    assert "arrays.nrows" in error.what
    assert "enrgy" in error.what


def test_missing_keys_are_all_named() -> None:
    lines = [line for line in NOR1.splitlines() if not line.startswith(("n_rows", "clock_hz"))]
    error = refused("\n".join(lines))
    assert error.id == "NC-E0704"
    assert error.expected == "arrays.n_rows, timing.clock_hz"


def test_source_without_value() -> None:
    error = refused(re.sub(r"^n_rows = .*$", 'n_rows = { source = "x" }', NOR1, flags=re.M))
    assert error.id == "NC-E0704"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_rows", "1792.0"),
        ("n_rows", '"1792"'),
        ("n_rows", "true"),
        ("signed_rows", "0"),
        ("clock_hz", '"fast"'),
        ("rule", "1"),
        ("vector_ops", '"add"'),
        ("vector_ops", "[1]"),
        ("regions", "[[0]]"),
        ("regions", "[]"),
    ],
)
def test_wrong_type(key: str, value: str) -> None:
    assert refused(with_value(key, value)).id == "NC-E0705"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_rows", "0"),
        ("n_rows", "65536"),
        ("clock_hz", "nan"),
        ("clock_hz", "-1.0"),
        ("static_w", "inf"),
        ("rule", '"flash"'),
        ("vector_ops", '["add", "sub"]'),
        ("regions", "[[0, 896], [895, 896]]"),
        ("regions", "[[0, 1793]]"),
        ("regions", "[[0, 0]]"),
        ("regions", "[[-1, 10]]"),
        ("reserved_columns", "1024"),
        ("gain_lo", "17"),
    ],
)
def test_out_of_range(key: str, value: str) -> None:
    assert refused(with_value(key, value)).id == "NC-E0706"


@pytest.mark.parametrize(
    "entry", ["1792", "{ value = 1792 }", '{ value = 1792, source = " " }', "[1792]"]
)
def test_value_without_source(entry: str) -> None:
    assert refused(re.sub(r"^n_rows = .*$", f"n_rows = {entry}", NOR1, flags=re.M)).id == "NC-E0707"


def test_extra_word_beside_value_and_source() -> None:
    text = re.sub(
        r"^n_rows = .*$", 'n_rows = { value = 1, source = "x", unit = "" }', NOR1, flags=re.M
    )
    assert refused(text).id == "NC-E0703"


@pytest.mark.parametrize("name", ["1", '""'])
def test_bad_name(name: str) -> None:
    assert refused(NOR1.replace('name = "nor1"', f"name = {name}")).id == "NC-E0705"


def test_section_that_is_no_table() -> None:
    assert refused("arrays = 1\n" + NOR1.replace("[arrays]", "[timing2]")).id == "NC-E0703"


def test_page_explains_every_key() -> None:
    page = (Path(__file__).parents[3] / "docs" / "chips.md").read_text()
    rows = [(f"| `{key}` | {rule.unit} | ", f" | {rule.doc} |") for key, rule in SCHEMA.items()]
    lines = page.splitlines()
    missing = [
        head
        for head, tail in rows
        if not any(x.startswith(head) and x.endswith(tail) for x in lines)
    ]
    assert missing == []


def test_page_lists_every_chip_with_its_title() -> None:
    page = (Path(__file__).parents[3] / "docs" / "chips-of-the-market.md").read_text()
    reference = {"digital", "nor1", "overlay"}
    missing = [
        name
        for name in set(list_chips()) - reference
        if f"| `{name}` | {load_chip(name).title} |" not in page
    ]
    assert missing == []


@pytest.mark.parametrize("name", list_chips())
def test_peak_is_near_what_is_published_or_the_file_says_why_not(name: str) -> None:
    chip = load_chip(name)
    assert unexplained(chip) == []
    if chip.about.role == "estimate":
        assert chip.published.note or ratios(chip)


def test_an_unexplained_miss_is_found() -> None:
    chip = load_chip("m1076")
    wrong = replace(chip, published=replace(chip.published, tops=50.0))
    assert unexplained(wrong) == ["tops"]


def test_peak_of_a_known_array() -> None:
    found = peak(load_chip("wtm2101"))
    assert found.tops == pytest.approx(2 * 896 * 896 / (56 * 14 / 24e6) / 1e12)
    assert found.power_w == pytest.approx(4.93e-3, rel=0.01)
    assert found.tops_per_w == pytest.approx(found.tops / found.power_w)


BASED = """
name = "mine"
title = "Mine"
base = "nor1"
[arrays]
n_rows = { value = 512, source = "data sheet" }
regions = { value = [[0, 512]], source = "data sheet" }
"""


def test_a_base_gives_what_the_file_lacks_and_marks_it_as_assumed() -> None:
    chip, base = parse_chip(BASED.encode(), "my.toml"), load_chip("nor1")
    assert (chip.arrays.n_rows, chip.sources["arrays.n_rows"]) == (512, "data sheet")
    assert chip.arrays.n_columns == base.arrays.n_columns
    assert chip.sources["arrays.n_columns"] == "ASSUMED: as nor1"
    assert chip.cells == base.cells
    assert chip.about.memory == "unknown"
    assert chip.fingerprint != base.fingerprint


@pytest.mark.parametrize("base", ["nor9", "m1076"])
def test_a_base_is_a_shipped_chip_without_one(base: str) -> None:
    assert refused_id(BASED.replace("nor1", base)) == "NC-E0701"


def refused_id(text: str) -> str:
    with pytest.raises(NorcimError) as caught:
        parse_chip(text.encode(), "my.toml")
    return caught.value.id


def test_cells_do_not_change_the_fingerprint() -> None:
    other = re.sub(
        r"^program_floor = \{ value = [^,]*", "program_floor = { value = 9.0", NOR1, flags=re.M
    )
    chip = parse_chip(other.encode(), "nor1")
    assert chip.cells.program_floor == 9
    assert chip.fingerprint == load_chip("nor1").fingerprint


def test_cells_are_optional() -> None:
    bare = NOR1[: NOR1.index("[about]")]
    chip = parse_chip(bare.encode(), "nor1")
    assert chip.cells.kind == "none"
    assert chip.sources["cells.kind"].startswith("default")
