"""16 kHz mono 16-bit WAV files."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from norcim.errors import NorcimError


def read_wav(path: str | Path, sample_rate_hz: int = 16000) -> npt.NDArray[np.int16]:
    """Samples of a mono 16-bit PCM WAV file, int16, (n_samples,).

    Raises NorcimError NC-E0805 if the file cannot be read as WAV, NC-E0806 if its format
    is another one, NC-E0807 if it ends before the samples that its header announces.
    """
    try:
        with wave.open(str(path), "rb") as file:
            _check_format(path, file, sample_rate_hz)
            n_samples = file.getnframes()
            data = file.readframes(n_samples)
    except (OSError, EOFError, wave.Error) as error:
        raise NorcimError(
            "NC-E0805",
            "cannot read the audio file",
            where=str(path),
            expected="a WAV file with PCM samples",
            got=str(error) or "the file ends inside its header",
            fix=_conversion(path, sample_rate_hz),
        ) from error
    if len(data) != 2 * n_samples:
        raise NorcimError(
            "NC-E0807",
            "the audio file is truncated",
            where=str(path),
            expected=f"{2 * n_samples:,} bytes of samples",
            got=f"{len(data):,}",
            fix="copy or download the file again",
        )
    return np.frombuffer(data, "<i2").astype(np.int16)


def _check_format(path: str | Path, file: wave.Wave_read, sample_rate_hz: int) -> None:
    expected = (sample_rate_hz, 1, 16)
    got = (file.getframerate(), file.getnchannels(), 8 * file.getsampwidth())
    if got != expected:
        raise NorcimError(
            "NC-E0806",
            "the audio file has another format",
            where=str(path),
            expected=_describe(*expected),
            got=_describe(*got),
            fix=_conversion(path, sample_rate_hz),
        )


def _describe(rate_hz: int, n_channels: int, n_bits: int) -> str:
    return f"{rate_hz:,} Hz, {n_channels} channel{'s' * (n_channels != 1)}, {n_bits} bits"


def _conversion(path: str | Path, sample_rate_hz: int) -> str:
    return f"convert it: ffmpeg -i {path} -ar {sample_rate_hz} -ac 1 -c:a pcm_s16le out.wav"
