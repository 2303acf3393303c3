"""From a model to numbers, as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]


def objects(text: str) -> list[dict[str, Any]]:
    """Every line as JSON."""
    return [json.loads(line) for line in text.splitlines()]


def test_analyse_says_what_a_model_needs(norcim: Run, small: Path) -> None:
    code, out, _ = norcim("analyse", small / "small.onnx", "--chip", "wtm2101", "--json")
    assert code == 0
    (found,) = objects(out)
    assert (found["chip"], found["n_macs"], found["n_weights"]) == ("wtm2101", 32, 32)


def test_compile_writes_the_same_bytes_again(norcim: Run, small: Path, tmp_path: Path) -> None:
    target = tmp_path / "again.cim"
    args = ("compile", small / "small.onnx", "--calibration", small / "calib.npz")
    code, out, err = norcim(*args, "--meta", small / "meta.json", "-o", target)
    assert (code, "quantise" in err) == (0, True)
    assert out.startswith(f"wrote {target}: ")
    assert target.read_bytes() == (small / "small.cim").read_bytes()


def test_compile_json_is_one_object_and_progress_stays_on_stderr(
    norcim: Run, small: Path, tmp_path: Path
) -> None:
    args = ("compile", small / "small.onnx", "--calibration", small / "calib.npz", "--json")
    code, out, _ = norcim(*args, "-o", tmp_path / "a.cim", "-c", "digital")
    assert code == 0
    (found,) = objects(out)
    assert (found["schema"], found["chip"]) == ("norcim.compile.v1", "digital")
    assert found["n_bytes"] == (tmp_path / "a.cim").stat().st_size


def test_dry_run_writes_nothing(norcim: Run, small: Path, tmp_path: Path) -> None:
    args = ("compile", small / "small.onnx", "--calibration", small / "calib.npz", "--dry-run")
    code, out, _ = norcim(*args, "-o", tmp_path / "a.cim")
    assert (code, out.startswith("would write")) == (0, True)
    assert list(tmp_path.iterdir()) == []


def test_compile_for_a_chip_of_your_own(norcim: Run, small: Path, tmp_path: Path) -> None:
    _, text, _ = norcim("chips", "nor1", "--toml")
    (tmp_path / "my.toml").write_text(text.replace('name = "nor1"', 'name = "mine"'))
    args = ("compile", small / "small.onnx", "--calibration", small / "calib.npz")
    assert norcim(*args, "-c", tmp_path / "my.toml", "-o", tmp_path / "a.cim")[0] == 0
    _, out, _ = norcim("info", tmp_path / "a.cim", "--json")
    assert objects(out)[0]["chip"] == "mine"


def test_info_of_an_image(norcim: Run, small: Path) -> None:
    code, out, _ = norcim("info", small / "small.cim", "--json")
    assert code == 0
    (found,) = objects(out)
    assert found["name"] == "small"
    assert found["labels"] == ["a", "b", "c", "d"]
    assert found["arrays"][0]["n_cells"] == 32
    ends = [section["offset"] + section["length"] for section in found["sections"]]
    assert ends == sorted(ends)
    assert ends[-1] <= found["n_bytes"]
    assert norcim("info", small / "small.cim")[0] == 0


def test_info_tells_a_model_by_its_content(norcim: Run, small: Path, tmp_path: Path) -> None:
    disguised = tmp_path / "model.cim"
    disguised.write_bytes((small / "small.onnx").read_bytes())
    code, out, _ = norcim("info", disguised, "--json")
    assert code == 0
    assert objects(out)[0]["schema"] == "norcim.model-info.v1"
    assert norcim("info", disguised)[0] == 0


def test_estimate(norcim: Run, small: Path) -> None:
    code, out, _ = norcim("estimate", small / "small.cim", "--json")
    (found,) = objects(out)
    assert code == 0
    assert found["counts"]["n_array_macs"] == 32
    assert found["latency_s"] > 0
    assert all(entry["source"] for entry in found["constants"].values())
    other = norcim("estimate", small / "small.cim", "--chip", "wtm2101")
    assert "wtm2101:" in other[1]
    assert "energy.conversion_j" in other[1]
    assert "ASSUMED" in other[1]


def test_run_gives_the_same_on_emulator_and_device(
    norcim: Run, small: Path, tmp_path: Path
) -> None:
    args = ("run", small / "small.cim", "--input", small / "test.npz", "--json")
    code, alone, _ = norcim(*args)
    assert code == 0
    assert len(objects(alone)) == 50
    code, device, _ = norcim(*args, "--port", "emulator:", "-o", tmp_path / "out.npz")
    assert (code, device) == (0, alone)
    kept = np.load(tmp_path / "out.npz")
    assert kept["y"].shape == (50, 4)
    assert np.allclose(kept["y"][0], objects(alone)[0]["outputs"]["y"])


def test_run_shows_labels_and_the_first_samples(norcim: Run, small: Path) -> None:
    code, out, err = norcim("run", small / "small.cim", "--input", small / "test.npz")
    assert code == 0
    assert "the first 20 of 50 samples" in out
    assert "50 sample(s) on the emulator" in err


def test_eval_gives_accuracy_and_layer_errors(norcim: Run, small: Path) -> None:
    args = ("eval", small / "small.cim", "--data", small / "test.npz", "--json")
    code, out, _ = norcim(*args, "--model", small / "small.onnx")
    (found,) = objects(out)
    assert code == 0
    assert found["accuracy"] >= 0.9
    assert found["layers"][0]["sqnr_db"] > 20
    assert found["layers"][0]["n_conversions"] == 200
    assert "accuracy" in norcim(*args[:-1])[1]


def test_validate_finds_no_difference(norcim: Run, small: Path) -> None:
    code, out, _ = norcim("validate", small / "small.cim", "-n", "8", "--seed", "5")
    assert code == 0
    assert (
        out == "emulator: equals the emulator in all 32 bytes of 1 layer(s) of 8 sample(s) "
        "(random codes, seed 5)\n"
    )


def test_flash_verify_and_flash_again(norcim: Run, small: Path, tmp_path: Path) -> None:
    port = f"emulator:{tmp_path / 'flash.bin'}"
    code, out, _ = norcim("flash", small / "small.cim", "--port", port, "--json")
    (first,) = objects(out)
    assert (code, first["written"], first["active"]) == (0, True, True)
    code, out, _ = norcim("verify", small / "small.cim", "--port", port)
    assert (code, "sound" in out) == (0, True)
    code, out, _ = norcim("flash", small / "small.cim", "--port", port)
    assert (code, "there already" in out) == (0, True)


def test_two_networks_in_one_image(norcim: Run, small: Path, tmp_path: Path) -> None:
    model, calib, both = small / "small.onnx", small / "calib.npz", tmp_path / "both.cim"
    args = ("compile", model, model, "--name", "one", "--name", "two", "--calibration", calib)
    code, _, err = norcim(*args, "-o", both)
    assert (code, "2 model(s)" in err) == (2, True)
    args = (*args, "--calibration", calib, *("--meta", small / "meta.json") * 2)
    assert norcim(*args, "-o", both)[0] == 0
    code, out, _ = norcim("info", both, "--json")
    (found,) = objects(out)
    assert (found["networks"], found["name"]) == (["one", "two"], "one+two")
    assert {layer["network"] for layer in found["layers"]} == {"one", "two"}
    due = norcim("run", small / "small.cim", "--input", calib)[1]
    port = f"emulator:{tmp_path / 'flash.bin'}"
    for options in ((), ("--network", "two"), ("--network", "1", "--port", port)):
        assert norcim("run", both, "--input", calib, *options)[:2] == (0, due)
    assert norcim("validate", both, "--port", port, "--network", "two", "-n", "3")[0] == 0
    for command in (("run", both, "--input", calib), ("estimate", both)):
        code, _, err = norcim(*command, "--network", "three")
        assert (code, "NC-E0554" in err, "one, two" in err) == (2, True, True)


def test_kept_placement_tells_what_differs(norcim: Run, small: Path, tmp_path: Path) -> None:
    args = ("compile", small / "small.onnx", "--calibration", small / "calib.npz")
    old = ("--keep-placement", small / "small.cim", "--meta", small / "meta.json")
    code, out, _ = norcim(*args, *old, "-o", tmp_path / "again.cim", "--name", "small")
    assert (code, "0 of 1 flash sectors differ" in out) == (0, True)


def test_flash_dry_run_touches_nothing(norcim: Run, small: Path, tmp_path: Path) -> None:
    port = f"emulator:{tmp_path / 'flash.bin'}"
    assert norcim("flash", small / "small.cim", "--port", port, "--dry-run")[0] == 0
    code, _, err = norcim("verify", "--port", port)
    assert (code, "NC-E0618" in err) == (5, True)


def test_verify_notices_another_image(norcim: Run, small: Path, tmp_path: Path) -> None:
    port = f"emulator:{tmp_path / 'flash.bin'}"
    other = tmp_path / "other.cim"
    args = ("compile", small / "small.onnx", "--calibration", small / "calib.npz")
    assert norcim(*args, "-o", other, "--name", "other")[0] == 0
    assert norcim("flash", small / "small.cim", "--port", port)[0] == 0
    assert norcim("verify", other, "--port", port)[0] == 4


def test_validate_notices_a_device_that_computes_otherwise(
    norcim: Run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device whose steps are right, and whose outputs of a run in one go are not."""
    from norcim.transport import EmulatedDevice

    monkeypatch.chdir(tmp_path)
    honest = EmulatedDevice.run

    def wrong(self: EmulatedDevice, inputs: list[bytes], **kwargs: Any) -> list[bytes]:
        outputs = honest(self, inputs, **kwargs)
        return [bytes([data[0] ^ 1]) + data[1:] for data in outputs]

    monkeypatch.setattr(EmulatedDevice, "run", wrong)
    code, out, _ = norcim("validate", small / "small.cim", "-n", "4", "--json")
    assert code == 4
    assert objects(out)[0]["n_different"] == 4
    code, out, _ = norcim("validate", small / "small.cim", "-n", "4")
    assert "4 output bytes differ" in out
    assert "1 of 4 bytes of emulator: differ, first at (0, 0, 0)" in out
    assert "only a run in one go differs" in out
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == [
        "small.divergence.npz", "small.divergence2.npz",
    ]  # fmt: skip


def test_chip_from_the_environment(
    norcim: Run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORCIM_CHIP", "digital")
    args = ("compile", small / "small.onnx", "--calibration", small / "calib.npz", "--json")
    _, out, _ = norcim(*args, "-o", tmp_path / "a.cim")
    assert objects(out)[0]["chip"] == "digital"


def test_ops_lists_what_is_supported_and_what_is_not(norcim: Run) -> None:
    code, out, _ = norcim("ops", "--json")
    assert code == 0
    assert {"Conv", "Gemm", "Softmax", "DequantizeLinear"} <= {o["operator"] for o in objects(out)}
    code, out, _ = norcim("ops", "--unsupported", "--json")
    assert code == 0
    assert all(o["workaround"] for o in objects(out))
