"""The bit-accurate emulator: runs an image's program on batches in numpy."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from threadpoolctl import ThreadpoolController

from norcim.emulator.bind import Bound, Plan, bind, is_fast
from norcim.emulator.cells.sample import SampledChip
from norcim.emulator.reference import execute
from norcim.emulator.regions import Bytes, port_region
from norcim.emulator.steps import plan_steps
from norcim.errors import NorcimError
from norcim.image.model import ImageContent
from norcim.spec.program import Opcode, Port

CHUNKS = (32, 16, 8, 4, 2, 1)
"""Batch sizes that a plan is bound to. With 32 samples an operation takes long enough that two
threads hardly wait for the interpreter's lock, and the arrays of small networks stay in cache."""

CHUNK_BYTES = 64 << 20
"""Working memory of one bound batch; large networks run in smaller chunks."""


@dataclass(frozen=True)
class Counters:
    """What one descriptor did, per batch.

    macs         multiply-accumulates of the layer; copies of wordlines are not counted
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

    first_sample  number of the next sample, for its read noise; runs count on
    """

    def __init__(
        self, content: ImageContent, n_threads: int = 1, cells: SampledChip | None = None
    ) -> None:
        """content: a checked image (`norcim.image.read_image`); n_threads: workers over a batch.

        cells  run as this chip would (`norcim.emulator.cells`); None: exact. Read noise is drawn
               anew for every sample of every run: number samples from 0 with `first_sample`.
        """
        self.content = content
        self.n_threads = n_threads
        steps, outputs, swapped = plan_steps(content, lambda d: is_fast(d, content, cells))
        self._plan = Plan(content, steps, outputs, swapped, cells)
        self.first_sample = 0
        self._local = threading.local()
        self._input_shapes = [port_region(p).shape for p in self._ports(0)]
        self._output_shapes = [port_region(p).shape for p in self._ports(1)]
        self._chunks = tuple(
            c for c in CHUNKS if c == 1 or c * _sample_bytes(content) <= CHUNK_BYTES
        )
        self._blas = ThreadpoolController().select(user_api="blas").lib_controllers
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
        results = [np.empty((n, *shape), np.uint8) for shape in self._output_shapes]

        def work(span: tuple[int, int]) -> list[int]:
            return self._run_span(inputs, results, span, counters)

        with self._one_blas_thread():
            if self._pool is None or len(spans) == 1:
                counts = [work(span) for span in spans]
            else:
                counts = list(self._pool.map(work, spans))
        self.first_sample += n
        self._saturated = [sum(column) for column in zip(*counts, strict=True)]
        return results

    def step(self, index: int, memory: Bytes) -> None:
        """Run one descriptor with the golden arithmetic on a memory (1, n_bytes), in place."""
        execute(self.content.program[index], self.content, memory)

    def run_layers(self, inputs: Sequence[Bytes], last: int | None = None) -> dict[int, Bytes]:
        """Run a batch and keep every descriptor's output bytes: index -> uint8 (n, h, w, c).

        last  index of the last descriptor to run; None: all
        """
        n = self._check(inputs)
        chunks: dict[int, list[Bytes]] = {}
        first = self._plan.n_inputs
        with self._one_blas_thread():
            for start, size in _chunks(0, n, self._chunks):
                bound = self._bound(size)
                if bound.noise is not None:
                    bound.noise.begin(self.first_sample + start)
                _fill(bound, inputs, start, size)
                stop = None if last is None else first + last + 1
                for index, work in enumerate(bound.work[:stop]):
                    work()
                    if index >= first:
                        result = bound.results[index]()
                        chunks.setdefault(index - first, []).append(result)
        self.first_sample += n
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

    @contextmanager
    def _one_blas_thread(self) -> Iterator[None]:
        """BLAS threads cost more than they give at these sizes; the caller's setting comes back."""
        before = [(lib, lib.get_num_threads()) for lib in self._blas]
        for lib, n_threads in before:
            if n_threads != 1:
                lib.set_num_threads(1)
        try:
            yield
        finally:
            for lib, n_threads in before:
                if n_threads != 1:
                    lib.set_num_threads(n_threads)

    def _ports(self, is_output: int) -> list[Port]:
        return [p for p in self.content.ports if p.is_output == is_output]

    def _check(self, inputs: Sequence[Bytes]) -> int:
        shapes = self._input_shapes
        n = len(inputs[0]) if len(inputs) else 0
        fits = len(inputs) == len(shapes) and all(
            x.dtype == np.uint8 and x.shape == (n, *shape)
            for x, shape in zip(inputs, shapes, strict=True)
        )
        if not fits or not n:
            expected = [f"uint8 (n, {h}, {w}, {c})" for h, w, c in shapes]
            got = [f"{x.dtype} {tuple(x.shape)}" for x in inputs]
            raise NorcimError(
                "NC-E0904",
                "the inputs do not fit the network's input ports",
                expected=", ".join(expected) + ", n >= 1",
                got=", ".join(got) or "no input",
                fix="pass one code array per input port, all of one batch size",
            )
        return n

    def _bound(self, size: int) -> Bound:
        cache: dict[int, Bound] = self._local.__dict__.setdefault("bound", {})
        if size not in cache:
            cache[size] = bind(self._plan, size)
        return cache[size]

    def _run_span(
        self, inputs: Sequence[Bytes], results: list[Bytes], span: tuple[int, int], counters: bool
    ) -> list[int]:
        counts = [0] * (len(self._plan.steps) - self._plan.n_inputs)
        for start, size in _chunks(*span, self._chunks):
            bound = self._bound(size)
            for saturation in bound.saturation:
                saturation.enabled, saturation.count = counters, 0
            if bound.noise is not None:
                bound.noise.begin(self.first_sample + start)
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


def _sample_bytes(content: ImageContent) -> int:
    """About how much working memory a sample takes: float32 arrays and the largest step's own."""
    steps = [d for d in content.program if d.opcode != Opcode.END]
    arrays = sum(d.out_h * d.out_w * d.out_c for d in steps)
    own = [d.out_h * d.out_w * (d.kernel_h * d.kernel_w * d.in_c + d.out_c) for d in steps]
    return 4 * (arrays + max(own, default=0))


def _chunks(start: int, stop: int, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """(first sample, size) of the bound batches that cover a span."""
    chunks = []
    while start < stop:
        size = next(size for size in sizes if size <= stop - start)
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
            for tile in content.tiles[d.tile_base : d.tile_base + d.n_tiles]:
                macs += positions * tile.n_rows * tile.n_cols
                conversions += positions * tile.n_cols
        elif d.opcode == Opcode.DWCONV:
            macs = positions * d.kernel_h * d.kernel_w * d.out_c
        found.append((macs, conversions))
    return found
