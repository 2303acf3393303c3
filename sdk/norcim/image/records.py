"""Sections of fixed-size records: many records at once, in numpy."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from norcim.errors import NorcimError
from norcim.spec.record import bit_fields, pack_record, unpack_record

R = TypeVar("R")


def encode_records(records: tuple[Any, ...], n_words: int) -> bytes:
    """Pack records of `n_words` words one after the other. Raises NC-E0501 as `pack_record`."""
    return b"".join(pack_record(record, n_words) for record in records)


def decode_records(
    record: type[R], data: bytes, n_words: int, section: str, limit: int
) -> tuple[R, ...]:
    """Unpack a section of records.

    data     the section's bytes; section: its name for errors; limit: most records allowed
    Raises NC-E0521 if the length is no multiple of a record, NC-E0518 over the limit, NC-E0502 if
    reserved bits are set.
    """
    n_records, rest = divmod(len(data), 4 * n_words)
    if rest:
        raise NorcimError(
            "NC-E0521", "the section does not hold whole records", where=f"section {section}",
            expected=f"a multiple of {4 * n_words} bytes", got=f"{len(data):,} bytes",
            fix="compile the model again",
        )  # fmt: skip
    if n_records > limit:
        raise NorcimError(
            "NC-E0518", "the image is over a limit of the format", where=f"section {section}",
            expected=f"at most {limit:,} records", got=f"{n_records:,}",
            fix="compile a smaller model",
        )  # fmt: skip
    words = np.frombuffer(data, "<u4").reshape(n_records, n_words)
    _refuse_reserved_bits(record, words, data, section)
    columns = {item.name: _extract(words, item) for item in bit_fields(record)}
    names = tuple(columns)
    rows = zip(*columns.values(), strict=True)
    return tuple(record(**dict(zip(names, row, strict=True))) for row in rows)


def _extract(words: npt.NDArray[np.uint32], item: Any) -> list[int]:
    """One field of all records as Python integers."""
    mask = (1 << item.width) - 1
    values = (words[:, item.word].astype(np.int64) >> item.lsb) & mask
    if item.signed:
        values = np.where(values > item.hi, values - (1 << item.width), values)
    return list(values.tolist())


def _refuse_reserved_bits(
    record: type[Any], words: npt.NDArray[np.uint32], data: bytes, section: str
) -> None:
    owned = np.zeros(words.shape[1], np.uint32)
    for item in bit_fields(record):
        owned[item.word] |= np.uint32(((1 << item.width) - 1) << item.lsb)
    faulty = np.flatnonzero((words & ~owned).any(axis=1))
    if len(faulty):  # the one-record reader words the error
        index, size = int(faulty[0]), 4 * words.shape[1]
        where = f"section {section}, record {index}"
        unpack_record(record, data[index * size : (index + 1) * size], where)
