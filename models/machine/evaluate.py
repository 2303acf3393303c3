"""How well the autoencoder tells worn from healthy machines.

    python -m models.machine.evaluate models/machine/machine.onnx
    python -m models.machine.evaluate machine.cim

A clip's score is the mean squared error over its windows; the area under the ROC curve is given for
each machine and for all clips together.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from models.common.network import Network, load_network, roc_auc
from models.machine.data import MACHINES, WINDOW, make_test_set


def score_clips(network: Network, found: np.ndarray) -> np.ndarray:
    """Mean squared error of each clip's windows uint8 (n, n_windows, WINDOW), in codes squared."""
    flat = found.reshape(-1, WINDOW)
    errors = network({"window": flat})["reconstruction"] - flat.astype(np.float32)
    return np.square(errors).mean(axis=1).reshape(found.shape[:2]).mean(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", type=Path, nargs="+", help="ONNX file or images (.cim)")
    options = parser.parse_args()
    found, worn, machine = make_test_set()
    for path in options.network:
        scores = score_clips(load_network(path), found)
        each = [roc_auc(scores[machine == m], worn[machine == m]) for m in MACHINES]
        listed = " ".join(f"{auc:.3f}" for auc in each)
        total = roc_auc(scores, worn)
        print(f"{path.name}: AUC {total:.4f}, machines {listed}")


if __name__ == "__main__":
    main()
