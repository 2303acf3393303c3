"""`norcim chips` and `norcim doctor` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from norcim.chips import list_chips
from norcim.errors import EXIT_USAGE, NorcimError
from norcim.transport import DeviceInfo
from norcim_cli.main import main

Capture = pytest.CaptureFixture[str]


def lines_of(capsys: Capture) -> list[dict[str, object]]:
    """Every line of stdout as JSON."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_chips_lists_the_reference_chips(capsys: Capture) -> None:
    assert main(["chips"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("digital", "nor1", "overlay", "wtm2101"))


def test_chips_as_json_is_one_object_a_chip(capsys: Capture) -> None:
    assert main(["chips", "--json"]) == 0
    found = lines_of(capsys)
    assert [chip["name"] for chip in found] == list(list_chips())
    assert {chip["role"] for chip in found} == {"network", "estimate"}
    assert {chip["schema"] for chip in found} == {"norcim.chip.v1"}


def test_peaks_are_compared_with_what_is_published(capsys: Capture) -> None:
    assert main(["estimate", "--peak", "--json"]) == 0
    found = {row["chip"]: row for row in lines_of(capsys)}
    assert "wtm2101" in found
    assert "nor1" not in found
    assert main(["estimate", "--peak", "--chip", "nor1"]) == 0
    assert "nor1" in capsys.readouterr().out
    assert main(["estimate"]) == EXIT_USAGE


def test_one_chip_shows_every_value_with_its_source(capsys: Capture) -> None:
    assert main(["chips", "wtm2101", "--json"]) == 0
    (found,) = lines_of(capsys)
    values = found["values"]
    assert isinstance(values, dict)
    assert values["arrays.n_rows"]["value"] == 1792
    assert values["converter.rule"]["value"] == "wtm2101"
    assert all(entry["source"] for entry in values.values())


def test_chip_file_can_be_taken_as_a_start_for_your_own(tmp_path: Path, capsys: Capture) -> None:
    assert main(["chips", "nor1", "--toml"]) == 0
    path = tmp_path / "my.toml"
    path.write_text(capsys.readouterr().out)
    assert main(["chips", str(path)]) == 0
    assert "arrays.n_rows" in capsys.readouterr().out


def test_unknown_chip_is_a_usage_error(capsys: Capture) -> None:
    assert main(["chips", "wtm2100"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "NC-E0701" in err
    assert "did you mean 'wtm2101'?" in err


def test_doctor_shows_where_each_value_comes_from(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORCIM_CHIP", "digital")
    assert main(["doctor", "--json"]) == 0
    (found,) = lines_of(capsys)
    configuration = found["configuration"]
    assert isinstance(configuration, list)
    chip = next(row for row in configuration if row["name"] == "chip")
    assert chip["value"] == "digital"
    assert "NORCIM_CHIP" in chip["source"]


def test_doctor_in_words(capsys: Capture) -> None:
    assert main(["doctor"]) == 0
    assert "everything that norcim needs is here" in capsys.readouterr().out


def test_devices_lists_the_emulator(capsys: Capture) -> None:
    assert main(["devices", "--json"]) == 0
    assert lines_of(capsys)[0]["url"] == "emulator:"


def test_devices_says_what_answers_on_each_port(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NORCIM_BOARDS", str(tmp_path))  # none but those of this test
    info = DeviceInfo("board", "nor1", "5a", 1, 64, {}, "0.1.0", "00ff", 2, 8192, 1, 1)
    silent = NorcimError("NC-E0631", "no norcim device answers on this port")
    ports = [("/dev/ttyUSB0", "FT231X", info), ("/dev/ttyS0", "", silent)]
    monkeypatch.setattr("norcim.transport.list_serial_ports", lambda: ports)
    assert main(["devices", "--json"]) == 0
    board, port = lines_of(capsys)[2:]
    assert (board["url"], board["kind"]) == ("/dev/ttyUSB0", "board")
    assert "firmware 0.1.0, ABI level 1, chip nor1, active slot 1, id 00ff" in board["what"]
    assert (port["kind"], port["what"]) == ("port", "no norcim device answers on this port")
