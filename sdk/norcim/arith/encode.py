"""How activation codes drive wordlines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from norcim.errors import NorcimError
from norcim.spec.program import Encoding

Ints = npt.NDArray[np.int64]


def encode_rows(codes: npt.ArrayLike, encoding: int, zero_point: int = 0) -> Ints:
    """Wordline values of im2col inputs.

    codes       integers, (..., n_rows): int8 or uint8 codes by the descriptor's in_signed
    encoding    norcim.spec.program.Encoding
    zero_point  PN only
    Returns (..., n_rows), or (..., 2 * n_rows) for PN: max(code - zp, 0), then max(zp - code, 0).
    """
    values = np.asarray(codes, np.int64)
    if encoding == Encoding.DIRECT:
        return values
    if encoding == Encoding.OFFSET:
        return values + 128
    if encoding == Encoding.PN:
        centred = values - zero_point
        return np.concatenate([np.maximum(centred, 0), np.maximum(-centred, 0)], axis=-1)
    raise NorcimError(
        "NC-E0902", "unknown input encoding", expected="0, 1 or 2", got=str(encoding),
        fix="compile the model again with this version of norcim",
    )  # fmt: skip
