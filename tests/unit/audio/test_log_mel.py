"""What the front end does to sounds with a known answer."""

import numpy as np
import pytest

from norcim.audio import LogMelConfig, LogMelStream, log_mel
from norcim.errors import NorcimError

RATE_HZ = 16000


def tone(f_hz, amplitude=8000.0):
    t = np.arange(RATE_HZ) / RATE_HZ
    return np.round(amplitude * np.sin(2 * np.pi * f_hz * t)).astype(np.int16)


def noise(n, sigma=1000.0, seed=0):
    return np.clip(np.random.default_rng(seed).normal(0, sigma, n), -32768, 32767).astype(np.int16)


def float_log_mel(pcm):
    """The same features in double precision, before rounding to codes."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm.astype(float), 480)[::320]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
    power = np.abs(np.fft.rfft(frames * window, 512)) ** 2
    mel = np.linspace(np.log(760), np.log(8300), 42)
    edges = np.exp(mel) - 700
    f = np.arange(257) * RATE_HZ / 512
    rise = (f[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - f[:, None]) / (edges[2:] - edges[1:-1])
    energy = power @ np.maximum(np.minimum(rise, fall), 0) * 4096
    return 8 * (np.log2(np.maximum(energy, 1)) - 20)


def test_one_second_gives_49_frames_of_40_bands():
    codes = log_mel(np.zeros(16000, np.int16))
    assert codes.shape == (49, 40)
    assert codes.dtype == np.uint8


def test_silence_is_zero():
    assert not log_mel(np.zeros(16000, np.int16)).any()


def test_a_constant_input_gives_constant_frames():
    codes = log_mel(np.full(16000, -32768, np.int16))
    assert (codes == codes[0]).all()
    assert codes[0].argmax() == 0


def test_full_scale_square_wave_saturates_at_255_without_overflow():
    square = np.where(np.arange(16000) // 16 % 2, 32767, -32768).astype(np.int16)
    exact = float_log_mel(square)
    codes = log_mel(square)
    assert codes.max() == 255
    assert (codes[exact > 256] == 255).all()


@pytest.mark.parametrize("band", [0, 5, 13, 22, 31, 39])
def test_a_tone_lands_in_its_band(band):
    centre_hz = 760 * (8300 / 760) ** ((band + 1) / 41) - 700
    assert (log_mel(tone(centre_hz)).argmax(axis=1) == band).all()


def test_twice_the_amplitude_adds_sixteen_codes():
    quiet, loud = log_mel(tone(1000, 1000)), log_mel(tone(1000, 2000))
    band = loud[0].argmax()
    assert (loud[:, band].astype(int) - quiet[:, band] == 16).all()


def test_an_impulse_is_seen_only_by_the_frames_that_hold_it():
    clip = np.zeros(16000, np.int16)
    clip[3200] = 32767
    assert np.flatnonzero(log_mel(clip).any(axis=1)).tolist() == [9]


@pytest.mark.parametrize("sigma", [3.0, 100.0, 3000.0])
def test_codes_are_within_one_of_double_precision(sigma):
    pcm = noise(16000, sigma)
    exact = np.clip(float_log_mel(pcm), 0, 255)
    assert np.abs(log_mel(pcm) - exact).max() < 0.7


@pytest.mark.parametrize("f_hz", [100, 500, 1000, 3000, 7000])
def test_bands_70_db_below_a_loud_tone_are_still_within_one_code(f_hz):
    pcm = tone(f_hz, 30000)
    exact = float_log_mel(pcm)
    audible = exact > exact.max() - 70 / 3.0103 * 8
    assert np.abs(log_mel(pcm) - np.clip(exact, 0, 255))[audible].max() < 1.0


def test_a_batch_is_its_clips():
    clips = noise(5 * 16000).reshape(5, 16000)
    assert np.array_equal(log_mel(clips), np.stack([log_mel(c) for c in clips]))
    assert log_mel(clips.reshape(5, 1, 16000)).shape == (5, 1, 49, 40)


@pytest.mark.parametrize("n_samples", [0, 479])
def test_less_than_a_window_gives_no_frame(n_samples):
    assert log_mel(np.zeros((2, n_samples), np.int16)).shape == (2, 0, 40)


@pytest.mark.parametrize("size", [1, 7, 160, 320, 333, 479, 480, 16000])
def test_stream_equals_whole_clip_for_any_chunk_size(size):
    pcm = noise(8000 if size == 1 else 40000)
    stream = LogMelStream()
    frames = [stream.push(pcm[i : i + size]) for i in range(0, len(pcm), size)]
    assert np.array_equal(np.concatenate(frames), log_mel(pcm))


def test_stream_equals_whole_clip_for_random_chunks():
    pcm, rng = noise(100000), np.random.default_rng(5)
    cuts = np.sort(rng.integers(0, len(pcm), 200))
    stream = LogMelStream()
    frames = [stream.push(chunk) for chunk in np.split(pcm, cuts)]
    assert np.array_equal(np.concatenate(frames), log_mel(pcm))


def test_stream_keeps_no_more_than_one_window():
    stream = LogMelStream()
    stream.push(noise(100000))
    assert len(stream._pending) < 480


def test_stream_forgets_on_reset():
    stream = LogMelStream()
    stream.push(noise(700))
    stream.reset()
    assert np.array_equal(stream.push(noise(480, seed=9)), log_mel(noise(480, seed=9)))


@pytest.mark.parametrize("bad", [np.zeros(16000), np.zeros(16000, np.int32), np.int16(3), [1, 2]])
def test_other_types_are_refused(bad):
    with pytest.raises(NorcimError) as error:
        log_mel(bad)
    assert error.value.id == "NC-E0804"


def test_stream_refuses_two_channels():
    with pytest.raises(NorcimError) as error:
        LogMelStream().push(np.zeros((2, 160), np.int16))
    assert error.value.id == "NC-E0804"


def test_other_configurations_work():
    config = LogMelConfig(sample_rate_hz=8000, window=256, hop=100, n_fft=256, n_mels=20,
                          f_lo_hz=100, f_hi_hz=4000)  # fmt: skip
    assert log_mel(noise(8000), config).shape == (78, 20)
