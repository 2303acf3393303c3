"""Real FFT in 32-bit integers, the same bits in numpy and in C."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from norcim.audio.tables import TWIDDLE_BITS, LogMelTables

Int64 = npt.NDArray[np.int64]


def transform_real(samples: Int64, tables: LogMelTables) -> tuple[Int64, Int64]:
    """Spectrum of real samples, not scaled: X[k] = sum of x[n] exp(-2 pi i k n / n_fft).

    samples   int64, (n, n_fft), |sum over a row of |x|| < 2^30
    tables    for twiddles and bit reversal of that n_fft
    Returns real and imaginary parts, int64, (n, n_fft / 2 + 1); every value, also in
    between, fits 32 bits signed: none exceeds the sum of |x| by more than rounding.
    """
    even_odd = samples.reshape(*samples.shape[:-1], -1, 2)[..., tables.bit_reverse, :]
    re = np.ascontiguousarray(even_odd[..., 0])
    im = np.ascontiguousarray(even_odd[..., 1])
    n = re.shape[-1]
    half = 1
    while half < n:
        _run_stage(re, im, half, tables)
        half *= 2
    return _unpack_real(re, im, tables)


def _run_stage(re: Int64, im: Int64, half: int, tables: LogMelTables) -> None:
    """One radix-2 decimation-in-time stage, in place."""
    n = re.shape[-1]
    a_re, b_re = _butterfly_views(re, half)
    a_im, b_im = _butterfly_views(im, half)
    # The table holds n_fft = 2n roots; this stage uses the 2*half-th roots of unity.
    step = n // half
    t_re, t_im = _rotate(b_re, b_im, tables.twiddle_re[::step], tables.twiddle_im[::step])
    np.subtract(a_re, t_re, out=b_re)
    np.subtract(a_im, t_im, out=b_im)
    a_re += t_re
    a_im += t_im


def _butterfly_views(x: Int64, half: int) -> tuple[Int64, Int64]:
    pairs = x.reshape(*x.shape[:-1], -1, 2, half)
    return pairs[..., 0, :], pairs[..., 1, :]


def _rotate(
    re: Int64, im: Int64, w_re: npt.NDArray[np.int32], w_im: npt.NDArray[np.int32]
) -> tuple[Int64, Int64]:
    """(re + i im) * w in 64 bits, rounded once, halves up."""
    bias = 1 << (TWIDDLE_BITS - 1)
    return (
        (re * w_re - im * w_im + bias) >> TWIDDLE_BITS,
        (re * w_im + im * w_re + bias) >> TWIDDLE_BITS,
    )


def _unpack_real(re: Int64, im: Int64, tables: LogMelTables) -> tuple[Int64, Int64]:
    """Spectrum of 2n real samples from the n-point FFT of even + i odd."""
    n = re.shape[-1]
    mirror = -np.arange(n) % n
    m_re, m_im = re[..., mirror], -im[..., mirror]
    # Z + conj mirror = 2 x (even part); -i (Z - conj mirror) = 2 x (odd part)
    even_re, even_im = re + m_re, im + m_im
    t_re, t_im = _rotate(im - m_im, m_re - re, tables.twiddle_re, tables.twiddle_im)
    x_re = np.concatenate([even_re + t_re, even_re[..., :1] - t_re[..., :1]], axis=-1)
    x_im = np.concatenate([even_im + t_im, even_im[..., :1] - t_im[..., :1]], axis=-1)
    return (x_re + 1) >> 1, (x_im + 1) >> 1
