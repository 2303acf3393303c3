"""Train the keyword-spotting DS-CNN and export it.

    python models/kws/train.py --data PATH/TO/train --output models/kws

Steps: read the recordings, widen them with synthetic speech and noise, compute features of
varied copies with the integer front end, train wide teachers, train the small network on their
answers, fold it, fine-tune it under 8-bit rounding, write ONNX and model.json. Needs torch, onnx,
soundfile (for FLAC) and espeak-ng. The result depends on --seed, and on --threads and the torch
build in the last bits.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from augment import FeatureJob, compute_features, make_silence
from export import export_onnx
from network import TEACHER_WIDTHS, WIDTHS, DsCnn, FoldedDsCnn, count_macs, level_channels
from recordings import (
    CLIP_SAMPLES,
    LABELS,
    Clips,
    drop_tested,
    load_training_clips,
    split_by_speaker,
)
from synthesise import synthesise_words
from torch import Tensor, nn
from torch.nn import functional

from norcim.audio import LogMelConfig, log_mel

UNKNOWN = LABELS.index("_unknown_")
SMOOTHING = 0.05
"""Share of a label that is spread over all of them."""


@dataclass(frozen=True)
class Examples:
    """codes uint8 (n, n_frames, n_mels), label int64 (n,), weight float (n,): chance of a draw."""

    codes: Tensor
    label: Tensor
    weight: Tensor


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.work.mkdir(parents=True, exist_ok=True)
    config = LogMelConfig()
    clips = load_training_clips(options.data)
    if options.exclude:
        clips = drop_tested(clips, options.exclude)
    clips, held_out = split_by_speaker(clips, options.validate, options.seed)
    report(f"{len(clips)} clips to train on, {len(held_out)} held out")
    examples = load_or_make(
        options.work / "features.pt", lambda: make_examples(options, clips, config)
    )
    report(f"{len(examples.label)} varied examples")
    teachers = [
        load_or_make(
            options.work / f"teacher{i}.pt", lambda i=i: train_teacher(options, examples, i)
        )
        for i in range(options.teachers)
    ]
    check = make_check(held_out, config)
    for i, teacher in enumerate(teachers):
        report(f"teacher {i}: {check(teacher)}")
    student = load_or_make(
        options.work / "student.pt", lambda: train_student(options, examples, teachers, check)
    )
    report(f"student: {check(student)}")
    folded = fine_tune(options, student, teachers, examples, check)
    write_model(options, config, student, folded)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        required=True,
        help="folder with clips.json and one FLAC a class, or Speech Commands v0.02 unpacked",
    )
    add(
        "--exclude",
        type=Path,
        help="npz of a test set (`x`, `speaker`): its speakers and recordings are not trained on",
    )
    add("--background", type=Path, help="npz with int16 array `audio`: noise to mix in")
    add("--output", type=Path, required=True, help="folder for kws.onnx, model.json, labels.txt")
    add(
        "--work",
        type=Path,
        default=Path("build/kws"),
        help="folder for features and checkpoints; what is there is used again [build/kws]",
    )
    add("--seed", type=int, default=1, help="of every random draw [1]")
    add(
        "--copies",
        type=int,
        default=24,
        help="varied copies of each recording; 2 for all of Speech Commands [24]",
    )
    add(
        "--synthetic",
        type=int,
        default=150,
        help="synthetic clips a keyword, and 12 times as many unknown words; 0: none [150]",
    )
    add(
        "--validate",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the speakers held out to report accuracy on [0: train on all]",
    )
    add("--teachers", type=int, default=0, help="wide networks to learn from first [0]")
    add("--teacher-steps", type=int, default=3500, help="batches for each teacher [3500]")
    add("--steps", type=int, default=2200, help="batches for the small network [2200]")
    add("--fine-tune-steps", type=int, default=200, help="batches under 8-bit rounding [200]")
    add("--threads", type=int, default=2, help="CPU threads [2]")
    return parser.parse_args()


def report(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def load_or_make(path: Path, make: Callable[[], object]) -> object:
    if not path.exists():
        torch.save(make(), path)
    return torch.load(path, weights_only=False)


def make_examples(options: argparse.Namespace, clips: Clips, config: LogMelConfig) -> Examples:
    """Features of varied copies; recordings count most, every class is drawn about alike."""
    background = np.load(options.background)["audio"] if options.background else np.zeros(0, "i2")
    sources = [(clips, options.copies, 1.0), (make_silence(300, options.seed), 4, 0.5)]
    if options.synthetic:
        synthetic = synthesise_words(options.synthetic, 12 * options.synthetic, options.seed)
        sources.append((synthetic, 4, 0.4))
    codes, labels, weights = [], [], []
    for i, (source, copies, importance) in enumerate(sources):
        job = FeatureJob(source, background, config, 1000 * options.seed + i)
        part = compute_features(job, copies, options.threads)
        codes.append(part[0])
        labels.append(part[1])
        weights.append(np.full(len(part[1]), importance))
    label, weight = np.concatenate(labels), np.concatenate(weights)
    share = np.bincount(label, weight, len(LABELS))
    weight /= share[label]
    weight[label == UNKNOWN] *= 1.6
    return Examples(
        torch.from_numpy(np.concatenate(codes)), torch.from_numpy(label), torch.from_numpy(weight)
    )


def make_check(held_out: Clips, config: LogMelConfig) -> Callable[[nn.Module], str]:
    codes = torch.from_numpy(log_mel(held_out.pcm, config)).float()[:, None]
    label = torch.from_numpy(held_out.label)

    def check(model: nn.Module) -> str:
        if not len(label):
            return "no clips held out"
        model.eval()
        with torch.no_grad():
            answers = torch.cat([model(part).argmax(1) for part in codes.split(256)])
        return f"top-1 {(answers == label).float().mean():.4f} on held-out speakers"

    return check


def train_teacher(options: argparse.Namespace, examples: Examples, index: int) -> nn.Module:
    torch.manual_seed(options.seed + 100 + index)
    teacher = DsCnn(len(LABELS), TEACHER_WIDTHS, dropout=0.3, residual=True)
    report(f"teacher {index}: {options.teacher_steps} steps")
    return fit(teacher, draw_batches(examples, options.teacher_steps), options.teacher_steps, 4e-3)


def train_student(
    options: argparse.Namespace,
    examples: Examples,
    teachers: list[nn.Module],
    check: Callable[[nn.Module], str],
) -> nn.Module:
    torch.manual_seed(options.seed + 200)
    student = DsCnn(len(LABELS), WIDTHS, dropout=0.0 if teachers else 0.2)
    report(f"student: {options.steps} steps")
    batches = add_teachers(draw_batches(examples, options.steps), teachers)
    return fit(student, batches, options.steps, 4e-3, check if options.validate else None)


def fine_tune(
    options: argparse.Namespace,
    student: DsCnn,
    teachers: list[nn.Module],
    examples: Examples,
    check: Callable[[nn.Module], str],
) -> FoldedDsCnn:
    """The exported network, made robust to 8-bit weights and 8-bit column sums."""
    torch.manual_seed(options.seed + 300)
    folded = FoldedDsCnn(student.eval())
    level_channels(folded, examples.codes[:: max(1, len(examples.codes) // 500)].float()[:, None])
    batches = add_teachers(draw_batches(examples, options.fine_tune_steps), teachers)
    folded = fit(folded, alternate_converters(batches, folded), options.fine_tune_steps, 2e-4)
    for folded.converter in (*FoldedDsCnn.CONVERTERS, None):
        report(f"folded, converter {folded.converter}: {check(folded)}")
    return folded


def alternate_converters(
    batches: Iterable[tuple[Tensor, Tensor]], model: FoldedDsCnn
) -> Iterable[tuple[Tensor, Tensor]]:
    for i, batch in enumerate(batches):
        model.converter = FoldedDsCnn.CONVERTERS[i % 2]
        yield batch


def write_model(
    options: argparse.Namespace, config: LogMelConfig, student: DsCnn, folded: FoldedDsCnn
) -> None:
    """kws.onnx, labels.txt and model.json (what evaluate.py needs, and how this was trained)."""
    options.output.mkdir(parents=True, exist_ok=True)
    n_frames = config.n_frames(CLIP_SAMPLES)
    export_onnx(folded, n_frames, config.n_mels, options.output / "kws.onnx")
    (options.output / "labels.txt").write_text("\n".join(LABELS) + "\n")
    names = ("seed", "copies", "synthetic", "validate", "teachers", "teacher_steps", "steps")
    description = {
        "name": "kws",
        "labels": list(LABELS),
        "front_end": config.to_dict(),
        "macs": count_macs(student, n_frames, config.n_mels),
        "parameters": sum(p.numel() for p in folded.parameters()),
        "training": {name: getattr(options, name) for name in (*names, "fine_tune_steps")},
        "reference": {},
    }
    (options.output / "model.json").write_text(json.dumps(description, indent=2) + "\n")
    report(f"written: {options.output / 'kws.onnx'}; measure it with evaluate.py --record")


def draw_batches(
    examples: Examples, n_batches: int, size: int = 128
) -> Iterable[tuple[Tensor, Tensor]]:
    """Codes (size, 1, n_frames, n_mels) and label shares (size, n_labels), varied and mixed."""
    for _ in range(n_batches):
        drawn = torch.multinomial(examples.weight, size, replacement=True)
        codes = mask_bands(warp_codes(examples.codes[drawn].float()))
        codes = (codes + 6 * torch.randn(size, 1, 1)).clamp(0, 255)
        share = functional.one_hot(examples.label[drawn], len(LABELS)).float()
        mix = torch.distributions.Beta(0.3, 0.3).sample((size, 1))
        mix, partner = torch.maximum(mix, 1 - mix), torch.randperm(size)
        codes = mix[:, :, None] * codes + (1 - mix[:, :, None]) * codes[partner]
        share = mix * share + (1 - mix) * share[partner]
        yield codes[:, None], (1 - SMOOTHING) * share + SMOOTHING / len(LABELS)


def warp_codes(codes: Tensor) -> Tensor:
    """Stretch and shift each example a little in time and along the bands (another throat)."""
    n = len(codes)
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0] = torch.empty(n).uniform_(0.97, 1.03)  # bands: scale, then shift
    matrix[:, 0, 2] = torch.empty(n).uniform_(-0.05, 0.05)
    matrix[:, 1, 1] = torch.empty(n).uniform_(0.9, 1.1)  # frames
    matrix[:, 1, 2] = torch.empty(n).uniform_(-0.12, 0.12)
    grid = functional.affine_grid(matrix, [n, 1, *codes.shape[1:]], align_corners=False)
    warped = functional.grid_sample(
        codes[:, None], grid, padding_mode="border", align_corners=False
    )
    return warped[:, 0]


def mask_bands(codes: Tensor, most: int = 7) -> Tensor:
    """Hide two stretches of frames and two of bands of each example behind its mean."""
    mean = codes.mean((1, 2), keepdim=True)
    for axis in (1, 2, 1, 2):
        length = codes.shape[axis]
        start = torch.randint(0, length - most + 1, (len(codes), 1))
        stop = start + torch.randint(0, most, (len(codes), 1))
        place = torch.arange(length)[None]
        hidden = ((place >= start) & (place < stop)).unsqueeze(3 - axis)
        codes = torch.where(hidden, mean, codes)
    return codes


def add_teachers(
    batches: Iterable[tuple[Tensor, Tensor]], teachers: list[nn.Module]
) -> Iterable[tuple[Tensor, Tensor]]:
    """Mix the true label shares with the teachers' answers to the very same inputs."""
    for teacher in teachers:
        teacher.eval()
    for codes, share in batches:
        if teachers:
            with torch.no_grad():
                answers = [functional.softmax(t(codes), 1) for t in teachers]
            share = 0.2 * share + 0.8 * torch.stack(answers).mean(0)
        yield codes, share


def fit(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    n_batches: int,
    rate: float,
    check: Callable[[nn.Module], str] | None = None,
    relative: bool = False,
) -> nn.Module:
    """Train over `batches` once on a fixed schedule; returns the running mean of the weights.

    relative  the rate is in units of each tensor's root mean square: folded layers differ a lot
    """
    groups = [
        {"params": [p], "lr": rate * (float(p.detach().square().mean().sqrt()) if relative else 1)}
        for p in model.parameters()
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.02)
    rates = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, n_batches, pct_start=0.1)
    model = model.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    mean = copy.deepcopy(model)
    for step, (codes, share) in enumerate(batches):
        model.train()
        loss = functional.cross_entropy(model(codes), share)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        follow(mean, model, min(0.999, (1 + step) / (10 + step)))
        if step % 100 == 99:
            report(f"step {step + 1}/{n_batches}: loss {loss:.3f} {check(mean) if check else ''}")
    return mean


def follow(mean: nn.Module, model: nn.Module, inertia: float) -> None:
    pairs = zip(mean.state_dict().values(), model.state_dict().values(), strict=True)
    with torch.no_grad():
        for old, new in pairs:
            if old.is_floating_point():
                old.lerp_(new, 1 - inertia)
            else:
                old.copy_(new)


if __name__ == "__main__":
    main()
