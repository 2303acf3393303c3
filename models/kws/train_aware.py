"""Fine-tune kws.onnx on sampled chips, so that it stands their cells.

    python models/kws/train_aware.py --data PATH/TO/train --output build/kws_aware

Takes the weights of --model, trains them for --steps batches in which every batch sees another
chip, and writes kws.onnx and model.json. Data, features and what they need are as in train.py.
`norcim eval --cells` then says what it is worth. docs/training.md has figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from export import export_onnx
from network import WIDTHS, DsCnn, FoldedDsCnn
from onnx import numpy_helper
from recordings import CLIP_SAMPLES, LABELS, Clips, drop_tested, load_training_clips
from train import Examples as Examples  # train.py has stored features as __main__.Examples
from train import draw_batches, fit, load_or_make, make_examples, report

from norcim.audio import LogMelConfig
from norcim.chips import load_chip
from norcim.emulator.cells import CellModel, Compensation
from norcim.image.model import ImageContent
from norcim.runtime import compile_model
from norcim.spec.program import Opcode
from norcim.train import make_aware, make_plain

HERE = Path(__file__).parent


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.work.mkdir(parents=True, exist_ok=True)
    description = json.loads((options.model / "model.json").read_text())
    config = LogMelConfig.from_dict(description["front_end"])
    examples = load_or_make(
        options.work / "features.pt", lambda: make_examples(options, read_clips(options), config)
    )
    chip = load_chip(options.chip)
    treated = options.compensate.split(",")
    treatment = Compensation(**{name: name in treated for name in Compensation.names()})
    report(f"{chip.name}, {options.cells} cells, {treatment}")
    network = load_folded(options.model / "kws.onnx")
    typical = np.load(options.model / "calib.npz")["x"]
    content = compile_model(options.model / "kws.onnx", chip, {"x": typical})
    model = CellModel.of(chip, options.cells, compensation=treatment)
    relu = [True] * len(network.convolutions) + [False]
    make_aware(network, chip, model, copies_of(content), relu, options.seed)
    batches = draw_batches(examples, options.steps, options.batch)
    network = make_plain(fit(network, batches, options.steps, options.rate, relative=True))
    options.output.mkdir(parents=True, exist_ok=True)
    export_onnx(network, config.n_frames(CLIP_SAMPLES), config.n_mels, options.output / "kws.onnx")
    names = ("chip", "cells", "compensate", "steps", "batch", "rate", "seed")
    description["training"]["aware"] = {name: getattr(options, name) for name in names}
    description["reference"] = {}
    (options.output / "model.json").write_text(json.dumps(description, indent=2) + "\n")
    report(f"written: {options.output / 'kws.onnx'}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, help="training clips, as for train.py; not read if there are features")
    add("--exclude", type=Path, help="npz of a test set, as for train.py")
    add("--background", type=Path, help="npz with int16 array `audio`: noise to mix in")
    add("--model", type=Path, default=HERE, help="folder of kws.onnx to start from [here]")
    add("--output", type=Path, required=True, help="folder for kws.onnx and model.json")
    add("--work", type=Path, default=Path("build/kws"), help="folder of features [build/kws]")
    add("--chip", default="wtm2101", help="whose cells [wtm2101]")
    add("--cells", default="typical", help="corner of its cells [typical]")
    add(
        "--compensate",
        default="reserve,remap,refine",
        help="what is done about the cells of the chips that are trained on "
        "[reserve,remap,refine: columns are not calibrated]",
    )
    add("--steps", type=int, default=400, help="batches, each on another chip [400]")
    add("--batch", type=int, default=64, help="examples of a batch [64]")
    add("--rate", type=float, default=6e-3, help="largest step, in units of a tensor's RMS [6e-3]")
    add("--copies", type=int, default=24, help="varied copies of each recording [24]")
    add("--synthetic", type=int, default=150, help="synthetic clips a keyword [150]")
    add("--seed", type=int, default=1, help="of every random draw [1]")
    add("--threads", type=int, default=2, help="CPU threads [2]")
    return parser.parse_args()


def read_clips(options: argparse.Namespace) -> Clips:
    clips = load_training_clips(options.data)
    return drop_tested(clips, options.exclude) if options.exclude else clips


def load_folded(path: Path) -> FoldedDsCnn:
    """The network of kws.onnx, its normalisations folded."""
    weights = {
        w.name: torch.from_numpy(numpy_helper.to_array(w).copy())
        for w in onnx.load(path).graph.initializer
    }
    network = FoldedDsCnn(DsCnn(len(LABELS), WIDTHS, dropout=0.0).eval())
    names = dict.fromkeys(name.rsplit(".", 1)[0] for name in weights)
    with torch.no_grad():
        for layer, name in zip([*network.convolutions, network.classify], names, strict=True):
            layer.weight.copy_(weights[f"{name}.weight"])
            layer.bias.copy_(weights[f"{name}.bias"])
    return network


def copies_of(content: ImageContent) -> list[int]:
    """Wordlines that drive the same input, layer by layer; 0 for one that runs beside the array."""
    found = []
    for d in content.program:
        if d.opcode == Opcode.MVM:
            found.append(1 + content.tiles[d.tile_base].repeats)
        elif d.opcode == Opcode.DWCONV:
            found.append(0)
    return found


if __name__ == "__main__":
    main()
