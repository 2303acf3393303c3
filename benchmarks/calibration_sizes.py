"""`python -m benchmarks.calibration_sizes`: what a small calibration set costs.

Every network is calibrated on several random sets of 10, 25 and 100 inputs and measured on inputs
of its own; the table is in points of accuracy, or of 100 times the area under the curve, lost
against onnxruntime.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks import recordings as rec
from benchmarks.accuracy import run_image, run_peer
from benchmarks.accuracy_sets import Score, rebuilt_auc, top1
from benchmarks.subjects import shared_data
from norcim.chips import load_chip
from norcim.runtime import compile_model

Array = npt.NDArray[Any]

SIZES = (10, 25, 100)
DRAWS = 4


@dataclass(frozen=True)
class Pool:
    """A model, inputs to draw calibration sets from, inputs to measure, and their score.

    score  of outputs, in points
    """

    name: str
    model: str
    pool: Array
    inputs: Array
    score: Score


def pools(data: Path) -> Iterator[Pool]:
    """One network at a time."""
    test = np.load(data / "kws_gsc/gsc_v2_test.npz")
    clips = rec.training_clips(data / "kws_gsc/train", 600, test["x"])
    features = [np.stack([rec.kws_mfcc(c) for c in part])[..., None] for part in (clips, test["x"])]
    yield Pool("KWS", "mlperf_kws_dscnn_fp32", *features, top1(test["y"]))
    images, train = np.load(data / "cifar10/test.npz"), np.load(data / "cifar10/train_calib.npz")
    real = [part["x"].astype(np.float32) for part in (train, images)]
    yield Pool("ResNet-8", "mlperf_ic_resnet8_fp32", *real, top1(images["y"]))
    test, train = np.load(data / "mnist/test.npz"), np.load(data / "mnist/train.npz")
    real = [part["x"][:, None].astype(np.float32) for part in (train, test)]
    yield Pool("MNIST", "mnist_cnn", *real, top1(test["y"]))
    source = np.load(data / "ad01/toycar_logmel.npz")
    windows = np.stack([rec.machine_windows(recording) for recording in source["x"]])
    anomaly = source["y"] == 1
    normal, held = windows[1::2][~anomaly[1::2]], windows[::2]

    area = rebuilt_auc(held, anomaly[::2])

    def score(outputs: Array) -> float:
        return 100 * area(outputs)

    flat = [part.reshape(-1, 640) for part in (normal, held)]
    yield Pool("autoencoder", "mlperf_ad_autoencoder_fp32", *flat, score)
    yield Pool("autoencoder (tfl)", "mlperf_ad_autoencoder_fp32_tfl", *flat, score)


def lost(pool: Pool, models: Path, chip: str, n: int) -> list[float]:
    """Points lost against onnxruntime with `DRAWS` random calibration sets of n inputs."""
    path = models / f"{pool.model}.onnx"
    due = pool.score(run_peer(path, pool.inputs))
    found = []
    for seed in range(DRAWS):
        chosen = np.random.default_rng(seed).choice(len(pool.pool), n, replace=False)
        content = compile_model(path, load_chip(chip), {"x": pool.pool[chosen]})
        found.append(due - pool.score(run_image(content, pool.inputs)))
    return found


@click.command()
@click.option("--chips", default="digital,nor1", show_default=True, help="Chips, by commas.")
@click.option("--only", default="", help="Only networks whose name holds this.")
def main(chips: str, only: str) -> None:
    """Print the table: points lost, mean over the sets, and the worst set."""
    folder = shared_data()
    if folder is None:
        click.echo("skipped: the folder of third-party models and recordings is not there")
        return
    click.echo("| network | chip | " + " | ".join(f"{n} inputs" for n in SIZES) + " |")
    click.echo("|---" * (2 + len(SIZES)) + "|")
    for pool in pools(folder / "data"):
        for chip in chips.split(",") if only in pool.name else ():
            rows = [lost(pool, folder / "models", chip, n) for n in SIZES]
            cells = [f"{np.mean(row):.1f} ({max(row):.1f})" for row in rows]
            click.echo(f"| {pool.name} | {chip} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
