"""`norcim validate` against the firmware over a port; golden arithmetic plays the NPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from norcim.emulator import reference
from norcim.emulator.flash import NorFlash
from norcim.emulator.regions import output_region
from norcim.image import build_image
from norcim.spec.image_format import SectionKind
from norcim.spec.program import Opcode
from norcim_cli.main import main
from tests.firmware.native import Library, MemoryNpu, make_config
from tests.unit.image.sample import sample_content

pytest.importorskip("termios", reason="needs pseudo-terminals")
from tests.firmware.pty_link import InProcess, PtyLink


class WeakCell(MemoryNpu):
    """A bit of one cell reads wrong."""

    def load(self, kind: int, offset: int, data: bytes) -> None:
        if kind == SectionKind.WEIGHTS:
            data = bytes(b ^ (0x40 if offset + i == 113 else 0) for i, b in enumerate(data))
        super().load(kind, offset, data)


class StuckLane(MemoryNpu):
    """Bit 3 of every MVM's channel 1 is wrong."""

    def run(self, first: int) -> tuple[int, bool]:
        content = self._decode()
        for index, d in enumerate(content.program[first:], first):
            if d.opcode in (Opcode.FIRMWARE, Opcode.END):
                return index, d.opcode == Opcode.FIRMWARE
            reference.execute(d, content, self.memory)
            if d.opcode == Opcode.MVM:
                output_region(d).view(self.memory)[..., 1] ^= 8
        raise AssertionError("no END")


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    names = [d.layer for d in sample_content().program[:-1]]
    meta = {
        "inputs": [{"name": "x", "shape": [4, 4, 2], "perm": [0, 1, 2], "codes": "int8"}],
        "outputs": [{"name": "y", "shape": [1, 1, 4], "perm": [0, 1, 2], "codes": "int8"}],
        "layers": [{"name": f"layer_{index}"} for index in names],
    }
    path = tmp_path / "sample.cim"
    path.write_bytes(build_image(sample_content(meta=meta)))
    return path


def _validate(lib: Library, npu: MemoryNpu, *arguments: object) -> int:
    device = InProcess(lib, NorFlash(7), config=make_config(2), npu=npu)
    with PtyLink(device, drop=0.01, corrupt=0.01, seed=2) as link:
        code = main(["validate", *map(str, arguments), "-p", link.port])
    device.stop()
    return code


def test_a_board_that_is_right(
    lib: Library, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _validate(lib, MemoryNpu(), image, "-n", "3") == 0
    assert "in all 312 bytes of 8 layer(s) of 3 sample(s)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("npu", "channel", "lines"),
    [
        (WeakCell, 3, ["  tile 2: array 0, rows from 0, column 210"]),
        (StuckLane, 1, [
            "  tile 0: array 0, rows from 0, column 201",
            "  tile 1: array 0, rows from 20, column 201",
        ]),
    ],
)  # fmt: skip
def test_a_board_that_is_wrong(
    lib: Library, image: Path, capsys: pytest.CaptureFixture[str],
    npu: type[MemoryNpu], channel: int, lines: list[str],
) -> None:  # fmt: skip
    assert _validate(lib, npu(), image, "-n", "3", "-o", "found.npz") == 4
    out = capsys.readouterr().out.splitlines()
    assert any(line.startswith("descriptor 0 (MVM, layer_0), sample ") for line in out)
    assert [line for line in out if line.startswith("  tile")] == lines
    assert f"  channels that differ: {channel}" in out
    assert out[-1] == "saved as found.npz; norcim validate --replay found.npz runs it again"
    assert _validate(lib, MemoryNpu(), "--replay", "found.npz") == 0
    assert _validate(lib, StuckLane(), "--replay", "found.npz", "--json") == 4
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["schema"] == "norcim.replay.v1"
    assert found["n_different"]["device"] > 0 == found["n_different"]["emulator"]


def test_json_names_the_place(
    lib: Library, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _validate(lib, WeakCell(), image, "-n", "8", "--json") == 4
    found = json.loads(capsys.readouterr().out)
    place = found["divergence"]
    assert (place["descriptor"], place["machine"], place["channels"]) == (0, "device", [3])
    assert place["tiles"] == [{"tile": 2, "array": 0, "row": 0, "column": 210}]
    assert Path(found["saved"]).exists()


def test_against_the_golden_executor_without_a_device(image: Path) -> None:
    assert main(["validate", str(image), "--against", "golden", "-n", "3"]) == 0
    assert main(["validate"]) == 2
    assert main(["validate", "--replay", str(image)]) == 2
