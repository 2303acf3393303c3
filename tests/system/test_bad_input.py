"""Bad input: its own error id and exit code, a fix, no traceback, nothing overwritten."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]
WriteModel = Callable[..., Path]


def refused(result: tuple[int, str, str]) -> tuple[str, int]:
    """The id and exit code of a refusal, which must be well formed."""
    code, out, err = result
    assert out == ""
    assert "Traceback" not in err
    assert "bug in norcim" not in err
    found = json.loads(err.splitlines()[-1])
    assert found["schema"] == "norcim.error.v1"
    assert found["what"]
    assert found["exit_code"] == code
    return found["id"], code


def compile_(
    norcim: Run, model: Path, calibration: Path, target: Path, *more: str
) -> tuple[str, int]:
    """The refusal of a compilation, which must leave no file."""
    args = ("compile", model, "--calibration", calibration, "-o", target, "--json", "-q", *more)
    result = refused(norcim(*args))
    assert not target.exists()
    return result


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where an image would be written."""
    return tmp_path / "out.cim"


@pytest.fixture
def image(small: Path, tmp_path: Path) -> Path:
    """A copy of the small image, to be damaged."""
    path = tmp_path / "damaged.cim"
    path.write_bytes((small / "small.cim").read_bytes())
    return path


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(99), bytes(1000)])
def test_file_that_is_no_model(norcim: Run, small: Path, target: Path, data: bytes) -> None:
    path = target.with_name("model.onnx")
    path.write_bytes(data)
    found, code = compile_(norcim, path, small / "calib.npz", target)
    assert found in ("NC-E0201", "NC-E0202")
    assert code != 0


def test_missing_model(norcim: Run, small: Path, target: Path) -> None:
    found = compile_(norcim, target.with_name("no.onnx"), small / "calib.npz", target)
    assert found == ("NC-E0101", 2)


def test_image_in_place_of_a_model(norcim: Run, small: Path, target: Path) -> None:
    assert compile_(norcim, small / "small.cim", small / "calib.npz", target) == ("NC-E0102", 2)


def test_model_in_place_of_an_image(norcim: Run, small: Path) -> None:
    result = norcim("run", small / "small.onnx", "--input", small / "test.npz", "--json")
    assert refused(result) == ("NC-E0102", 2)


def test_unsupported_operator_is_refused_before_the_calibration_is_used(
    norcim: Run, small: Path, target: Path, write_model: WriteModel
) -> None:
    model = write_model(target.with_name("model.onnx"), op="Hardmax")
    np.savez(target.with_name("bad.npz"), x=np.zeros((3, 99), np.float32))
    found = compile_(norcim, model, target.with_name("bad.npz"), target)
    assert found == ("NC-E0203", 3)


def test_model_larger_than_the_array(norcim: Run, target: Path, write_model: WriteModel) -> None:
    model = write_model(target.with_name("model.onnx"), n_in=1000, n_out=1000)
    np.savez(target.with_name("calib.npz"), x=np.zeros((2, 1000), np.float32))
    found, code = compile_(norcim, model, target.with_name("calib.npz"), target, "-c", "overlay")
    assert (found[:6], code) == ("NC-E03", 3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(
    norcim: Run, small: Path, target: Path, write_model: WriteModel, value: float
) -> None:
    model = write_model(target.with_name("model.onnx"), bad=value)
    found, code = compile_(norcim, model, small / "calib.npz", target)
    assert found in ("NC-E0204", "NC-E0214")
    assert code != 0


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.zeros((5, 9), np.float32), "NC-E0406"),
        (np.zeros((0, 8), np.float32), "NC-E0405"),
        (np.full((5, 8), np.nan, np.float32), "NC-E0105"),
        (np.array(["a", "b"]), "NC-E0406"),
    ],
)
def test_calibration_that_does_not_fit(
    norcim: Run, small: Path, target: Path, x: np.ndarray, expected: str
) -> None:
    np.savez(target.with_name("calib.npz"), x=x)
    found = compile_(norcim, small / "small.onnx", target.with_name("calib.npz"), target)
    assert found == (expected, 2)


def test_float_model_without_calibration(norcim: Run, small: Path, target: Path) -> None:
    found, code = refused(norcim("compile", small / "small.onnx", "-o", target, "--json", "-q"))
    assert found[:6] == "NC-E04"
    assert code != 0


def test_unknown_chip(norcim: Run, small: Path, target: Path) -> None:
    found = compile_(norcim, small / "small.onnx", small / "calib.npz", target, "-c", "nor2")
    assert found == ("NC-E0701", 2)


def test_existing_output_is_kept(norcim: Run, small: Path, target: Path) -> None:
    target.write_bytes(b"precious")
    args = ("compile", small / "small.onnx", "--calibration", small / "calib.npz", "-o", target)
    assert refused(norcim(*args, "--json", "-q")) == ("NC-E0560", 2)
    assert target.read_bytes() == b"precious"
    assert norcim(*args, "--overwrite")[0] == 0
    assert target.read_bytes()[:4] == b"NCIM"


def test_output_in_a_folder_that_is_not_there(norcim: Run, small: Path, target: Path) -> None:
    lost = target / "deeper" / "out.cim"
    found = compile_(norcim, small / "small.onnx", small / "calib.npz", lost)
    assert found == ("NC-E0561", 1)


def test_bad_metadata_file(norcim: Run, small: Path, target: Path) -> None:
    meta = target.with_name("meta.json")
    for text in ("[1]", "{"):
        meta.write_text(text)
        found = compile_(
            norcim, small / "small.onnx", small / "calib.npz", target, "--meta", str(meta)
        )
        assert found == ("NC-E0106", 2)


@pytest.mark.parametrize("keep", [0, 3, 100, 400, -1])
def test_truncated_image(norcim: Run, image: Path, keep: int) -> None:
    image.write_bytes(image.read_bytes()[:keep])
    for command in (("estimate", image), ("run", image, "--input", image), ("flash", image)):
        found, code = refused(norcim(*command, "--json"))
        assert found in ("NC-E0102", "NC-E0512", "NC-E0515")
        assert code != 0


def test_flipped_bit_in_the_header_and_in_each_section(norcim: Run, image: Path) -> None:
    whole = image.read_bytes()
    _, out, _ = norcim("info", image, "--json")
    places = [20] + [s["offset"] for s in json.loads(out)["sections"] if s["length"]]
    for place in places:
        image.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        found, code = refused(norcim("estimate", image, "--json"))
        assert found[:6] == "NC-E05"
        assert code != 0


def test_inputs_of_the_wrong_shape(norcim: Run, small: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3), np.float32))
    result = norcim("run", small / "small.cim", "--input", tmp_path / "x.npz", "--json")
    assert refused(result) == ("NC-E0406", 2)


def test_inputs_under_unknown_names(norcim: Run, small: Path, tmp_path: Path) -> None:
    x = np.zeros((2, 8), np.float32)
    np.savez(tmp_path / "x.npz", a=x, b=x)
    result = norcim("run", small / "small.cim", "--input", tmp_path / "x.npz", "--json")
    assert refused(result) == ("NC-E0404", 2)


def test_audio_for_a_network_without_a_front_end(norcim: Run, small: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(32000))
    result = norcim("run", small / "small.cim", "--input", path, "--json")
    assert refused(result) == ("NC-E0110", 2)


def test_labels_that_do_not_fit(norcim: Run, small: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 8), np.float32), y=np.array([0, 9]))
    result = norcim("eval", small / "small.cim", "--data", tmp_path / "x.npz", "--json")
    assert refused(result) == ("NC-E0905", 2)


def test_another_model_in_eval(
    norcim: Run, small: Path, tmp_path: Path, write_model: WriteModel
) -> None:
    other = write_model(tmp_path / "other.onnx", op="Softmax", n_in=8, n_out=5)
    args = ("eval", small / "small.cim", "--data", small / "test.npz", "--model", other, "--json")
    found, code = refused(norcim(*args))
    assert (found, code) == ("NC-E0906", 2)


def test_port_that_cannot_be_opened(norcim: Run, small: Path) -> None:
    result = norcim("flash", small / "small.cim", "--port", "/dev/nothing-here", "--json")
    found, code = refused(result)
    assert (found[:6], code) == ("NC-E06", 5)


def test_slot_that_is_not_there(norcim: Run, small: Path) -> None:
    result = norcim("flash", small / "small.cim", "--slot", "7", "--json", "-q")
    found, code = refused(result)
    assert (found, code) == ("NC-E0611", 5)


@pytest.mark.parametrize("args", [("compile",), ("run", "x"), ("chips", "--nope"), ("validate",)])
def test_usage(norcim: Run, args: tuple[str, ...]) -> None:
    assert refused(norcim(*args, "--json")) == ("usage", 2)
