"""The command as it is found after an install: help, version, start-up time, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from norcim import __version__
from norcim_cli.registry import ENTRIES

ROOT = Path(__file__).parents[2]
SOURCES = os.pathsep.join([str(ROOT / "sdk"), str(ROOT / "host_tools")])


def norcim(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    surroundings = {**os.environ, "PYTHONPATH": SOURCES, **env}
    return subprocess.run(
        [sys.executable, "-m", "norcim_cli", *args],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_library_starts_the_command_line() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "norcim", "--version"],
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == norcim("--version").stdout != ""


def test_help_lists_every_command() -> None:
    result = norcim("--help")
    assert result.returncode == 0
    assert result.stderr == ""
    for entry in ENTRIES:
        assert f"  {entry.name}" in result.stdout


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_each_command_has_help_in_short_lines(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from norcim_cli.main import main

    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"norcim {name}" in out
    assert "--json" in out
    assert max(len(line) for line in out.splitlines()) <= 100


def test_version() -> None:
    result = norcim("--version")
    assert (result.returncode, result.stdout) == (0, f"norcim {__version__}\n")


def test_no_command_shows_the_help() -> None:
    result = norcim()
    assert result.returncode == 2
    assert "Start with `norcim demo`" in result.stdout + result.stderr


HEAVY = ("numpy", "onnx", "rich", "serial", "rectpack")


def modules_after(code: str) -> set[str]:
    """Which heavy packages are imported after running `code`."""
    probe = f"import sys\n{code}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", probe],
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(eval(result.stdout.splitlines()[-1]))  # noqa: S307  # our own list


def test_import_of_the_library_is_light() -> None:
    assert modules_after("import norcim") == set()


def test_help_imports_nothing_heavy() -> None:
    assert modules_after("from norcim_cli.main import main\nmain(['--help'])") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_names_the_command(shell: str) -> None:
    result = norcim("completion", shell)
    assert result.returncode == 0
    assert "_NORCIM_COMPLETE" in result.stdout


def test_completion_completes_commands_and_chips() -> None:
    commands = norcim(COMP_WORDS="norcim comp", COMP_CWORD="1", _NORCIM_COMPLETE="bash_complete")
    assert "plain,compile" in commands.stdout
    chips = norcim(
        COMP_WORDS="norcim compile --chip wtm2", COMP_CWORD="3", _NORCIM_COMPLETE="bash_complete"
    )
    assert chips.stdout == "plain,wtm2101\n"


def test_closed_pipe_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [sys.executable, "-m", "norcim_cli", "chips", "nor1"],
        env={**os.environ, "PYTHONPATH": SOURCES},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert result.stderr == ""
