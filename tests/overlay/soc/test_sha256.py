"""The hash in hardware against hashlib."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from norcim.spec.registers import SHA256_REGISTERS
from norcim_overlay.soc.sha256 import CONSTANTS, Sha256
from tests.overlay.npu.stream import simulate
from tests.overlay.soc.bus import access_bank

START = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
         0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)  # fmt: skip
OFFSETS = {r.name: r.offset // 4 for r in SHA256_REGISTERS}


def _padded(message: bytes) -> bytes:
    zeros = bytes(-(len(message) + 9) % 64)
    return message + b"\x80" + zeros + (8 * len(message)).to_bytes(8, "big")


def test_constants_are_those_of_the_standard() -> None:
    assert len(CONSTANTS) == 64
    assert CONSTANTS[:2] == [0x428A2F98, 0x71374491]
    assert CONSTANTS[-1] == 0xC67178F2


def test_messages_of_every_kind_hash_as_they_should() -> None:
    rng = np.random.default_rng(3)
    messages = [b"", b"abc", bytes(64), b"\xff" * 119]
    messages += [rng.integers(0, 256, n, dtype=np.uint8).tobytes() for n in (55, 56, 200)]
    top = Sha256()

    async def testbench(ctx: Any) -> None:
        bank = top.registers

        async def access(name: str, value: int | None = None) -> int:
            return await access_bank(ctx, bank, OFFSETS[name], value)

        for message in messages:
            blocks = _padded(message)
            for i, word in enumerate(START):
                await access(f"STATE_{i}", word)
            for at in range(0, len(blocks), 4):
                await access("WORD", int.from_bytes(blocks[at : at + 4], "little"))
                n_waited = 0
                while await access("STATUS"):
                    n_waited += 1
                assert n_waited == (129 if at % 64 == 60 else 0)
            digest = b"".join([(await access(f"STATE_{i}")).to_bytes(4, "big") for i in range(8)])
            assert digest == hashlib.sha256(message).digest()

    simulate(top, testbench)
