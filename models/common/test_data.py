"""The command line of the scripts that write a model's test data."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np


def write_test_data(
    doc: str | None, make: Callable[[Path | None], tuple[np.ndarray, np.ndarray]]
) -> None:
    """Write what `make` gives as an npz file that `norcim eval` takes.

    doc   what the script says of itself
    make  folder of MNIST, None for drawn digits -> inputs (n, ...) and labels (n,)
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mnist", type=Path, help="folder of MNIST [draw the digits]")
    parser.add_argument("--output", type=Path, required=True, help="npz to write")
    options = parser.parse_args()
    x, y = make(options.mnist)
    np.savez_compressed(options.output, x=x, y=y)
    print(f"{options.output}: {len(x)} images")
