"""The networks whose accuracy is measured: their calibration sets, recordings and scores.

Nothing is calibrated on what it is measured on: where the folder has no second set, the recordings
are cut in two halves, and each is measured with an image that was calibrated on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import recordings as rec

Array = npt.NDArray[Any]
Score = Callable[[Array], float]
CALIBRATION = 100
WAKE_THRESHOLD = 0.95


@dataclass(frozen=True)
class Fold:
    """Inputs to measure and the inputs that their image is calibrated on, both (n, ...)."""

    calibration: Array
    inputs: Array


@dataclass(frozen=True)
class Subject:
    """A model with recordings.

    folds   measured one by one; outputs follow each other in their order
    scores  by metric: the figure of all outputs; "%" is a share, "AUC" and "of" are what they say
    real    output codes as real values, for the comparison with onnxruntime
    """

    model: str
    folds: tuple[Fold, ...]
    scores: Mapping[str, Score]
    real: Callable[[Array], Array] = lambda outputs: np.asarray(outputs, np.float64)

    @property
    def n(self) -> int:
        """Number of inputs."""
        return sum(len(fold.inputs) for fold in self.folds)


def spread(values: Array, n: int = CALIBRATION) -> Array:
    """At most n of them, at equal distances."""
    return values[np.linspace(0, len(values) - 1, min(n, len(values))).astype(int)]


def halves(inputs: Array) -> tuple[Array, tuple[Fold, ...]]:
    """The order in which two halves are measured, each calibrated on the other."""
    even, odd = np.arange(0, len(inputs), 2), np.arange(1, len(inputs), 2)
    folds = tuple(Fold(spread(inputs[b]), inputs[a]) for a, b in ((even, odd), (odd, even)))
    return np.r_[even, odd], folds


def top1(labels: Array) -> Score:
    """Share of right classes, in percent."""
    flat = labels.astype(int)
    return lambda o: 100 * float((o.reshape(len(flat), -1).argmax(1) == flat).mean())


def _top1(labels: Array) -> dict[str, Score]:
    return {"%": top1(labels)}


def rebuilt_auc(due: Array, anomaly: Array) -> Score:
    """Area under the curve by the squared error of what an autoencoder rebuilds.

    due      (recordings, windows, 640); anomaly (recordings,) bool
    """

    def score(outputs: Array) -> float:
        errors = ((due - outputs.reshape(due.shape)) ** 2).mean(axis=(1, 2))
        return rec.auc(errors[anomaly], errors[~anomaly])

    return score


def subjects(data: Path) -> Iterator[Callable[[], Iterator[Subject]]]:
    """Groups of subjects; each is loaded when it is called. `data` holds the folder's arrays."""
    for group in (_kws, _arm_kws, _images, _persons, _machines, _wake, _digits, _faces):
        yield lambda group=group: group(data)  # type: ignore[misc]


def _kws(data: Path) -> Iterator[Subject]:
    test = np.load(data / "kws_gsc/gsc_v2_test.npz")
    pack = rec.training_clips(data / "kws_gsc/train", CALIBRATION, test["x"])
    calibration = np.stack([rec.kws_mfcc(clip) for clip in pack])[..., None]
    clips = np.stack([rec.kws_mfcc(clip) for clip in test["x"]])[..., None]
    kws01 = np.load(data / "kws01/kws01.npz")
    codes = kws01["x"][..., None]
    real = (codes.astype(np.float32) - rec.KWS_ZERO) * rec.KWS_SCALE
    for model in ("mlperf_kws_dscnn_fp32", "mlperf_kws_dscnn_fp32_tfl", "mlperf_kws_dscnn_int8"):
        whole = model.endswith("int8")
        calib = rec.kws_codes(calibration) if whole else calibration
        for name, x, y in (
            ("kws01", codes if whole else real, kws01["y"]),
            ("speech commands", rec.kws_codes(clips) if whole else clips, test["y"]),
        ):
            scores = {f"{name} {metric}": f for metric, f in _top1(y).items()}
            yield Subject(model, (Fold(calib, x),), scores)


def _arm_kws(data: Path) -> Iterator[Subject]:
    features = np.load(data / "kws_gsc/arm_mfcc.npz")
    for model, name in (
        ("armkws_dnn_s", "x250"), ("armkws_cnn_s", "x490"), ("armkws_ds_cnn_s", "x490")
    ):  # fmt: skip
        order, folds = halves(features[name])
        yield Subject(model, folds, _top1(features["y"][order]))
    speech = np.load(data / "kws_gsc/micro_speech.npz")
    order, folds = halves(speech["x"])
    yield Subject("tflm_micro_speech_int8", folds, _top1(speech["y"][order]))


def _images(data: Path) -> Iterator[Subject]:
    test, train = np.load(data / "cifar10/test.npz"), np.load(data / "cifar10/train_calib.npz")
    calibration, scores = spread(train["x"]), _top1(test["y"])
    yield Subject(
        "mlperf_ic_resnet8_fp32",
        (Fold(calibration.astype(np.float32), test["x"].astype(np.float32)),), scores,
    )  # fmt: skip
    fold = Fold(_signed(calibration), _signed(test["x"]))
    yield Subject("mlperf_ic_resnet8_int8", (fold,), scores)


def _signed(images: Array) -> Array:
    return (images.astype(np.int16) - 128).astype(np.int8)


def _persons(data: Path) -> Iterator[Subject]:
    """Enlarged natural images: what counts is the class that onnxruntime gives."""
    test, train = np.load(data / "cifar10/test.npz"), np.load(data / "cifar10/train_calib.npz")
    images, calibration = (
        np.stack([np.rint(rec.resize(image, 96, 96)) for image in part]).astype(np.uint8)
        for part in (test["x"], spread(train["x"]))
    )
    fold = Fold((calibration / 255).astype(np.float32), (images / 255).astype(np.float32))
    yield Subject("mlperf_vww_mbv1_025_96_fp32", (fold,), {})
    fold = Fold(_signed(calibration), _signed(images))
    yield Subject("mlperf_vww_mbv1_025_96_int8", (fold,), {})


def _machines(data: Path) -> Iterator[Subject]:
    """Windows of one half of the recordings; calibrated on normal machines of the other."""
    source = np.load(data / "ad01/toycar_logmel.npz")
    windows = np.stack([rec.machine_windows(recording) for recording in source["x"]])
    anomaly = source["y"] == 1
    even, odd = np.arange(0, len(windows), 2), np.arange(1, len(windows), 2)
    order = np.r_[even, odd]
    due = windows[order]

    def folds(code: Callable[[Array], Array]) -> tuple[Fold, ...]:
        return tuple(
            Fold(
                # All of them: their extremes decide what is clipped, and the score is an error.
                code(windows[b][~anomaly[b]].reshape(-1, 640)),
                code(windows[a].reshape(-1, 640)),
            )
            for a, b in ((even, odd), (odd, even))
        )

    score = rebuilt_auc(due, anomaly[order])
    for model in ("mlperf_ad_autoencoder_fp32", "mlperf_ad_autoencoder_fp32_tfl"):
        yield Subject(model, folds(lambda x: x), {"AUC": score})

    def coded(x: Array) -> Array:
        codes = np.clip(np.round(x / np.float32(0.3910152316093445) + 89), -128, 127)
        return codes.astype(np.int8)

    def real(o: Array) -> Array:
        return (o.astype(np.float64) - 96) * 0.36449846625328064

    scores = {"AUC": lambda o: score(real(o))}
    yield Subject("mlperf_ad_autoencoder_int8", folds(coded), scores, real)


def _wake(data: Path) -> Iterator[Subject]:
    marvin = np.load(data / "sww_marvin/marvin_clips.npz")["x"]
    test = np.load(data / "kws_gsc/gsc_v2_test.npz")
    others = test["x"][test["word"] != "marvin"]
    clips = [clip / max(1.0, float(np.abs(clip.astype(float)).max())) for clip in marvin]
    clips += [clip / max(1.0, float(np.abs(clip.astype(float)).max())) for clip in others]
    stream = np.load(data / "sww_marvin/stream.npz")
    track = rec.wake_features(stream["audio"] / 32768)
    moving = np.stack([track[i : i + 30] for i in range(len(track) - 29)])
    inputs = np.concatenate([np.stack([rec.wake_features(clip) for clip in clips]), moving])
    calibration = np.load(data / "sww_marvin/calibration_lfbe.npz")["x"]

    def right(o: Array) -> float:
        said = o.reshape(len(o), -1)[: len(clips), 0] > WAKE_THRESHOLD
        return 100 * float((said == (np.arange(len(clips)) < len(marvin))).mean())

    def heard(o: Array) -> float:
        said = o.reshape(len(o), -1)[len(clips) :, 0] > WAKE_THRESHOLD
        end = (np.arange(len(said)) * 512 + 29 * 512 + 1024) / rec.RATE_HZ
        hits = [said[(end >= a) & (end <= b + 0.5)].any() for a, b in stream["windows"]]
        return float(sum(hits))

    scores = {"clips %": right, f"heard of {len(stream['windows'])}": heard}
    fold = Fold(calibration, inputs)
    yield Subject("mlperf_sww_dscnn1d_fp32", (fold,), scores)

    def coded(x: Array) -> Array:
        return np.clip(np.round(x / 0.003701042616739869 - 128), -128, 127).astype(np.int8)

    def real(o: Array) -> Array:
        return (o.astype(np.float64) + 128) / 256

    quantised = {name: lambda o, f=f: f(real(o)) for name, f in scores.items()}
    fold = Fold(coded(calibration), coded(inputs))
    yield Subject("mlperf_sww_dscnn1d_int8", (fold,), quantised, real)


def _digits(data: Path) -> Iterator[Subject]:
    test, train = np.load(data / "mnist/test.npz"), np.load(data / "mnist/train.npz")
    calibration = spread(train["x"])[:, None].astype(np.float32)
    fold = Fold(calibration, test["x"][:, None].astype(np.float32))
    yield Subject("mnist_cnn", (fold,), _top1(test["y"]))


def _faces(data: Path) -> Iterator[Subject]:
    """Faces on a grey ground against enlarged images without people; 24 + 24 to calibrate."""
    people, things = np.load(data / "faces/att_orl.npz"), np.load(data / "cifar10/test.npz")
    train = np.load(data / "cifar10/train_calib.npz")["x"]

    def face(image: Array) -> Array:
        canvas = np.full((240, 320, 3), 110.0)
        canvas[41:199, 95:225] = rec.resize(image, 158, 130)[..., None]
        return canvas

    def coded(images: list[Array]) -> Array:
        return ((np.stack(images) - 127) / 128).transpose(0, 3, 1, 2).astype(np.float32)

    faces = [face(image) for image in people["x"][::2]]
    scenes = [rec.resize(image, 240, 320) for image in things["x"][::5]]
    learnt = [face(image) for image in people["x"][1::10]]
    learnt += [rec.resize(image, 240, 320) for image in train[::42]]

    def score(outputs: Array) -> float:
        best = outputs[..., 1].max(axis=1)
        return rec.auc(best[: len(faces)], best[len(faces) :])

    fold = Fold(coded(learnt), coded(faces + scenes))
    yield Subject("ultraface_slim_320", (fold,), {"AUC": score})
