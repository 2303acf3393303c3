"""Files that are either there whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from norcim.errors import EXIT_USAGE, NorcimError


def write_file(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = False) -> None:
    """Write `data` to `path` atomically: temporary file, fsync, rename.

    Raises NC-E0560 if the file exists and `overwrite` is not set, NC-E0561 if it cannot be
    written; an existing file is then as it was.
    """
    target = Path(path)
    if not overwrite and target.exists():
        raise NorcimError(
            "NC-E0560", "the output exists already", where=str(target),
            fix="choose another output, or give --overwrite", exit_code=EXIT_USAGE,
        )  # fmt: skip
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _publish(temporary, target, overwrite)
        _sync_folder(target.parent)
    except FileExistsError:
        raise NorcimError(
            "NC-E0560", "the output appeared while it was being written", where=str(target),
            fix="choose another output, or give --overwrite", exit_code=EXIT_USAGE,
        ) from None  # fmt: skip
    except OSError as error:
        raise NorcimError(
            "NC-E0561", "the output cannot be written", where=str(target),
            got=error.strerror or str(error), fix="check the folder, its permissions and its space",
        ) from error  # fmt: skip
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _publish(temporary: Path, target: Path, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(target)
        return
    try:  # a link, unlike a rename, fails if the target has appeared meanwhile
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links here (FAT, some network drives)
        temporary.replace(target)


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, where folders can be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
