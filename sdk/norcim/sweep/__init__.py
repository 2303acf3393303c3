"""Parameter sweeps: accuracy over values of a chip file, seeded, resumable, on many processes."""

from norcim.sweep.axes import ALIASES, Axis, parse_axis, points_of
from norcim.sweep.job import Job
from norcim.sweep.plot import check_plot, plot_sweep
from norcim.sweep.run import DaskPool, LocalPool, run_sweep

__all__ = [
    "ALIASES",
    "Axis",
    "DaskPool",
    "Job",
    "LocalPool",
    "check_plot",
    "parse_axis",
    "plot_sweep",
    "points_of",
    "run_sweep",
]
