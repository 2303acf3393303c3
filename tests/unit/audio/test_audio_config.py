import json

import pytest

from norcim.audio import LogMelConfig, build_tables
from norcim.errors import NorcimError


def test_dict_survives_json():
    config = LogMelConfig(n_mels=32, hop=160)
    assert LogMelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_rate_hz", 0),
        ("window", 513),
        ("window", 1),
        ("hop", 0),
        ("hop", 481),
        ("n_fft", 500),
        ("n_fft", 1024),
        ("n_mels", 0),
        ("f_lo_hz", -1),
        ("f_hi_hz", 60),
        ("f_hi_hz", 8001),
        ("log2_floor", 63),
        ("codes_per_doubling", 0),
        ("codes_per_doubling", 8.0),
        ("n_mels", True),
        ("n_mels", "40"),
        ("n_mels", None),
    ],
)
def test_a_bad_value_is_named(name, value):
    data = {**LogMelConfig().to_dict(), name: value}
    with pytest.raises(NorcimError) as error:
        LogMelConfig.from_dict(data)
    assert error.value.id == "NC-E0801"
    assert error.value.where == name


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        {**LogMelConfig().to_dict(), "kind": "mfcc"},
        {**LogMelConfig().to_dict(), "surplus": 1},
        {k: v for k, v in LogMelConfig().to_dict().items() if k != "hop"},
    ],
)
def test_what_is_not_a_config_is_refused(data):
    with pytest.raises(NorcimError) as error:
        LogMelConfig.from_dict(data)
    assert error.value.id == "NC-E0802"


@pytest.mark.parametrize("bad", [{"n_mels": 80}, {"n_mels": 2}])
def test_bands_that_the_fft_does_not_resolve_are_refused(bad):
    with pytest.raises(NorcimError) as error:
        build_tables(LogMelConfig(**bad))
    assert error.value.id == "NC-E0803"


def test_frames_are_counted_when_whole():
    counts = [LogMelConfig().n_frames(n) for n in (0, 479, 480, 799, 800, 16000)]
    assert counts == [0, 0, 1, 1, 2, 49]
