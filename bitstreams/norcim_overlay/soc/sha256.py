"""SHA-256's compression of one block; see docs/decisions/0033.

Source: FIPS 180-4, 6.2.2.
"""

from math import isqrt

from amaranth.hdl import Array, Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import Component

from norcim.spec.registers import SHA256_REGISTERS
from norcim_overlay.soc.register_bank import RegisterBank

N_ROUNDS = 64
N_WORDS = 16


def _cube_root_bits(prime: int) -> int:
    """The first 32 bits of the fraction of a prime's cube root."""
    target, root = prime << 96, 1 << (isqrt(prime).bit_length() + 33)
    while root**3 > target:  # Newton's steps from above
        root = (2 * root + target // root**2) // 3
    return root & 0xFFFFFFFF


PRIMES = [n for n in range(2, 312) if all(n % k for k in range(2, isqrt(n) + 1))]
CONSTANTS = [_cube_root_bits(prime) for prime in PRIMES]


class Sha256(Component):
    """Two cycles a round: sums of two, then sums of these.

    registers   of SHA256_REGISTERS: the sixteenth word written starts the rounds
    """

    def __init__(self) -> None:
        super().__init__({})
        self.registers = RegisterBank(SHA256_REGISTERS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = registers = self.registers
        state = [Signal(32, name=f"state_{i}") for i in range(8)]
        self._work = [Signal(32, name=name) for name in "abcdefgh"]
        self._words = [Signal(32, name=f"word_{i}") for i in range(N_WORDS)]
        n_words, index = Signal(range(N_WORDS)), Signal(range(N_ROUNDS))
        m.d.comb += registers.status.eq(0)
        for i, word in enumerate(state):
            m.d.comb += getattr(registers, f"state_{i}").eq(word)
            with m.If(getattr(registers, f"state_{i}_write")):
                m.d.sync += word.eq(getattr(registers, f"state_{i}_data"))
        with m.FSM():
            with m.State("LOAD"):
                m.d.sync += [w.eq(s) for w, s in zip(self._work, state, strict=True)]
                with m.If(registers.word_write):
                    self._shift_in(m, _bytes_reversed(registers.word_data))
                    m.d.sync += n_words.eq(n_words + 1)
                    with m.If(n_words == N_WORDS - 1):
                        m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += registers.status.eq(1)
                self._sum(m, index)
                m.next = "ROUND"
            with m.State("ROUND"):
                m.d.comb += registers.status.eq(1)
                self._round(m)
                m.d.sync += index.eq(index + 1)
                m.next = "SUM"
                with m.If(index == N_ROUNDS - 1):
                    m.next = "ADD"
            with m.State("ADD"):
                m.d.comb += registers.status.eq(1)
                m.d.sync += [s.eq(s + w) for w, s in zip(self._work, state, strict=True)]
                m.next = "LOAD"
        return m

    def _shift_in(self, m: Module, word: Value) -> None:
        m.d.sync += [w.eq(following) for w, following in zip(
            self._words, [*self._words[1:], word], strict=True)]  # fmt: skip

    def _sum(self, m: Module, index: Signal) -> None:
        a, b, c, _, e, f, g, h = self._work
        w = self._words
        self._partial = {name: Signal(32, name=name) for name in (
            "head", "choice", "majority", "word_low", "word_high")}  # fmt: skip
        constant = Array(Const(value, 32) for value in CONSTANTS)[index]
        sums = {
            "head": h + constant + w[0],
            "choice": _turned(e, 6, 11, 25) + ((e & f) ^ (~e & g)),
            "majority": _turned(a, 2, 13, 22) + ((a & b) ^ (a & c) ^ (b & c)),
            "word_low": w[0] + w[9],
            "word_high": (w[1].rotate_right(7) ^ w[1].rotate_right(18) ^ w[1] >> 3)
            + (w[14].rotate_right(17) ^ w[14].rotate_right(19) ^ w[14] >> 10),
        }
        m.d.sync += [self._partial[name].eq(value) for name, value in sums.items()]

    def _round(self, m: Module) -> None:
        a, b, c, d, e, f, g, h = self._work
        p = self._partial
        t1 = (p["head"] + p["choice"])[:32]
        m.d.sync += [
            h.eq(g), g.eq(f), f.eq(e), e.eq(d + t1), d.eq(c), c.eq(b), b.eq(a),
            a.eq(t1 + p["majority"]),
        ]  # fmt: skip
        self._shift_in(m, p["word_low"] + p["word_high"])


def _turned(value: Value, *counts: int) -> Value:
    first, second, third = (value.rotate_right(n) for n in counts)
    return first ^ second ^ third


def _bytes_reversed(word: Value) -> Value:
    return Cat(word[i : i + 8] for i in range(24, -1, -8))
