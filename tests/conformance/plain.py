"""The operations of `norcim.arith` a second time, in plain Python integers and from the text.

Written from the text of arithmetic.md, by division with remainder instead of shifts, so that a slip
in one is not repeated in the other. One value at a time, no numpy.
"""

from __future__ import annotations


def clamp(value: int, lo: int, hi: int) -> int:
    """The nearest value within lo..hi."""
    if value < lo:
        return lo
    return hi if value > hi else value


def round_half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, exact halves upwards. denominator > 0."""
    quotient, remainder = divmod(numerator, denominator)  # floor, 0 <= remainder < denominator
    return quotient + 1 if 2 * remainder >= denominator else quotient


def truncate(numerator: int, denominator: int) -> int:
    """numerator / denominator towards zero. denominator > 0."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def unclamped_wtm2101(acc: int, gain: int) -> int:
    """Truncate four times the quotient towards zero, then a quarter of it, half up."""
    return round_half_up(truncate(4 * acc, 2**gain), 4)


def convert_wtm2101(acc: int, gain: int) -> int:
    """The WTM2101's converter."""
    return clamp(unclamped_wtm2101(acc, gain), -128, 127)


def convert_linear(acc: int, gain: int, bits: int) -> int:
    """A converter of `bits` bits that rounds once."""
    return clamp(round_half_up(acc, 2**gain), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def requantise(s: int, m: int, k: int, zp: int, lo: int, hi: int) -> int:
    """s * m / 2^k rounded once, then the zero point, then the clamp."""
    return clamp(round_half_up(s * m, 2**k) + zp, lo, hi)


def shift_codes(s: int, shift: int, zp: int, lo: int, hi: int) -> int:
    """s / 2^shift rounded once, then the zero point, then the clamp."""
    return clamp(round_half_up(s, 2**shift) + zp, lo, hi)


def add(
    a: int, b: int, zp_a: int, zp_b: int, m_a: int, m_b: int, k: int, zp: int, lo: int, hi: int
) -> int:
    """Both operands rescaled over one common shift, rounded once."""
    return clamp(round_half_up((a - zp_a) * m_a + (b - zp_b) * m_b, 2**k) + zp, lo, hi)


def multiply(
    a: int, b: int, zp_a: int, zp_b: int, m: int, k: int, zp: int, lo: int, hi: int
) -> int:
    """The product rescaled, rounded once."""
    return clamp(round_half_up((a - zp_a) * (b - zp_b) * m, 2**k) + zp, lo, hi)


def average_pool(codes: list[int], zp_in: int, m: int, k: int, zp: int, lo: int, hi: int) -> int:
    """The exact sum rescaled, rounded once."""
    total = 0
    for code in codes:
        total += code - zp_in
    return requantise(total, m, k, zp, lo, hi)


def max_pool(codes: list[int], inside: list[bool]) -> int:
    """The largest code inside; -32768 if there is none."""
    largest = -32768
    for code, is_inside in zip(codes, inside, strict=True):
        if is_inside and code > largest:
            largest = code
    return largest


def encode_pn(codes: list[int], zp: int) -> list[int]:
    """Positive parts of all codes, then negative parts of all codes."""
    positive = [code - zp if code > zp else 0 for code in codes]
    negative = [zp - code if code < zp else 0 for code in codes]
    return positive + negative


def softmax(codes: list[int], table: list[int], zp: int, hi: int) -> list[int]:
    """256 * e / sum rounded with floor(sum / 2), capped at hi."""
    largest = max(codes)
    e = [table[largest - code] for code in codes]
    total = sum(e)
    return [min((256 * value + total // 2) // total + zp, hi) for value in e]


def update(
    take: int, keep: int, new: int, state: tuple[int, int], multipliers: tuple[int, int], k: int
) -> tuple[int, int]:
    """One state, gates and what comes in less their zero points: (high, low)."""
    old = 256 * state[0] + state[1]
    total = take * new * multipliers[0] + keep * old * multipliers[1]
    value = clamp(round_half_up(total, 2**k), -32768, 32639)
    high = round_half_up(value, 256)
    return high, value - 256 * high
