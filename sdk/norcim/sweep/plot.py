"""Plots of a sweep: accuracy or SNR over one axis, a line for each combination of the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from norcim.errors import EXIT_UNSUPPORTED, EXIT_USAGE, NorcimError
from norcim.sweep.axes import Axis

SUFFIXES = (".png", ".svg", ".pdf")
MAX_LINES = 10
"""Lines that can still be told apart, and colours of matplotlib's cycle."""


def check_plot(output: Path, axes: Sequence[Axis]) -> None:
    """Raises NC-E0916 for another suffix or too many lines, NC-E0917 without matplotlib."""
    if output.suffix not in SUFFIXES:
        raise _refuse("plots are PNG, SVG or PDF", "a name that ends in " + ", ".join(SUFFIXES),
                      output.name, "choose another name")  # fmt: skip
    n_lines = 1
    for axis in _others(axes):
        n_lines *= len(axis.values)
    if n_lines > MAX_LINES:
        raise _refuse("too many lines for one plot", f"at most {MAX_LINES} combinations of the "
                      "axes beside the longest", str(n_lines), "give fewer values")  # fmt: skip
    _matplotlib()


def plot_sweep(
    rows: Sequence[dict[str, Any]], axes: Sequence[Axis], output: Path, measure: str = "accuracy"
) -> None:
    """Draw the rows of `run_sweep` over the longest axis (of equal ones the first).

    Lines are means over the sampled chips with a band from the 5th to the 95th percentile;
    dashed, the exact chip. The same rows give the same file.
    measure  what the rows hold: `accuracy` or `snr_db`
    Raises NC-E0916, NC-E0917 as `check_plot`.
    """
    check_plot(output, axes)
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    plane = figure.add_subplot()
    x_name, others = _longest(axes).name, [axis.name for axis in _others(axes)]
    lines: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        lines.setdefault(tuple(row[name] for name in others), []).append(row)
    for i, (values, points) in enumerate(sorted(lines.items())):
        points = sorted(points, key=lambda row: row[x_name])
        label = ", ".join(f"{n} {v:g}" for n, v in zip(others, values, strict=True))
        _draw_line(plane, x_name, points, f"C{i}", label, 100 if measure == "accuracy" else 1)
    plane.set(xlabel=x_name, ylabel="accuracy, %" if measure == "accuracy" else "SNR, dB")
    plane.grid(alpha=0.3)
    if others:
        plane.legend(fontsize="small")
    # Neither a date nor random ids: the same rows, the same bytes.
    plain: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with matplotlib.rc_context({"svg.hashsalt": "norcim"}):
        figure.savefig(output, dpi=150, metadata=plain.get(output.suffix))


def _draw_line(
    plane: Any, x_name: str, points: list[dict[str, Any]], colour: str, label: str, unit: float
) -> None:
    def values(key: str) -> list[float]:
        return [unit * row[key] for row in points]

    x = [row[x_name] for row in points]
    if "mean" not in points[0]:
        plane.plot(x, values("exact"), ".--", color=colour, label=label)
        return
    plane.fill_between(x, values("p05"), values("p95"), color=colour, alpha=0.2, linewidth=0)
    plane.plot(x, values("mean"), ".-", color=colour, label=label)
    plane.plot(x, values("exact"), "--", color=colour, linewidth=0.8)


def _longest(axes: Sequence[Axis]) -> Axis:
    return max(axes, key=lambda axis: len(axis.values))


def _others(axes: Sequence[Axis]) -> list[Axis]:
    x = _longest(axes)
    return [axis for axis in axes if axis is not x]


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as cause:
        raise NorcimError(
            "NC-E0917", "a plot needs the extra `report`", got=str(cause),
            fix="pip install 'norcim[report]'", exit_code=EXIT_UNSUPPORTED,
        ) from cause  # fmt: skip
    return matplotlib


def _refuse(what: str, expected: str, got: str, fix: str) -> NorcimError:
    return NorcimError(
        "NC-E0916", what, where="--plot", expected=expected, got=got, fix=fix, exit_code=EXIT_USAGE
    )
