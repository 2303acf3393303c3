"""The content of a memory inside a placed design: found once, replaced as often as wanted.

A design is placed with a pseudo-random content of the CPU's memory. Which bits of which block RAMs
hold it is found in the packer's text file; a firmware is put there without a new place and route.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np

WORD_BITS = 32
#: Words of the memory that lie at regular places in one block RAM, whatever its width.
SLICE_WORDS = 512
BLOCK_WORDS, BLOCK_WORD_BITS = 2048, 9
#: Ports of a DP16KD: bits a word, bits used of each of the 9, slices in a block.
#: Source: prjtrellis, tools/ecpbram.cpp.
_WIDTHS = ((1, 8, 32), (2, 8, 32), (4, 8, 32), (9, 9, 36), (18, 9, 36), (36, 9, 36))
_BLOCK = re.compile(r"^\.bram_init (\d+)\n((?:[0-9a-f]{3}[ \n])+)", re.MULTILINE)
_WORDS_A_LINE = 8


@dataclass(frozen=True)
class Places:
    """Where a memory lies: one row a slice, in the order of `slices`: block RAM, kind of place."""

    n_bytes: int
    rows: tuple[tuple[int, int], ...]


def pattern(n_bytes: int) -> bytes:
    """Content to place with: always the same, no two slices alike."""
    return hashlib.shake_256(b"norcim CPU memory").digest(n_bytes)


def find(config: str, content: bytes) -> Places:
    """Look for a memory of 32-bit words in ecppack's text file.

    Raises ValueError if it is not there, or not once.
    """
    wanted = {row.tobytes(): i for i, row in enumerate(np.packbits(slices(content), axis=1))}
    found: dict[int, tuple[int, int]] = {}
    where = _bit_numbers()
    for block, bits in _blocks(config).items():
        for kind, row in enumerate(np.packbits(bits[where], axis=1)):
            index = wanted.get(row.tobytes())
            if index is not None and index in found:
                raise ValueError(f"slice {index} is in block RAM {found[index][0]} and in {block}")
            if index is not None:
                found[index] = (block, kind)
    if len(found) != len(wanted):
        raise ValueError(f"{len(found)} of {len(wanted)} slices of the memory are in block RAMs")
    return Places(len(content), tuple(found[i] for i in range(len(found))))


def replace(config: str, places: Places, content: bytes) -> str:
    """The text file with another content, shorter or as long; what is left is zero."""
    if len(content) > places.n_bytes:
        raise ValueError(f"{len(content)} bytes do not fit into {places.n_bytes}")
    blocks, where = _blocks(config), _bit_numbers()
    rows = slices(content.ljust(places.n_bytes, b"\0"))
    for (block, kind), row in zip(places.rows, rows, strict=True):
        blocks[block][where[kind]] = row
    changed = {block for block, _ in places.rows}
    return _BLOCK.sub(
        lambda m: _block_text(int(m[1]), blocks[int(m[1])]) if int(m[1]) in changed else m[0],
        config,
    )


def read(config: str, places: Places) -> bytes:
    """The content that the text file has."""
    blocks, where = _blocks(config), _bit_numbers()
    rows = np.array([blocks[block][where[kind]] for block, kind in places.rows])
    words = rows.reshape(-1, WORD_BITS, SLICE_WORDS).transpose(0, 2, 1)
    return np.packbits(words, axis=2, bitorder="little").tobytes()


def slices(content: bytes) -> np.ndarray:
    """Bits [n, 512] of bool: bit 0 of the first 512 words, bit 1 of these, ..."""
    bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
    words = bits.reshape(-1, SLICE_WORDS, WORD_BITS)
    return words.transpose(0, 2, 1).reshape(-1, SLICE_WORDS).astype(bool)


def _bit_numbers() -> np.ndarray:
    """Bits of a block [kinds of place, 512] that hold a slice."""
    rows = []
    for width, used, n_slices in _WIDTHS:
        for place in range(n_slices):
            start = place % width + place // width * SLICE_WORDS * width
            number = start + np.arange(SLICE_WORDS) * width
            rows.append(number // used * BLOCK_WORD_BITS + number % used)
    return np.array(rows)


def _blocks(config: str) -> dict[int, np.ndarray]:
    """Block RAMs by number: their bits [18432] of bool."""
    blocks = {}
    for match in _BLOCK.finditer(config):
        words = np.array([int(word, 16) for word in match[2].split()])
        if len(words) != BLOCK_WORDS:
            raise ValueError(f"block RAM {match[1]} has {len(words)} words, not {BLOCK_WORDS}")
        bits = words[:, None] >> np.arange(BLOCK_WORD_BITS) & 1
        blocks[int(match[1])] = bits.reshape(-1).astype(bool)
    return blocks


def _block_text(number: int, bits: np.ndarray) -> str:
    words = bits.reshape(BLOCK_WORDS, BLOCK_WORD_BITS) @ (1 << np.arange(BLOCK_WORD_BITS))
    lines = words.reshape(-1, _WORDS_A_LINE)
    return f".bram_init {number}\n" + "".join(
        " ".join(f"{word:03x}" for word in line) + "\n" for line in lines
    )
