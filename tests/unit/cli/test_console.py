"""What is printed, where, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest

from norcim.errors import EXIT_DEVICE, NorcimError
from norcim_cli import console, main, registry
from norcim_cli.units import spell

FAULT = NorcimError(
    "NC-E9999",
    "it broke",
    where="conv2",
    expected="896 rows",
    got="1,152",
    why="a region has 896",
    fix="make it smaller",
    exit_code=EXIT_DEVICE,
)


@pytest.fixture(autouse=True)
def _fresh_state() -> Iterator[None]:
    console.reset()
    yield
    console.reset()


def run_raising(monkeypatch: pytest.MonkeyPatch, error: BaseException, *args: str) -> int:
    """Run `norcim chips` with a body that raises."""

    def fail() -> None:
        raise error

    command = registry.ENTRIES[-1].load()
    monkeypatch.setattr(command, "callback", lambda **_kwargs: fail())
    return main.main(["completion", "bash", *args])


def test_error_is_printed_in_its_parts_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(monkeypatch, FAULT) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error NC-E9999: conv2: it broke",
        "  expected: 896 rows",
        "  got:      1,152",
        "  why:      a region has 896",
        "  fix:      make it smaller",
    ]


def test_long_lists_of_an_error_are_one_item_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = "; ".join(f"node{i}: supported on constants only" for i in range(3))
    error = NorcimError("NC-E9999", "3 operations are not supported", where=nodes, fix="do less")
    assert run_raising(monkeypatch, error) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error NC-E9999: 3 operations are not supported",
        "  where:    node0: supported on constants only",
        "            node1: supported on constants only",
        "            node2: supported on constants only",
        "  fix:      do less",
    ]


def test_error_under_json_is_an_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(monkeypatch, FAULT, "--json") == 5
    out, err = capsys.readouterr()
    assert out == ""
    found = json.loads(err)
    assert found["schema"] == "norcim.error.v1"
    assert (found["id"], found["where"], found["exit_code"]) == ("NC-E9999", "conv2", 5)


def test_any_other_exception_is_a_bug_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(monkeypatch, ValueError("oops")) == 1
    err = capsys.readouterr().err
    assert err.startswith("this is a bug in norcim: ValueError: oops")
    assert "Traceback" not in err
    assert "-v" in err


def test_verbose_adds_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(monkeypatch, ValueError("oops"), "-v") == 1
    assert "Traceback" in capsys.readouterr().err


def test_bug_under_json_is_an_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(monkeypatch, ValueError("oops"), "--json") == 1
    assert json.loads(capsys.readouterr().err)["id"] == "bug"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    assert run_raising(monkeypatch, error) == 130


def test_usage_error_under_json_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["chips", "--nonsense", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["id"] == "usage"


def test_misspelt_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["compil"]) == 2
    assert "Did you mean 'compile'?" in capsys.readouterr().err


def test_quiet_silences_logs_and_progress(capsys: pytest.CaptureFixture[str]) -> None:
    console.STATE.quiet = True
    console.log("hello")
    with console.progress() as report:
        report("step", 1, 2)
    assert capsys.readouterr().err == ""


def test_progress_without_a_terminal_prints_each_kind_of_step_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.progress() as report:
        for done in range(3):
            report(f"quantise conv{done}", done, 3)
        report("place tiles", 0, 1)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "quantise ...\nplace ...\n"


def test_log_levels(capsys: pytest.CaptureFixture[str]) -> None:
    console.log("detail", level=1)
    assert capsys.readouterr().err == ""
    console.STATE.verbose = 1
    console.log("detail", level=1)
    assert capsys.readouterr().err == "detail\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"),
        (1.0, "1 s"),
        (12.3e-6, "12.3 µs"),
        (0.9999e-3, "1 ms"),
        (2e-16, "2e-16 s"),
        (161.2e-9, "161 ns"),
    ],
)
def test_units(value: float, text: str) -> None:
    assert spell(value, "s") == text


def test_each_summary_is_the_first_line_of_its_command_help() -> None:
    for entry in registry.ENTRIES:
        assert (entry.load().help or "").splitlines()[0] == entry.summary, entry.name
