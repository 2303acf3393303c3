"""What the front end computes, as plain numbers that travel in an image's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from norcim.errors import NorcimError

KIND = "log_mel_1"
"""Name and revision of the algorithm; a change of any output bit changes it."""

N_FFT_CHOICES = (64, 128, 256, 512)
"""512 is the longest transform whose sums are proven to fit 32 bits."""


@dataclass(frozen=True)
class LogMelConfig:
    """Parameters of the log-mel front end; lengths in samples, frequencies in Hz.

    log2_floor            log2 of the band energy that maps to code 0
    codes_per_doubling    codes that a doubling of the band energy (3 dB) adds
    Raises NorcimError NC-E0801 when a value is not usable.
    """

    sample_rate_hz: int = 16000
    window: int = 480
    hop: int = 320
    n_fft: int = 512
    n_mels: int = 40
    f_lo_hz: int = 60
    f_hi_hz: int = 7600
    log2_floor: int = 20
    codes_per_doubling: int = 8

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int:
                raise _bad(field.name, "an integer", repr(value))
        _check_range("sample_rate_hz", self.sample_rate_hz, 1000, 192000)
        if self.n_fft not in N_FFT_CHOICES:
            raise _bad("n_fft", f"one of {N_FFT_CHOICES}", str(self.n_fft))
        _check_range("window", self.window, 2, self.n_fft)
        _check_range("hop", self.hop, 1, self.window)
        _check_range("n_mels", self.n_mels, 1, 128)
        _check_range("f_lo_hz", self.f_lo_hz, 0, self.sample_rate_hz // 2 - 1)
        _check_range("f_hi_hz", self.f_hi_hz, self.f_lo_hz + 1, self.sample_rate_hz // 2)
        _check_range("log2_floor", self.log2_floor, 0, 62)
        _check_range("codes_per_doubling", self.codes_per_doubling, 1, 64)

    def n_frames(self, n_samples: int) -> int:
        """Frames that lie wholly inside a clip of `n_samples`."""
        if n_samples < self.window:
            return 0
        return 1 + (n_samples - self.window) // self.hop

    def to_dict(self) -> dict[str, int | str]:
        """A JSON-ready mapping that `from_dict` reads back."""
        return {"kind": KIND, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> LogMelConfig:
        """The config written by `to_dict`; the keys must match exactly.

        Raises NorcimError NC-E0801 for a bad value, NC-E0802 for wrong keys or
        another kind of front end.
        """
        if not isinstance(data, Mapping):
            raise _not_a_config("a mapping", type(data).__name__)
        if data.get("kind") != KIND:
            raise _not_a_config(f"kind {KIND!r}", repr(data.get("kind")))
        values = {key: value for key, value in data.items() if key != "kind"}
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            wrong = sorted(map(str, set(values) ^ names))
            raise _not_a_config(f"keys {sorted(names)}", f"missing or unknown: {wrong}")
        return cls(**values)  # type: ignore[arg-type]  # types are checked in __post_init__


def _check_range(name: str, value: int, lo: int, hi: int) -> None:
    if not lo <= value <= hi:
        raise _bad(name, f"{lo}..{hi}", str(value))


def _bad(name: str, expected: str, got: str) -> NorcimError:
    return NorcimError(
        "NC-E0801",
        "audio front end: a parameter is out of range",
        where=name,
        expected=expected,
        got=got,
        fix="use LogMelConfig() defaults, or the config stored with the model",
    )


def _not_a_config(expected: str, got: str) -> NorcimError:
    return NorcimError(
        "NC-E0802",
        "audio front end: not a stored configuration",
        expected=expected,
        got=got,
        why="features of another front end would not mean what the model was trained on",
        fix="pass what LogMelConfig.to_dict() wrote, with a norcim that knows this kind",
    )
