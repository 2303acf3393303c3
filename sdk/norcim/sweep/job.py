"""What every point of a sweep shares, and the measurement of one point."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import norcim
from norcim.analysis.evaluation import Bytes
from norcim.analysis.population import Score, accuracy_score, run_population
from norcim.chips import Chip, parse_chip
from norcim.chips.schema import UNBINDING
from norcim.emulator import Emulator
from norcim.emulator.cells import CellModel, Compensation
from norcim.emulator.compensate import calibration_of
from norcim.frontend import import_onnx
from norcim.image.model import ImageContent
from norcim.image.ports import dequantise_port
from norcim.runtime import at_levels, compile_model, encode_inputs, real_outputs
from norcim.sweep.axes import Value, overrides_of

N_CALIBRATION = 32
"""Calibration inputs that compensation uses."""

MAX_SNR_DB = 200.0
"""Stands for outputs without any error."""

DEFAULT_COMPENSATION = Compensation()


@dataclass(frozen=True)
class Job:
    """A model, a chip, data and a condition; bytes and arrays, so that it travels to any worker.

    model        bytes of an ONNX file that holds its own weights
    chip_file    bytes of a chip file, and `chip`, its name
    calibration  typical inputs by name, (n, ...)
    inputs       test inputs by name, (n, ...)
    labels       (n,); None: the outputs are compared with those of the model itself
    """

    model: bytes
    chip_file: bytes
    chip: str
    calibration: Mapping[str, npt.NDArray[Any]]
    inputs: Mapping[str, npt.NDArray[Any]]
    labels: npt.NDArray[Any] | None
    seed: int
    n_chips: int
    corner: str = "typical"
    age_s: float = 0.0
    temperature_c: float = 25.0
    n_cycles: float = 0.0
    compensation: Compensation = DEFAULT_COMPENSATION

    def digest(self) -> str:
        """SHA-256 of everything that the results depend on, hex."""
        h = hashlib.sha256()
        plain = (
            norcim.__version__, self.chip, self.seed, self.n_chips, self.corner, self.age_s,
            self.temperature_c, self.n_cycles, asdict(self.compensation),
        )  # fmt: skip
        h.update(json.dumps(plain).encode())
        for blob in (self.model, self.chip_file):
            h.update(hashlib.sha256(blob).digest())
        arrays = [*sorted(self.calibration.items()), *sorted(self.inputs.items())]
        if self.labels is not None:
            arrays.append(("labels", self.labels))
        for name, array in arrays:
            h.update(f"{name} {array.dtype} {array.shape}".encode())
            h.update(np.ascontiguousarray(array).tobytes())
        return h.hexdigest()

    @property
    def measure(self) -> str:
        """What the figures of a row are: `accuracy`, 0..1, or `snr_db` without labels."""
        return "snr_db" if self.labels is None else "accuracy"

    def chip_at(self, point: dict[str, Value]) -> Chip:
        """The chip of a point. A vendor's rule of fixed width becomes linear to vary its bits."""
        overrides = overrides_of(point)
        if "converter.bits" in overrides:
            plain = parse_chip(self.chip_file, self.chip)
            if plain.converter.rule.name == "WTM2101":
                overrides["converter.rule"] = "linear"
        return parse_chip(self.chip_file, self.chip, overrides)


def measure_point(job: Job, point: dict[str, Value]) -> dict[str, Any]:
    """What an exact chip gives and, if analog, mean and percentiles over the sampled chips."""
    chip = job.chip_at(point)
    content, score = _compiled(_Key(job, chip))
    codes = encode_inputs(content, job.inputs)
    row: dict[str, Any] = {**point, "exact": score(Emulator(content).run(codes))}
    if chip.cells.kind == "none":
        return row
    model = CellModel.of(
        chip, job.corner, age_s=float(point.get("age", job.age_s)),
        temperature_c=float(point.get("temperature", job.temperature_c)),
        n_cycles=float(point.get("cycles", job.n_cycles)), compensation=job.compensation,
    )  # fmt: skip
    typical = {name: array[:N_CALIBRATION] for name, array in job.calibration.items()}
    found = run_population(
        content, model, codes, score, seed=job.seed, n_chips=job.n_chips,
        calibration=calibration_of(content, encode_inputs(content, typical), job.seed),
        measure_columns=False,
    )  # fmt: skip
    low, high = found.percentile(5), found.percentile(95)
    return {**row, "mean": found.mean, "p05": low, "p95": high}


@dataclass(frozen=True)
class _Key:
    """A job and a chip, equal to another if they compile to the same image."""

    job: Job
    chip: Chip

    def _identity(self) -> tuple[int, str]:
        return id(self.job), self.chip.fingerprint

    def __hash__(self) -> int:
        return hash(self._identity())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._identity() == other._identity()


@lru_cache(maxsize=2)
def _compiled(key: _Key) -> tuple[ImageContent, Score]:
    """Points that differ in cells and conditions only share an image and how it is scored."""
    job = key.job
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(job.model)
        content = compile_model(path, key.chip, job.calibration, name="sweep")
        if job.labels is not None:
            return content, accuracy_score(content, job.labels, len(job.labels))
        return content, snr_score(
            content, real_outputs(import_onnx(path), at_levels(content, job.inputs))
        )


def snr_score(content: ImageContent, due: Sequence[npt.NDArray[np.float32]]) -> Score:
    """Score: power of the real outputs `due` over that of the error, dB, at most MAX_SNR_DB.

    due  (n, h, w, c) an output port
    """
    ports = [port for port in content.ports if port.is_output]
    signal = sum(float(np.square(values, dtype=np.float64).sum()) for values in due)

    def score(outputs: list[Bytes]) -> float:
        pairs = zip(ports, outputs, due, strict=True)
        error = sum(float(np.square(dequantise_port(p, o) - d).sum()) for p, o, d in pairs)
        floor = 10 ** (-MAX_SNR_DB / 10)
        # Silence on both sides is equal; silence that should be none has no ratio.
        share = max(error / signal, floor) if signal else (floor if not error else 1 / floor)
        return -10 * math.log10(share)

    return score


def compile_order(point: dict[str, Value]) -> str:
    """Points with the same string compile to the same image."""
    binding = {k: v for k, v in overrides_of(point).items() if k.split(".")[0] not in UNBINDING}
    return json.dumps(binding, sort_keys=True)
