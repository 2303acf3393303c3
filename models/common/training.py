"""What the training scripts share: options, one way to fit, folding of normalisation, records."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def make_parser(doc: str, folder: Path, steps: int) -> argparse.ArgumentParser:
    """Options that every training script has; `steps` is the default of --steps."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=folder, help="folder to write to [here]")
    parser.add_argument("--seed", type=int, default=1, help="of every random draw [1]")
    parser.add_argument("--steps", type=int, default=steps, help=f"batches [{steps}]")
    return parser


def prepare(options: argparse.Namespace) -> None:
    """One thread and a fixed seed, so that the same torch build gives the same weights."""
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    torch.use_deterministic_algorithms(True)
    options.output.mkdir(parents=True, exist_ok=True)


def fit(
    model: nn.Module,
    batches: Iterable[Tensor | tuple[Tensor, ...]],
    loss_of: Callable[..., Tensor],
    n_steps: int,
    rate: float,
) -> None:
    """Train over `batches` once on a fixed schedule; no choice of checkpoint.

    loss_of   loss of one batch; its arguments are what the batch holds
    """
    optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, n_steps, pct_start=0.2)
    model.train()
    started = time.process_time()
    for step, batch in enumerate(batches, 1):
        loss = loss_of(*batch)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == n_steps:
            spent = time.process_time() - started
            print(f"step {step}/{n_steps}: loss {loss.item():.4f}, {spent:.0f} s", flush=True)
    model.eval()


class ConvNorm(nn.Sequential):
    """Convolution and batch normalisation; `fold` makes one convolution of them."""

    def __init__(
        self, n_in: int, n_out: int, size: int = 3, stride: int = 1, groups: int = 1
    ) -> None:
        convolution = nn.Conv2d(n_in, n_out, size, stride, size // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(n_out))

    def fold(self, divisor: float = 1.0) -> nn.Conv2d:
        """The convolution that does to x what this does to x / divisor in eval mode."""
        old, norm = self[0], self[1]
        new = nn.Conv2d(
            old.in_channels, old.out_channels, old.kernel_size, old.stride, old.padding,
            groups=old.groups,
        )  # fmt: skip
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = old.weight * gain[:, None, None, None] / divisor
        with torch.no_grad():
            new.weight.copy_(weight)
            new.bias.copy_(norm.bias - gain * norm.running_mean)
        return new


def count_parameters(model: nn.Module) -> int:
    """Weights and biases once normalisation is folded."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    total = sum(p.numel() for p in model.parameters())
    return total - sum(norm.weight.numel() for norm in norms)


def write_description(folder: Path, description: Mapping[str, Any], seed: int, steps: int) -> None:
    """model.json: what the card's figures were made with."""
    training = {"seed": seed, "steps": steps, "torch": torch.__version__, "threads": 1}
    text = json.dumps({**description, "training": training}, indent=2)
    (folder / "model.json").write_text(text + "\n")
