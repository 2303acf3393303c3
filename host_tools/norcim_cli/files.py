"""Input and output files: told apart by what is in them, never by their names."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from norcim.errors import EXIT_USAGE, NorcimError
from norcim_cli import console

if TYPE_CHECKING:
    import numpy.typing as npt

    from norcim.image import ImageContent

    Arrays = dict[str, npt.NDArray[Any]]

MAX_ARRAYS_BYTES = 4 << 30
"""Vectors larger than this are refused before they are read."""


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file. Raises NC-E0101 if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as cause:
        raise _unreadable(path, cause) from cause


def _unreadable(path: str | Path, cause: OSError) -> NorcimError:
    return NorcimError(
        "NC-E0101",
        "the file cannot be read",
        where=str(path),
        expected="a file that is there and may be read",
        got=cause.strerror or str(cause),
        fix="check the path",
        exit_code=EXIT_USAGE,
    )


def is_image(path: str | Path) -> bool:
    """Whether the file begins like a weight image. Raises NC-E0101 if it cannot be read."""
    from norcim.image import looks_like_image

    try:
        with Path(path).open("rb") as file:
            return looks_like_image(file.read(16))
    except OSError as cause:
        raise _unreadable(path, cause) from cause


def load_image(path: str | Path) -> tuple[bytes, ImageContent]:
    """An image's bytes and its checked content. Raises NC-E0101, NC-E0102 or NC-E05xx."""
    from norcim.image import looks_like_image, read_image

    data = read_bytes(path)
    if not looks_like_image(data[:16]):
        raise NorcimError(
            "NC-E0102",
            "the file is not a weight image",
            where=str(path),
            expected="a file that `norcim compile` wrote",
            got="other bytes at its start" if data else "an empty file",
            fix="if it is an ONNX model, compile it first: norcim compile MODEL -o model.cim",
            exit_code=EXIT_USAGE,
        )
    return data, read_image(data)


def load_network(path: str | Path, name: str | None) -> tuple[bytes, ImageContent, int]:
    """An image's bytes, and the content and number of one of its networks.

    name  as in `norcim.image.find_network`; None: the first, and a word on the others
    """
    from norcim.image import find_network, network_names, networks

    data, content = load_image(path)
    index, names = find_network(content, name), network_names(content)
    if name is None and len(names) > 1:
        console.log(f"network {names[0]!r} of {', '.join(names)}; choose one with --network")
    return data, networks(content)[index], index


def refuse_image(path: str | Path) -> None:
    """Raise NC-E0102 if an image stands where a model is wanted."""
    if is_image(path):
        raise NorcimError(
            "NC-E0102",
            "the file is a weight image, compiled already",
            where=str(path),
            expected="an ONNX model",
            got="a weight image",
            fix="give the model it was compiled from, or `norcim info` to look into it",
            exit_code=EXIT_USAGE,
        )


def refuse_existing(path: str | Path | None, overwrite: bool) -> None:
    """Raise NC-E0560 before any work is done if the output exists and may not be replaced."""
    if path is not None and not overwrite and Path(path).exists():
        raise NorcimError(
            "NC-E0560",
            "the output exists already",
            where=str(path),
            fix="choose another output, or give --overwrite",
            exit_code=EXIT_USAGE,
        )


def load_arrays(path: str | Path) -> Arrays:
    """Arrays of an .npz file by name, or of an .npy file as `x`. Raises NC-E0101, NC-E0105."""
    import numpy as np

    source = Path(path)
    try:
        with source.open("rb") as file:  # ours: numpy leaves its own open when an archive is broken
            n_bytes = _unpacked_bytes(source)
            if n_bytes > MAX_ARRAYS_BYTES:
                raise _not_arrays(path, f"{n_bytes:,} bytes when unpacked")
            loaded = np.load(file, allow_pickle=False)
            arrays = {"x": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
        return {name: _checked(path, name, array) for name, array in arrays.items()}
    except OSError as cause:
        if source.is_file():
            raise _not_arrays(path, str(cause)) from cause
        raise _unreadable(path, cause) from cause
    except NorcimError:
        raise
    except Exception as cause:  # numpy and zipfile raise a dozen kinds for a broken file
        raise _not_arrays(path, f"{type(cause).__name__}: {cause}") from cause


def _unpacked_bytes(path: Path) -> int:
    """What a file of arrays takes in memory; an .npz is a zip archive and may say so itself."""
    if not zipfile.is_zipfile(path):
        return path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        return sum(member.file_size for member in archive.infolist())


def _checked(path: str | Path, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    import numpy as np

    if array.dtype.kind not in "buifUS":
        raise _not_arrays(path, f"{name} of type {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _not_arrays(path, f"{name} has values that are not finite")
    return array


def _not_arrays(path: str | Path, got: str) -> NorcimError:
    return NorcimError(
        "NC-E0105",
        "the file does not hold usable arrays",
        where=str(path),
        expected="an .npz or .npy file of finite numbers, at most 4 GiB",
        got=got,
        fix='write it with numpy: np.savez("data.npz", x=inputs, y=labels)',
        exit_code=EXIT_USAGE,
    )


def write_arrays(path: str | Path, arrays: dict[str, npt.NDArray[Any]], overwrite: bool) -> None:
    """Write arrays as an .npz file, whole or not at all. Raises NC-E0560, NC-E0561."""
    import io

    import numpy as np

    from norcim.image import write_file

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes allow_pickle here
    write_file(path, buffer.getvalue(), overwrite=overwrite)
