"""Accuracy of kws.onnx in floating point, on recordings or on the demo clips.

    python models/kws/evaluate.py PATH/TO/gsc_v2_test.npz
    python models/kws/evaluate.py models/kws/clips

An npz holds `x` int16 (n, 16000), `y` (n,) and `label_names`; a folder holds <label>_NN.wav.
Features come from the integer front end that model.json describes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime

from norcim.audio import LogMelConfig, log_mel, read_wav

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="npz of recordings, or folder of WAV clips")
    parser.add_argument("--model", type=Path, default=HERE, help="folder of kws.onnx [here]")
    parser.add_argument("--each", action="store_true", help="print the answer to every clip")
    parser.add_argument("--record", action="store_true", help="write top-1 to model.json")
    options = parser.parse_args()
    description = json.loads((options.model / "model.json").read_text())
    labels = description["labels"]
    pcm, truth, names = load_clips(options.data, labels)
    codes = log_mel(pcm, LogMelConfig.from_dict(description["front_end"]))
    scores = run_model(options.model / "kws.onnx", codes)
    answers = scores.argmax(axis=1)
    if options.each:
        for name, answer, share in zip(names, answers, softmax(scores).max(axis=1), strict=True):
            print(f"{name:20} {labels[answer]:10} {share:.2f}")
    for i, label in enumerate(labels):
        if (truth == i).any():
            right = answers[truth == i] == i
            print(f"{label:10} {right.sum():4d} of {len(right):4d}")
    right = answers == truth
    print(f"top-1      {right.mean():.4f} ({right.sum()} of {len(right)})")
    if options.record:
        measured = {"top1": round(float(right.mean()), 4), "n": len(right)}
        description["reference"][options.data.stem] = measured
        (options.model / "model.json").write_text(json.dumps(description, indent=2) + "\n")


def load_clips(path: Path, labels: list[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """int16 (n, 16000), index into `labels` (n,), a name for each clip."""
    if path.is_dir():
        files = sorted(path.glob("*.wav"))
        words = [f.stem.rsplit("_", 1)[0] for f in files]
        known = {label.strip("_"): i for i, label in enumerate(labels)}
        pcm = np.stack([read_wav(f) for f in files])
        return pcm, np.array([known[word] for word in words]), [f.name for f in files]
    with np.load(path) as data:
        order = np.array([labels.index(str(name)) for name in data["label_names"]])
        names = [str(name) for name in data["name"]] if "name" in data else [""] * len(data["y"])
        return data["x"], order[data["y"]], names


def run_model(path: Path, codes: np.ndarray) -> np.ndarray:
    """Logits float (n, n_labels) for codes uint8 (n, n_frames, n_mels)."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return session.run(None, {name: codes[:, None].astype(np.float32)})[0]


def softmax(scores: np.ndarray) -> np.ndarray:
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


if __name__ == "__main__":
    main()
