"""Each stage against plain Python integers, and the constant tables."""

import hashlib
import random

import numpy as np
import plain_log_mel as plain
import pytest

from norcim.audio import LogMelConfig, build_tables, log_mel
from norcim.audio.fft import transform_real
from norcim.audio.log_mel import _apply_window, _encode, _log2, _sum_bands

CONFIG = LogMelConfig()
TABLES = build_tables(CONFIG)


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
        assert got[0].tolist() == plain.windowed(frame, 512)


def test_fft_matches_plain_integers():
    for frame in extreme_frames():
        samples = plain.windowed(frame, 512)
        re, im = transform_real(np.array([samples], np.int64), TABLES)
        assert list(zip(re[0].tolist(), im[0].tolist(), strict=True)) == plain.real_fft(samples)


@pytest.mark.parametrize("n_fft", [64, 128, 256])
def test_shorter_fft_matches_plain_integers(n_fft):
    config = LogMelConfig(window=n_fft, hop=n_fft, n_fft=n_fft, n_mels=6, f_lo_hz=300)
    rng = random.Random(n_fft)
    samples = [rng.randint(-(1 << 21), 1 << 21) for _ in range(n_fft)]
    re, im = transform_real(np.array([samples], np.int64), build_tables(config))
    assert list(zip(re[0].tolist(), im[0].tolist(), strict=True)) == plain.real_fft(samples)


def test_fft_is_within_twelve_units_of_the_exact_transform():
    samples = np.random.default_rng(2).integers(-(1 << 21), 1 << 21, (20, 512))
    re, im = transform_real(samples, TABLES)
    exact = np.fft.rfft(samples)
    assert np.abs(re - exact.real).max() < 12
    assert np.abs(im - exact.imag).max() < 12


def test_mel_bands_match_a_dense_filter_matrix():
    power = np.random.default_rng(3).integers(0, 1 << 46, (4, 257))
    matrix = plain.mel_matrix(512, 16000, 40, 60, 7600)
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
    assert _log2(np.array(values, np.int64), TABLES).tolist() == [plain.log2_q16(v) for v in values]


def test_log2_is_exact_at_powers_of_two():
    powers = np.array([1 << b for b in range(63)], np.int64)
    assert _log2(powers, TABLES).tolist() == [b << 16 for b in range(63)]


def test_code_rounds_halves_up_and_clamps():
    floor = 20 << 16
    log2_values = np.array([0, floor - 4097, floor, floor + 4095, floor + 4096, 60 << 16])
    assert _encode(log2_values, CONFIG).tolist() == [0, 0, 0, 0, 1, 255]


def test_whole_frame_matches_plain_integers():
    for frame in extreme_frames():
        assert log_mel(np.array(frame, np.int16)).tolist() == [plain.code_frame(frame)]
