"""Block RAMs in a packer's text file."""

import numpy as np

from norcim_overlay.boards import ram_content
from norcim_overlay.boards.ram_content import BLOCK_WORDS, SLICE_WORDS


def config_of(content, width, first=3):
    """A packer's text file with a memory of 32-bit words in block RAMs `width` bits wide.

    A block RAM of w bits has 16384 / w words (w of 9, 18, 36: eight, sixteen or 32 used).
    """
    rows = ram_content.slices(content).reshape(-1, 32, SLICE_WORDS)
    used = {9: 8, 18: 16, 36: 32}.get(width, width)
    capacity = BLOCK_WORDS * 8 // used
    depth = len(content) // 4
    blocks = {}
    for start in range(0, depth, capacity):
        for bit in range(0, 32, used):
            flat = np.zeros(BLOCK_WORDS * 9, bool)
            for word in range(min(capacity, depth - start)):
                for b in range(used):
                    number = word * width + b
                    at = number if width >= 9 else number // 8 * 9 + number % 8
                    address = start + word
                    flat[at] = rows[address // SLICE_WORDS, bit + b, address % SLICE_WORDS]
            blocks[first + len(blocks)] = flat
    texts = []
    for number, flat in blocks.items():
        words = flat.reshape(-1, 9) @ (1 << np.arange(9))
        lines = "".join(" ".join(f"{w:03x}" for w in row) + "\n" for row in words.reshape(-1, 8))
        texts.append(f".bram_init {number}\n{lines}\n")
    return ".device LFE5U-85F\n\n" + "".join(texts) + ".tile X\nenum: A B\n"
