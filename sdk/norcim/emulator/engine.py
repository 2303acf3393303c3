"""The bit-accurate emulator: runs an image's program on batches in numpy."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import ThreadpoolController

from norcim.emulator.bind import Bound, Plan, bind, is_fast
from norcim.emulator.regions import Bytes, port_region
from norcim.emulator.steps import plan_steps
from norcim.errors import NorcimError
from norcim.image.model import ImageContent
from norcim.spec.program import Encoding, Opcode

CHUNKS = (16, 8, 4, 2, 1)
"""Batch sizes that a plan is bound to: 16 samples keep the arrays of small networks in cache."""


@dataclass(frozen=True)
class Counters:
    """What one descriptor did, per batch.

    macs         multiply-accumulates, wordlines without cells not counted
    conversions  column sums digitised
    saturated    conversions that clipped (0 unless counting was asked for)
    """

    descriptor: int
    macs: int
    conversions: int
    saturated: int


class Emulator:
    """Executes a weight image.

    The program is resolved once; arrays are bound once per batch size and thread. Results do not
    depend on batch size, chunking or threads. Not for use from several threads at once: give
    n_threads instead.
    """

    def __init__(self, content: ImageContent, n_threads: int = 1) -> None:
        """content: a checked image (`norcim.image.read_image`); n_threads: workers over a batch."""
        self.content = content
        self.n_threads = n_threads
        steps, outputs, swapped = plan_steps(content, lambda d: is_fast(d, content))
        self._plan = Plan(content, steps, outputs, swapped)
        self._local = threading.local()
        self._controller = ThreadpoolController()
        self._pool = ThreadPoolExecutor(n_threads) if n_threads > 1 else None
        self._saturated = [0] * (len(steps) - self._plan.n_inputs)
        self._n_samples = 0

    def run(self, inputs: Sequence[Bytes], *, counters: bool = False) -> list[Bytes]:
        """Run a batch.

        inputs    one uint8 array (n, h, w, c) per input port: code bytes (int8 codes viewed)
        counters  count saturated conversions (slower); read them with `counters`
        Returns one uint8 array (n, h, w, c) per output port.
        Raises NC-E0904 if an input has another shape or dtype.
        """
        n = self._check(inputs)
        self._n_samples = n
        spans = _spans(n, self.n_threads)
        results = [np.empty((n, p.h, p.w, p.c), np.uint8) for p in self._ports(1)]

        def work(span: tuple[int, int]) -> list[int]:
            return self._run_span(inputs, results, span, counters)

        with self._controller.limit(limits=1, user_api="blas"):
            if self._pool is None or len(spans) == 1:
                counts = [work(span) for span in spans]
            else:
                counts = list(self._pool.map(work, spans))
        self._saturated = [sum(column) for column in zip(*counts, strict=True)]
        return results

    def run_layers(self, inputs: Sequence[Bytes]) -> dict[int, Bytes]:
        """Run a batch and keep every descriptor's output bytes: index -> uint8 (n, h, w, c)."""
        n = self._check(inputs)
        chunks: dict[int, list[Bytes]] = {}
        first = self._plan.n_inputs
        with self._controller.limit(limits=1, user_api="blas"):
            for start, size in _chunks(0, n):
                bound = self._bound(size)
                _fill(bound, inputs, start, size)
                for index, work in enumerate(bound.work):
                    work()
                    if index >= first:
                        result = bound.results[index]()
                        chunks.setdefault(index - first, []).append(result)
        return {index: np.concatenate(parts) for index, parts in chunks.items()}

    @property
    def counters(self) -> tuple[Counters, ...]:
        """Counters of the last run, one per descriptor."""
        return tuple(
            Counters(index, macs * self._n_samples, conversions * self._n_samples, saturated)
            for index, ((macs, conversions), saturated) in enumerate(
                zip(count_work(self.content), self._saturated, strict=True)
            )
        )

    def _ports(self, is_output: int) -> list:  # type: ignore[type-arg]
        return [p for p in self.content.ports if p.is_output == is_output]

    def _check(self, inputs: Sequence[Bytes]) -> int:
        ports = self._ports(0)
        expected = [f"uint8 (n, {p.h}, {p.w}, {p.c})" for p in ports]
        got = [f"{x.dtype} {tuple(x.shape)}" for x in inputs]
        fits = len(inputs) == len(ports) and all(
            x.dtype == np.uint8 and x.shape[1:] == port_region(p).shape and len(x) == len(inputs[0])
            for x, p in zip(inputs, ports, strict=True)
        )
        if not fits or not len(inputs[0]):
            raise NorcimError(
                "NC-E0904",
                "the inputs do not fit the network's input ports",
                expected=", ".join(expected) + ", n >= 1",
                got=", ".join(got) or "no input",
                fix="pass one code array per input port, all of one batch size",
            )
        return len(inputs[0])

    def _bound(self, size: int) -> Bound:
        cache: dict[int, Bound] = self._local.__dict__.setdefault("bound", {})
        if size not in cache:
            cache[size] = bind(self._plan, size)
        return cache[size]

    def _run_span(
        self, inputs: Sequence[Bytes], results: list[Bytes], span: tuple[int, int], counters: bool
    ) -> list[int]:
        counts = [0] * (len(self._plan.steps) - self._plan.n_inputs)
        for start, size in _chunks(*span):
            bound = self._bound(size)
            for saturation in bound.saturation:
                saturation.enabled, saturation.count = counters, 0
            _fill(bound, inputs, start, size)
            for work in bound.work:
                work()
            for result, output in zip(results, bound.outputs, strict=True):
                result[start : start + size] = output()
            found = bound.saturation[self._plan.n_inputs :]
            counts = [a + b.count for a, b in zip(counts, found, strict=True)]
        return counts


def _fill(bound: Bound, inputs: Sequence[Bytes], start: int, size: int) -> None:
    for target, source in zip(bound.inputs, inputs, strict=True):
        np.copyto(target, source[start : start + size])


def _spans(n: int, n_threads: int) -> list[tuple[int, int]]:
    """Split a batch over threads, in multiples of the largest chunk where it is large enough."""
    share = -(-n // n_threads)
    if share > CHUNKS[0]:
        share = -(-share // CHUNKS[0]) * CHUNKS[0]
    return [(start, min(start + share, n)) for start in range(0, n, share)]


def _chunks(start: int, stop: int) -> list[tuple[int, int]]:
    """(first sample, size) of the bound batches that cover a span."""
    chunks = []
    while start < stop:
        size = next(size for size in CHUNKS if size <= stop - start)
        chunks.append((start, size))
        start += size
    return chunks


def count_work(content: ImageContent) -> list[tuple[int, int]]:
    """(MACs, conversions) of every descriptor for one sample."""
    found = []
    for d in content.program:
        if d.opcode == Opcode.END:
            break
        positions = d.out_h * d.out_w
        macs = conversions = 0
        if d.opcode == Opcode.MVM:
            lines = 2 if d.encoding == Encoding.PN else 1
            for tile in content.tiles[d.tile_base : d.tile_base + d.n_tiles]:
                macs += positions * tile.n_rows * lines * tile.n_cols
                conversions += positions * tile.n_cols
        elif d.opcode == Opcode.DWCONV:
            macs = positions * d.kernel_h * d.kernel_w * d.out_c
        found.append((macs, conversions))
    return found
