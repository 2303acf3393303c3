"""The META section: canonical JSON, bounded before it is parsed."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from norcim.errors import NorcimError
from norcim.spec.image_format import MAX_META_BYTES, MAX_META_DEPTH

# The closing quote is optional and nothing is given back, so that the scan is linear in any text.
_TOKEN = re.compile(rb'"(?:[^"\\]+|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def _refuse(what: str, expected: str = "", got: str = "") -> NoReturn:
    raise NorcimError(
        "NC-E0520", f"the metadata {what}", where="section META", expected=expected, got=got,
        why="metadata is a JSON object with sorted keys, in one spelling only",
        fix="compile the model again; keep extra metadata to plain JSON values",
    )  # fmt: skip


def encode_meta(meta: dict[str, Any]) -> bytes:
    """Canonical JSON of `meta`. Raises NC-E0520 if it is no plain, bounded JSON object."""
    try:
        text = json.dumps(
            meta, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":")
        )
        data = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        _refuse("cannot be stored as JSON", got=str(error))
    _check_bounds(data)
    return data


def decode_meta(data: bytes) -> dict[str, Any]:
    """Parse META. Raises NC-E0520 if it is too long, too deep, no object or not canonical."""
    _check_bounds(data)
    try:
        meta = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        _refuse("is not JSON", got=str(error))
    if not isinstance(meta, dict):
        _refuse("is not an object", "object", type(meta).__name__)
    if encode_meta(meta) != data:
        _refuse("is not in canonical form", "sorted keys, no white space, each key once")
    return meta


def _check_bounds(data: bytes) -> None:
    if len(data) > MAX_META_BYTES:
        _refuse("is too long", f"at most {MAX_META_BYTES:,} bytes", f"{len(data):,}")
    depth = 0
    for match in _TOKEN.finditer(data):
        token = match.group()
        depth += (token in b"[{") - (token in b"]}")
        if depth > MAX_META_DEPTH:
            _refuse("is nested too deeply", f"at most {MAX_META_DEPTH} levels", "more")
