"""The front end a second time, in plain Python integers, from docs/reference/audio-front-end.md.

Written without the numpy code: one value at a time, complex numbers as pairs, the triangular
filters as a dense matrix, tables from math in double precision.
"""

from __future__ import annotations

import math


def half_up(x: float) -> int:
    return math.floor(x + 0.5)


def window_table(n: int) -> list[int]:
    # 1e-9 lifts the exact half at n / 4 that double precision misses
    return [half_up(32767 * (0.5 - 0.5 * math.cos(2 * math.pi * i / n)) + 1e-9) for i in range(n)]


def windowed(frame: list[int], n_fft: int) -> list[int]:
    table = window_table(len(frame))
    kept = [(x * w + 256) // 512 for x, w in zip(frame, table, strict=True)]
    return kept + [0] * (n_fft - len(frame))


def root(k: int, n: int) -> tuple[int, int]:
    angle = 2 * math.pi * k / n
    one = 1 << 30
    return round(math.cos(angle) * one), round(-math.sin(angle) * one)


def times(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    half, one = 1 << 29, 1 << 30
    return (a[0] * b[0] - a[1] * b[1] + half) // one, (a[0] * b[1] + a[1] * b[0] + half) // one


def complex_fft(z: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """By recursion: halves of even and odd places, one rotation each."""
    n = len(z)
    if n == 1:
        return z
    even, odd = complex_fft(z[::2]), complex_fft(z[1::2])
    low, high = [], []
    for k in range(n // 2):
        a, t = even[k], times(odd[k], root(k, n))
        low.append((a[0] + t[0], a[1] + t[1]))
        high.append((a[0] - t[0], a[1] - t[1]))
    return low + high


def real_fft(x: list[int]) -> list[tuple[int, int]]:
    n = len(x) // 2
    z = complex_fft(list(zip(x[::2], x[1::2], strict=True)))
    out = []
    for k in range(n + 1):
        a, b = z[k % n], z[-k % n]
        even = (a[0] + b[0], a[1] - b[1])
        odd = (a[1] + b[1], b[0] - a[0])
        t = times(odd, root(k, 2 * n)) if k < n else (-odd[0], -odd[1])
        out.append(((even[0] + t[0] + 1) // 2, (even[1] + t[1] + 1) // 2))
    return out


def power(spectrum: list[tuple[int, int]]) -> list[int]:
    return [(re * re + im * im) // 4096 for re, im in spectrum]


def mel_matrix(n_fft: int, rate_hz: int, n_mels: int, f_lo: float, f_hi: float) -> list[list[int]]:
    """Weight in 1/4096 of each bin in each band."""
    ratio = (700 + f_hi) / (700 + f_lo)
    points = [(700 + f_lo) * ratio ** (m / (n_mels + 1)) - 700 for m in range(n_mels + 2)]
    matrix = [[0] * (n_fft // 2 + 1) for _ in range(n_mels)]
    for k in range(n_fft // 2 + 1):
        f = k * rate_hz / n_fft
        for m in range(n_mels + 1):
            if points[m] <= f < points[m + 1]:
                rise = half_up(4096 * (f - points[m]) / (points[m + 1] - points[m]))
                if m < n_mels:
                    matrix[m][k] = rise
                if m > 0:
                    matrix[m - 1][k] = 4096 - rise
    return matrix


def log2_q16(value: int) -> int:
    value = max(value, 1)
    exponent = value.bit_length() - 1
    mantissa = (value << 62 >> exponent) & ((1 << 62) - 1)
    index, rest = mantissa >> 55, (mantissa >> 47) & 255
    lo = half_up(65536 * math.log2(1 + index / 128))
    hi = half_up(65536 * math.log2(1 + (index + 1) / 128))
    return (exponent << 16) + lo + ((hi - lo) * rest + 128) // 256


def code(log2_energy: int, floor: int, per_doubling: int) -> int:
    value = ((log2_energy - (floor << 16)) * per_doubling + 32768) // 65536
    return min(max(value, 0), 255)


def code_frame(frame: list[int]) -> list[int]:
    """One frame of the default configuration."""
    spectrum = power(real_fft(windowed(frame, 512)))
    matrix = mel_matrix(512, 16000, 40, 60, 7600)
    energies = [sum(w * p for w, p in zip(row, spectrum, strict=True)) for row in matrix]
    return [code(log2_q16(e), 20, 8) for e in energies]
