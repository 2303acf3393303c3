"""Each stage against plain Python integers, and the constant tables.

The upper half is the front end a second time, from docs/reference/audio-front-end.md, written
without the numpy code: one value at a time, complex numbers as pairs, a recursive FFT, the
triangular filters as a dense matrix, tables from math in double precision.
"""

import hashlib
import math
import random

import numpy as np
import pytest

from norcim.audio import LogMelConfig, build_tables, log_mel
from norcim.audio.fft import transform_real
from norcim.audio.log_mel import _apply_window, _encode, _log2, _sum_bands

CONFIG = LogMelConfig()
TABLES = build_tables(CONFIG)


def plain_half_up(x: float) -> int:
    return math.floor(x + 0.5)


def plain_window_table(n: int) -> list[int]:
    # 1e-9 lifts the exact half at n / 4 that double precision misses
    return [
        plain_half_up(32767 * (0.5 - 0.5 * math.cos(2 * math.pi * i / n)) + 1e-9) for i in range(n)
    ]


def plain_windowed(frame: list[int], n_fft: int) -> list[int]:
    table = plain_window_table(len(frame))
    kept = [(x * w + 256) // 512 for x, w in zip(frame, table, strict=True)]
    return kept + [0] * (n_fft - len(frame))


def plain_root(k: int, n: int) -> tuple[int, int]:
    angle = 2 * math.pi * k / n
    one = 1 << 30
    return round(math.cos(angle) * one), round(-math.sin(angle) * one)


def plain_times(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    half, one = 1 << 29, 1 << 30
    return (a[0] * b[0] - a[1] * b[1] + half) // one, (a[0] * b[1] + a[1] * b[0] + half) // one


def plain_complex_fft(z: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """By recursion: halves of even and odd places, one rotation each."""
    n = len(z)
    if n == 1:
        return z
    even, odd = plain_complex_fft(z[::2]), plain_complex_fft(z[1::2])
    low, high = [], []
    for k in range(n // 2):
        a, t = even[k], plain_times(odd[k], plain_root(k, n))
        low.append((a[0] + t[0], a[1] + t[1]))
        high.append((a[0] - t[0], a[1] - t[1]))
    return low + high


def plain_real_fft(x: list[int]) -> list[tuple[int, int]]:
    n = len(x) // 2
    z = plain_complex_fft(list(zip(x[::2], x[1::2], strict=True)))
    out = []
    for k in range(n + 1):
        a, b = z[k % n], z[-k % n]
        even = (a[0] + b[0], a[1] - b[1])
        odd = (a[1] + b[1], b[0] - a[0])
        t = plain_times(odd, plain_root(k, 2 * n)) if k < n else (-odd[0], -odd[1])
        out.append(((even[0] + t[0] + 1) // 2, (even[1] + t[1] + 1) // 2))
    return out


def plain_power(spectrum: list[tuple[int, int]]) -> list[int]:
    return [(re * re + im * im) // 4096 for re, im in spectrum]


def plain_mel_matrix(
    n_fft: int, rate_hz: int, n_mels: int, f_lo: float, f_hi: float
) -> list[list[int]]:
    """Weight in 1/4096 of each bin in each band."""
    ratio = (700 + f_hi) / (700 + f_lo)
    points = [(700 + f_lo) * ratio ** (m / (n_mels + 1)) - 700 for m in range(n_mels + 2)]
    matrix = [[0] * (n_fft // 2 + 1) for _ in range(n_mels)]
    for k in range(n_fft // 2 + 1):
        f = k * rate_hz / n_fft
        for m in range(n_mels + 1):
            if points[m] <= f < points[m + 1]:
                rise = plain_half_up(4096 * (f - points[m]) / (points[m + 1] - points[m]))
                if m < n_mels:
                    matrix[m][k] = rise
                if m > 0:
                    matrix[m - 1][k] = 4096 - rise
    return matrix


def plain_log2_q16(value: int) -> int:
    value = max(value, 1)
    exponent = value.bit_length() - 1
    mantissa = (value << 62 >> exponent) & ((1 << 62) - 1)
    index, rest = mantissa >> 55, (mantissa >> 47) & 255
    lo = plain_half_up(65536 * math.log2(1 + index / 128))
    hi = plain_half_up(65536 * math.log2(1 + (index + 1) / 128))
    return (exponent << 16) + lo + ((hi - lo) * rest + 128) // 256


def plain_code(log2_energy: int, floor: int, per_doubling: int) -> int:
    value = ((log2_energy - (floor << 16)) * per_doubling + 32768) // 65536
    return min(max(value, 0), 255)


def plain_code_frame(frame: list[int]) -> list[int]:
    """One frame of the default configuration."""
    spectrum = plain_power(plain_real_fft(plain_windowed(frame, 512)))
    matrix = plain_mel_matrix(512, 16000, 40, 60, 7600)
    energies = [sum(w * p for w, p in zip(row, spectrum, strict=True)) for row in matrix]
    return [plain_code(plain_log2_q16(e), 20, 8) for e in energies]


def sha256(table):
    return hashlib.sha256(table.astype("<i4").tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("window", "69e5847e27b0f68d"),
        ("twiddle_re", "49faa57826aa4870"),
        ("twiddle_im", "3552f5ed86694388"),
        ("bit_reverse", "e10df55c2bc88dab"),
        ("mel_rise", "3ee1d6e89984d248"),
        ("mel_start", "f1a50bbd6df8865c"),
        ("log2_fraction", "b5f44a1f7d44ae14"),
    ],
)
def test_table_is_the_same_on_every_platform(name, digest):
    assert sha256(getattr(TABLES, name)) == digest


def test_tables_hit_their_landmarks():
    assert TABLES.window[[0, 120, 240]].tolist() == [0, 16384, 32767]
    assert TABLES.twiddle_re[[0, 128]].tolist() == [1 << 30, 0]
    assert TABLES.twiddle_im[[0, 128]].tolist() == [0, -(1 << 30)]
    assert TABLES.bit_reverse[[0, 1, 2, 255]].tolist() == [0, 128, 64, 255]
    assert TABLES.log2_fraction[[0, 128]].tolist() == [0, 65536]


def test_tables_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        TABLES.window[0] = 1


def extreme_frames():
    rng = random.Random(1)
    yield [0] * 480
    yield [-32768] * 480
    yield [32767] * 480
    yield [32767 if i % 2 else -32768 for i in range(480)]
    yield [1 if i == 240 else 0 for i in range(480)]
    yield [rng.randint(-32768, 32767) for _ in range(480)]
    yield [rng.randint(-3, 3) for _ in range(480)]


def test_window_matches_plain_integers():
    for frame in extreme_frames():
        got = _apply_window(np.array([frame], np.int16), CONFIG, TABLES)
        assert got[0].tolist() == plain_windowed(frame, 512)


def test_fft_matches_plain_integers():
    for frame in extreme_frames():
        samples = plain_windowed(frame, 512)
        re, im = transform_real(np.array([samples], np.int64), TABLES)
        assert list(zip(re[0].tolist(), im[0].tolist(), strict=True)) == plain_real_fft(samples)


@pytest.mark.parametrize("n_fft", [64, 128, 256])
def test_shorter_fft_matches_plain_integers(n_fft):
    config = LogMelConfig(window=n_fft, hop=n_fft, n_fft=n_fft, n_mels=6, f_lo_hz=300)
    rng = random.Random(n_fft)
    samples = [rng.randint(-(1 << 21), 1 << 21) for _ in range(n_fft)]
    re, im = transform_real(np.array([samples], np.int64), build_tables(config))
    assert list(zip(re[0].tolist(), im[0].tolist(), strict=True)) == plain_real_fft(samples)


def test_fft_is_within_twelve_units_of_the_exact_transform():
    samples = np.random.default_rng(2).integers(-(1 << 21), 1 << 21, (20, 512))
    re, im = transform_real(samples, TABLES)
    exact = np.fft.rfft(samples)
    assert np.abs(re - exact.real).max() < 12
    assert np.abs(im - exact.imag).max() < 12


def test_mel_bands_match_a_dense_filter_matrix():
    power = np.random.default_rng(3).integers(0, 1 << 46, (4, 257))
    matrix = plain_mel_matrix(512, 16000, 40, 60, 7600)
    expected = [
        [sum(w * p for w, p in zip(band, row, strict=True)) for band in matrix]
        for row in power.tolist()
    ]
    assert _sum_bands(power, TABLES).tolist() == expected


def test_log2_matches_plain_integers_at_edges_and_at_random():
    rng = random.Random(4)
    edges = [0, 1, 2, 3, (1 << 63) - 1]
    edges += [(1 << b) + d for b in range(2, 63) for d in (-1, 0, 1)]
    values = edges + [rng.getrandbits(rng.randint(1, 63)) for _ in range(5000)]
    assert _log2(np.array(values, np.int64), TABLES).tolist() == [plain_log2_q16(v) for v in values]


def test_log2_is_exact_at_powers_of_two():
    powers = np.array([1 << b for b in range(63)], np.int64)
    assert _log2(powers, TABLES).tolist() == [b << 16 for b in range(63)]


def test_code_rounds_halves_up_and_clamps():
    floor = 20 << 16
    log2_values = np.array([0, floor - 4097, floor, floor + 4095, floor + 4096, 60 << 16])
    assert _encode(log2_values, CONFIG).tolist() == [0, 0, 0, 0, 1, 255]


def test_whole_frame_matches_plain_integers():
    for frame in extreme_frames():
        assert log_mel(np.array(frame, np.int16)).tolist() == [plain_code_frame(frame)]
