"""Bind the steps of a program to arrays of one batch size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from norcim.emulator import kernels, mvm, reference
from norcim.emulator.arrays import (
    Activation,
    Floats,
    Scratch,
    Thunk,
    as_shape,
    new_activation,
    run_all,
)
from norcim.emulator.cells.noise import NoiseSource
from norcim.emulator.cells.sample import SampledChip
from norcim.emulator.noisy import is_analog, make_noisy_mvm
from norcim.emulator.regions import Bytes, Region, input_regions, input_signs, port_region
from norcim.emulator.stages import Saturation
from norcim.emulator.steps import FAST_OPCODES, NO_BORDER, Border, Step, swap_axes
from norcim.image.model import ImageContent
from norcim.spec.program import Descriptor, Function, Opcode


@dataclass(frozen=True)
class Plan:
    """A resolved program, independent of the batch size.

    cells  the chip whose cells and converters run it; None: exact
    """

    content: ImageContent
    steps: tuple[Step, ...]
    outputs: tuple[int | None, ...]
    swapped: bool
    cells: SampledChip | None = None

    @property
    def n_inputs(self) -> int:
        """Steps that are the arrival of an input."""
        return sum(step.d is None for step in self.steps)


@dataclass(frozen=True)
class Bound:
    """A plan bound to a batch size: `run` reads the inputs' bytes and fills the outputs' bytes.

    work        one thunk a step
    inputs      bytes (n, h, w, c) to fill before a run
    outputs     for each output a function that returns its bytes (n, h, w, c)
    results     for each step a function that returns its output bytes (n, h, w, c)
    saturation  one counter a step
    noise       read noise, to begin at a sample's number before a run; None: exact
    """

    work: list[Thunk]
    inputs: list[Bytes]
    outputs: list[Callable[[], Bytes]]
    results: list[Callable[[], Bytes]]
    saturation: list[Saturation]
    noise: NoiseSource | None


def to_bytes(codes: Floats) -> Bytes:
    """Codes in -128..255 held in float32 as bytes."""
    return codes.astype(np.int16).astype(np.uint8)


def bind(plan: Plan, n: int) -> Bound:
    """Allocate arrays for `n` samples and bind every kernel to them."""
    content = plan.content
    needs_memory = any(step.flush for step in plan.steps) or None in plan.outputs
    needs_memory |= any(None in step.sources for step in plan.steps)
    memory = np.zeros((n, content.activation_bytes if needs_memory else 1), np.uint8)
    arrays: list[Activation] = []
    saturation = [Saturation() for _ in plan.steps]
    work: list[Thunk] = []
    inputs: list[Bytes] = []
    scratch = Scratch()
    pool: dict[tuple[tuple[int, int, int], Border], list[Activation]] = {}
    last_use = _last_uses(plan)
    noise = None if plan.cells is None else NoiseSource(plan.cells.noise_key, n)
    for index, (step, counter) in enumerate(zip(plan.steps, saturation, strict=True)):
        free = pool.get((step.out.shape, step.border))
        out = free.pop() if free else new_activation(n, step.out.shape, step.border)
        arrays.append(out)
        scratch.begin_step()
        if step.d is None:
            source = np.zeros((n, *_program_shape(step.out, plan.swapped)), np.uint8)
            inputs.append(source)
            todo = [_arrive(source, out, step.signed, plan.swapped)]
        elif is_fast(step.d, content, plan.cells):
            todo = _fast(plan, step.d, step, arrays, out, memory, counter, scratch, noise)
        else:
            todo = [_golden(plan, step, memory, out, counter)]
        if step.flush and (step.d is None or is_fast(step.d, content, plan.cells)):
            todo.append(_store(step.out, memory, out))
        work.append(run_all(todo))
        for read in {s for s in step.sources if s is not None and last_use[s] == index}:
            free_key = (plan.steps[read].out.shape, plan.steps[read].border)
            pool.setdefault(free_key, []).append(arrays[read])
    ports = [port_region(p) for p in content.ports if p.is_output]
    outputs = [
        _reader(plan, arrays, memory, source, region)
        for source, region in zip(plan.outputs, ports, strict=True)
    ]
    results = [_result(a, plan.swapped) for a in arrays]
    return Bound(work, inputs, outputs, results, saturation, noise)


def _last_uses(plan: Plan) -> dict[int, int]:
    """The last step that reads each step's array; outputs are kept to the end."""
    last = {s: i for i, step in enumerate(plan.steps) for s in step.sources if s is not None}
    last.update({s: len(plan.steps) for s in plan.outputs if s is not None})
    return last


def _program_shape(region: Region, swapped: bool) -> tuple[int, int, int]:
    return (region.w, region.h, region.c) if swapped else region.shape


def is_fast(d: Descriptor, content: ImageContent, cells: SampledChip | None = None) -> bool:
    """Whether a kernel runs the descriptor; else it runs on byte memory."""
    if d.opcode == Opcode.MVM and (cells is None or not is_analog(d)):
        return mvm.supports_mvm(d, content)
    if d.opcode == Opcode.FIRMWARE:
        return d.function == Function.SOFTMAX
    return d.opcode in FAST_OPCODES


def _arrive(source: Bytes, out: Activation, signed: bool, swapped: bool) -> Thunk:
    codes = source.view(np.int8) if signed else source
    target = out.interior.swapaxes(1, 2) if swapped else out.interior
    return lambda: np.copyto(target, codes)


def _store(region: Region, memory: Bytes, out: Activation) -> Thunk:
    target = region.view(memory)
    return lambda: np.copyto(target, to_bytes(out.interior))


def _load(region: Region, memory: Bytes, out: Activation, signed: bool) -> Thunk:
    source = region.view(memory)

    def load() -> None:
        data = np.ascontiguousarray(source)
        np.copyto(out.interior, data.view(np.int8) if signed else data)

    return load


def _golden(plan: Plan, step: Step, memory: Bytes, out: Activation, counter: Saturation) -> Thunk:
    """A step on byte memory with the golden arithmetic; its result is loaded into the array."""
    load = _load(step.out, memory, out, step.signed)
    order = _restore(step.d, plan.swapped)

    def run() -> None:
        counter.count += reference.execute(order, plan.content, memory)
        load()

    return run


def _restore(d: Descriptor | None, swapped: bool) -> Descriptor:
    assert d is not None
    return swap_axes(d) if swapped else d


def _fast(
    plan: Plan, d: Descriptor, step: Step, arrays: list[Activation], out: Activation,
    memory: Bytes, counter: Saturation, scratch: Scratch, noise: NoiseSource | None,
) -> list[Thunk]:  # fmt: skip
    """The kernel of one descriptor, its inputs brought to the shapes that it reads."""
    work: list[Thunk] = []
    operands = []
    shape = (d.in_h, d.in_w, d.in_c)
    for source, region, sign in zip(step.sources, input_regions(d), input_signs(d), strict=False):
        if source is None:
            x = new_activation(len(memory), shape, NO_BORDER)
            work.append(_load(region, memory, x, bool(sign)))
        else:
            x, copy = as_shape(arrays[source], shape, plan.swapped)
            work += copy
        operands.append(x)
    work.append(_kernel(plan, d, operands, out, counter, scratch, noise))
    if d.use_table and d.opcode != Opcode.TABLE:
        work.append(kernels.make_table(d, plan.content, out.interior, out.interior))
    return work


def _kernel(
    plan: Plan, d: Descriptor, x: list[Activation], out: Activation, counter: Saturation,
    scratch: Scratch, noise: NoiseSource | None,
) -> Thunk:  # fmt: skip
    content, target = plan.content, out.interior
    if d.opcode == Opcode.MVM:
        order = mvm.SWAPPED if plan.swapped else mvm.PROGRAM_ORDER
        if plan.cells is not None and noise is not None and is_analog(d):
            return make_noisy_mvm(d, plan.cells, noise, x[0], target, counter, order, scratch)
        return mvm.make_mvm(d, content, x[0], target, counter, order, scratch)
    if d.opcode == Opcode.DWCONV:
        return kernels.make_dwconv(d, content, x[0], target, plan.swapped, scratch)
    if d.opcode == Opcode.ADD:
        return kernels.make_add(d, x[0], x[1], target, scratch)
    if d.opcode == Opcode.MAXPOOL:
        return kernels.make_maxpool(d, x[0], target)
    if d.opcode == Opcode.AVGPOOL:
        return kernels.make_avgpool(d, content, x[0], target)
    if d.opcode == Opcode.TABLE:
        return kernels.make_table(d, content, x[0].interior, target)
    return kernels.make_softmax(d, content, x[0], target)


def _reader(
    plan: Plan, arrays: list[Activation], memory: Bytes, source: int | None, region: Region
) -> Callable[[], Bytes]:
    if source is None:
        view = region.view(memory)
        return view.copy
    found = arrays[source]
    return lambda: _result(found, plan.swapped)().reshape(len(memory), *region.shape)


def _result(x: Activation, swapped: bool) -> Callable[[], Bytes]:
    source = x.interior.swapaxes(1, 2) if swapped else x.interior
    return lambda: np.ascontiguousarray(to_bytes(source))
