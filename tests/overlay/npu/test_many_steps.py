"""A hundred thousand random steps of every block that walks, counts or fetches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from norcim_overlay.npu.counters import NAMES, Counters
from norcim_overlay.npu.steps import PRODUCTS
from tests.overlay.npu.blocks import BlockBench
from tests.overlay.npu.test_many_vectors import same
from tests.overlay.npu.test_window import OUTSIDE, descriptor, golden_addresses

N_STEPS = 100_000

pytestmark = pytest.mark.slow


class Script:
    """Cycles to be run, and what some of them have to show."""

    def __init__(self) -> None:
        self.rows: list[dict[str, int]] = []
        self.expected: dict[str, list[tuple[int, int]]] = {}

    def cycle(self, shown: dict[str, int] | None = None, **inputs: int) -> None:
        for name, value in (shown or {}).items():
            self.expected.setdefault(name, []).append((len(self.rows), value))
        self.rows.append(inputs)

    def run(self, bench: BlockBench, block: str) -> None:
        names = sorted({name for row in self.rows for name in row})
        inputs = {n: np.array([row.get(n, 0) for row in self.rows], np.int64) for n in names}
        got = bench.run(block, **inputs)
        for name, pairs in self.expected.items():
            at, value = np.array(pairs, np.int64).T
            same(got[name][at], value, cycle=at, output=np.full(len(at), name))


def test_steps(bench: BlockBench) -> None:
    rng, period = np.random.default_rng(5), 10
    strides = rng.integers(0, 2**32, (2, N_STEPS)) >> rng.integers(0, 32, (2, N_STEPS))
    factors = {name: rng.integers(-(2**16), 2**16, N_STEPS) for name in PRODUCTS}
    for place, extreme in enumerate((-(2**16), 2**16 - 1, 0, -1, 1)):
        for values in factors.values():
            values[place] = extreme
    start = np.arange(period * N_STEPS) % period == 0
    steady = {f"factor_{name}": values.repeat(period) for name, values in factors.items()}
    got = bench.run(
        "steps", start=start, row_stride=strides[0].repeat(period),
        pixel_stride=strides[1].repeat(period), **steady,
    )  # fmt: skip
    assert np.array_equal(np.flatnonzero(got["done"]) % period, np.full(N_STEPS, period - 2))
    for name, values in factors.items():
        stride = strides[0 if name.endswith("row") else 1]
        product = (stride * values) & 0xFFFFFFFF
        same(got[name][period - 1 :: period], product, stride=stride, factor=values)


def test_counters(bench: BlockBench) -> None:
    rng, script = np.random.default_rng(6), Script()
    totals = np.zeros((8, len(NAMES)), np.int64)
    script.cycle(clear=1)
    for _ in range(8):
        script.cycle()
    for _ in range(N_STEPS // 10):
        index, n = int(rng.integers(0, 8)), int(rng.integers(1, 20))  # one cycle at least
        added = rng.integers(0, 2**28, (n, len(NAMES)))
        script.cycle(descriptor=index, begin=1)
        for row in added.tolist():
            values = {f"add__{name}": value for name, value in zip(NAMES, row, strict=True)}
            script.cycle(descriptor=index, **values)
        script.cycle(descriptor=index, end=1)
        totals[index] = (totals[index] + added.sum(0)) & 0xFFFFFFFF
        shown = int(rng.integers(0, 8))
        for _ in range(Counters.LATENCY):
            script.cycle(select=shown)
        selected = {f"selected.{n}": int(v) for n, v in zip(NAMES, totals[shown], strict=True)}
        script.cycle(selected)
        if rng.random() < 0.02:
            script.cycle(clear=1)
            for _ in range(8):
                script.cycle({"clearing": 1})
            script.cycle({"clearing": 0})
            totals[:] = 0
    script.run(bench, "counters")


def test_fetcher(bench: BlockBench) -> None:
    """Over a memory that accepts and answers when it likes, in order; some are cancelled."""
    rng, script = np.random.default_rng(7), Script()
    words = 0
    while words < N_STEPS:
        address, count = int(rng.integers(0, 2**32)), int(rng.integers(1, 60))
        script.cycle({"busy": 0}, start=1, address=address, count=count)
        asked = got = 0
        eager, quick = rng.choice([0.2, 0.6, 1.0], 2)
        while got < count:
            ready = int(rng.random() < eager)
            valid = int(got < asked and rng.random() < quick)
            data, cancel = int(rng.integers(0, 2**32)), int(rng.random() < 0.003)
            shown = {"memory.request": int(asked < count), "word": valid, "busy": 1,
                     "done": int(valid and got + 1 == count)}  # fmt: skip
            if asked < count:
                shown["memory.addr"] = (address + asked) % 2**32
            if valid:
                shown |= {"index": got, "data": data}
            script.cycle(
                shown, cancel=cancel, memory__ready=ready, memory__valid=valid, memory__data=data
            )
            asked += ready and asked < count
            got += valid
            words += valid
            count = asked if cancel else count
        for _ in range(int(rng.integers(0, 3))):
            script.cycle({"memory.request": 0, "word": 0, "busy": 0}, memory__ready=1)
    script.run(bench, "fetcher")


def test_positions(bench: BlockBench) -> None:
    rng, script, n = np.random.default_rng(8), Script(), 0
    while n < N_STEPS:
        n_h, n_w = (int(x) for x in rng.integers(1, 24, 2))
        steady = {"n_h": n_h, "n_w": n_w}
        for axis in "yx":
            steady |= {f"{axis}_first": int(rng.integers(-300, 10)),
                       f"{axis}_step": int(rng.integers(1, 2**16))}  # fmt: skip
        for name in ("in", "in2", "out"):
            for part in ("first", "row", "step"):
                steady[f"{name}_{part}"] = int(rng.integers(0, 2**32) >> rng.integers(0, 32))
        script.cycle(start=1, **steady)
        for y, x in np.ndindex(n_h, n_w):
            shown = {"done": 0, "y": _signed(steady["y_first"] + y * steady["y_step"]),
                     "x": _signed(steady["x_first"] + x * steady["x_step"])}  # fmt: skip
            for name in ("in", "in2", "out"):
                first, row, step = (steady[f"{name}_{p}"] for p in ("first", "row", "step"))
                shown[f"{name}_addr"] = (first + y * row + x * step) % 2**32
            if rng.random() < 0.2:
                script.cycle(shown, **steady)  # nothing moves without `advance`
            script.cycle(shown, advance=1, **steady)
        script.cycle({"done": 1}, **steady)
        n += n_h * n_w
    script.run(bench, "positions")


def _signed(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def test_window(bench: BlockBench) -> None:
    """Random windows at the positions that their descriptor has, from any first input on."""
    rng, script, n = np.random.default_rng(9), Script(), 0
    while n < N_STEPS:
        d = replace(descriptor(rng), out_h=2, out_w=2)
        first = int(rng.integers(0, d.in_c))
        channels = int(rng.integers(1, d.in_c - first + 1))
        total = d.kernel_h * d.kernel_w * channels
        k_first = int(rng.integers(0, total)) if rng.random() < 0.5 else 0
        _walk(rng, script, d, first, channels, k_first)
        n += 4 * (total - k_first)
    script.run(bench, "window")


def _walk(
    rng: np.random.Generator, script: Script, d: Any, first: int, channels: int, k_first: int
) -> None:
    golden = golden_addresses(d, first, channels)[:, k_first:]
    names = ("in_h", "in_w", "kernel_h", "kernel_w", "dilation_h", "dilation_w")
    steady = {name: getattr(d, name) for name in names}
    steady |= {"n_channels": channels, "channel_first": first, "k_first": k_first,
               "tap_row_step": d.dilation_h * d.in_row_stride,
               "tap_step": d.dilation_w * d.in_pixel_stride}  # fmt: skip
    script.cycle(seek=1, **steady)
    for _ in range(k_first // channels):
        script.cycle({"seeking": 1, "overrun": 0}, **steady)
    for _ in range(2):
        script.cycle({"seeking": 0}, **steady)
    for position, (row, column) in enumerate(np.ndindex(d.out_h, d.out_w)):
        y, x = row * d.stride_h - d.pad_top, column * d.stride_w - d.pad_left
        base = d.in_addr + y * d.in_row_stride + x * d.in_pixel_stride
        script.cycle(load=1, y=y, x=x, base=base, **steady)
        if rng.random() < 0.3:  # start there again, whatever the next position may be
            script.cycle(load=1, again=1, y=y + 1, x=x + 1, base=base + 1, **steady)
        i, n_inputs = 0, golden.shape[1]
        while i < n_inputs:
            addr, left = int(golden[position, i]), channels - (k_first + i) % channels
            count = int(rng.integers(1, min(left, 8) + 1))
            last = i + count == n_inputs
            shown = {"inside": int(addr != OUTSIDE), "is_last": int(last), "left": left}
            if addr != OUTSIDE:
                shown["addr"] = addr
            moves = {"advance": int(not last), "restart": int(last), "count": count}
            script.cycle(shown, tap_ends=int(count == left), **moves, **steady)
            i += count
        shown = {"inside": int(golden[position, 0] != OUTSIDE)}
        script.cycle(shown, **steady)  # back at the first input
