"""Flag, then variable, then project file, then user file, then default."""

from __future__ import annotations

from pathlib import Path

import pytest

from norcim.errors import NorcimError
from norcim_cli import settings


@pytest.fixture(autouse=True)
def _empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for item in settings.SETTINGS.values():
        monkeypatch.delenv(item.variable, raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(settings, "user_config_path", lambda: tmp_path / "user.toml")


def test_default_when_nothing_is_configured() -> None:
    assert settings.resolve("chip") == settings.Resolved("nor1", "default")


def test_each_source_overrides_the_one_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "user.toml").write_text('chip = "user"\n')
    assert settings.resolve("chip").value == "user"
    (tmp_path / "norcim.toml").write_text('chip = "project"\n')
    assert settings.resolve("chip").source == str(tmp_path / "norcim.toml")
    monkeypatch.setenv("NORCIM_CHIP", "variable")
    found = settings.resolve("chip")
    assert (found.value, found.source) == ("variable", "environment variable NORCIM_CHIP")
    assert settings.resolve("chip", "flag") == settings.Resolved("flag", "flag")


def test_project_file_that_lacks_a_key_leaves_it_to_the_user_file(tmp_path: Path) -> None:
    (tmp_path / "user.toml").write_text('chip = "user"\nseed = 3\n')
    (tmp_path / "norcim.toml").write_text('chip = "project"\n')
    assert settings.resolve("seed").value == 3


def test_pyproject_counts_only_with_a_norcim_table(tmp_path: Path) -> None:
    (tmp_path / "work" / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (tmp_path / "pyproject.toml").write_text('[tool.norcim]\nchip = "digital"\n')
    assert settings.resolve("chip").value == "digital"


def test_seed_from_the_environment_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORCIM_SEED", "0x10")
    assert settings.resolve("seed").value == 16


@pytest.mark.parametrize(
    "text", ['chop = "nor1"', "chip = 1", "seed = true", 'chip = ""', "chip = ", 'seed = "x"']
)
def test_bad_file_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "norcim.toml"
    path.write_text(text)
    with pytest.raises(NorcimError) as caught:
        _ = [settings.resolve(name) for name in settings.SETTINGS]
    assert (caught.value.id, caught.value.where) == ("NC-E0104", str(path))


def test_bad_variable_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORCIM_SEED", "many")
    with pytest.raises(NorcimError, match="NORCIM_SEED"):
        settings.resolve("seed")


def test_table_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nnorcim = 1\n")
    with pytest.raises(NorcimError, match=r"\[tool\.norcim\]"):
        settings.resolve("chip")
