"""Inputs that cannot be used."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from norcim.errors import NorcimError
from norcim_cli import files


def error_of(path: Path) -> NorcimError:
    with pytest.raises(NorcimError) as caught:
        files.load_arrays(path)
    assert caught.value.where == str(path)
    return caught.value


def test_npz_gives_its_arrays_and_npy_gives_x(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.savez(tmp_path / "a.npz", x=x, y=np.array([0, 1]))
    np.save(tmp_path / "a.npy", x)
    found = files.load_arrays(tmp_path / "a.npz")
    assert sorted(found) == ["x", "y"]
    assert np.array_equal(files.load_arrays(tmp_path / "a.npy")["x"], x)


def test_missing_file(tmp_path: Path) -> None:
    assert error_of(tmp_path / "none.npz").id == "NC-E0101"


def test_folder(tmp_path: Path) -> None:
    assert error_of(tmp_path).id == "NC-E0101"


@pytest.mark.parametrize("data", [b"", b"not numpy at all", b"\x93NUMPY\x01\x00", b"PK\x03\x04abc"])
def test_file_that_is_no_array(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(data)
    assert error_of(path).id == "NC-E0105"


def test_truncated_archive(tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    np.savez(path, x=np.zeros(1000))
    path.write_bytes(path.read_bytes()[:500])
    assert error_of(path).id == "NC-E0105"


def test_archive_that_unpacks_to_more_than_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros(1_000_000))
    monkeypatch.setattr(files, "MAX_ARRAYS_BYTES", 1_000_000)
    assert path.stat().st_size < 100_000
    error = error_of(path)
    assert error.id == "NC-E0105"
    assert "unpacked" in error.got


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{"a": 1}], dtype=object))
    assert error_of(path).id == "NC-E0105"


def test_archive_with_something_else_in_it(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"nothing")
    assert error_of(path).id == "NC-E0105"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(tmp_path: Path, value: float) -> None:
    path = tmp_path / "nan.npz"
    np.savez(path, x=np.array([0.0, value]))
    error = error_of(path)
    assert error.id == "NC-E0105"
    assert "x" in error.got


def test_image_is_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "model.cim"
    path.write_bytes(b"\x08\x07\x12\x07pytorch")
    assert not files.is_image(path)
    with pytest.raises(NorcimError) as caught:
        files.load_image(path)
    assert caught.value.id == "NC-E0102"
    renamed = tmp_path / "model.onnx"
    renamed.write_bytes(b"NCIM" + bytes(100))
    assert files.is_image(renamed)
    with pytest.raises(NorcimError) as caught:
        files.refuse_image(renamed)
    assert caught.value.id == "NC-E0102"


def test_existing_output_is_refused_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / "out.cim"
    files.refuse_existing(path, overwrite=False)
    path.write_bytes(b"precious")
    files.refuse_existing(path, overwrite=True)
    with pytest.raises(NorcimError) as caught:
        files.refuse_existing(path, overwrite=False)
    assert caught.value.id == "NC-E0560"


def test_arrays_are_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    files.write_arrays(path, {"y": np.array([1, 2])}, overwrite=False)
    assert np.array_equal(files.load_arrays(path)["y"], [1, 2])
    with pytest.raises(NorcimError):
        files.write_arrays(path, {}, overwrite=False)
