import wave

import numpy as np
import pytest

from norcim.audio import read_wav
from norcim.errors import NorcimError

PCM = np.array([0, 1, -1, 32767, -32768, 1234], np.int16)


def write_wav(path, *, rate_hz=16000, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(PCM.astype("<i2").tobytes())
    return path


def test_samples_come_back(tmp_path):
    pcm = read_wav(write_wav(tmp_path / "a.wav"))
    assert pcm.dtype == np.int16
    assert pcm.tolist() == PCM.tolist()


@pytest.mark.parametrize(
    ("options", "got"),
    [
        ({"rate_hz": 8000}, "8,000 Hz, 1 channel, 16 bits"),
        ({"channels": 2}, "16,000 Hz, 2 channels, 16 bits"),
        ({"width": 1}, "16,000 Hz, 1 channel, 8 bits"),
    ],
)
def test_another_format_is_named_with_its_conversion(tmp_path, options, got):
    with pytest.raises(NorcimError) as error:
        read_wav(write_wav(tmp_path / "a.wav", **options))
    assert error.value.id == "NC-E0806"
    assert error.value.got == got
    assert "ffmpeg" in error.value.fix


def test_a_truncated_file_is_refused(tmp_path):
    path = write_wav(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(NorcimError) as error:
        read_wav(path)
    assert error.value.id == "NC-E0807"


@pytest.mark.parametrize("content", [b"", b"RIFF", b"OggS and more", b"RIFF\x24\0\0\0WAVEfmt "])
def test_what_is_no_wav_is_refused(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(NorcimError) as error:
        read_wav(path)
    assert error.value.id == "NC-E0805"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(NorcimError) as error:
        read_wav(tmp_path / "none.wav")
    assert error.value.id == "NC-E0805"
