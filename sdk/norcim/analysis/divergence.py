"""Where a machine first leaves the golden arithmetic: sample, descriptor, tile, column, position.

A device runs one descriptor at a time and answers the CRC-32 of what each has written, so that a
comparison of every layer costs a few bytes a layer; bytes are read where a CRC-32 differs.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from norcim.analysis.estimate import layer_name
from norcim.emulator import Emulator
from norcim.emulator.reference import execute
from norcim.emulator.regions import Region, input_regions, output_region, port_region
from norcim.image.model import ImageContent
from norcim.spec.program import Opcode
from norcim.transport.base import Device

Bytes = npt.NDArray[np.uint8]
Progress = Callable[[str, int, int], None]

CHUNK = 16
"""Samples that are held with all their layers at a time."""

TRIES = 3
"""How often a device repeats a sample before a difference counts as gone."""


@dataclass(frozen=True)
class TileSite:
    """A tile that takes part in a column: its number, and where it lies on the arrays."""

    tile: int
    array: int
    row: int
    column: int


@dataclass(frozen=True)
class Divergence:
    """The first difference.

    machine      who differs from the golden executor: "emulator", or "device"
    descriptor   number in the program; layer and opcode are its own
    position     (y, x, channel) of the first byte that differs; None: it did not happen again
    expected     the golden executor's byte there, got the machine's
    n_different  bytes of this output that differ, of n_bytes
    tiles        those that make this channel's column; empty but for an MVM
    channels     all channels that differ
    inputs_same  whether the machine's inputs of this descriptor were right just before
    whole_run    only a run in one go differs; descriptor by descriptor the device is right
    """

    machine: str
    sample: int
    descriptor: int
    layer: str
    opcode: str
    position: tuple[int, int, int] | None
    expected: int
    got: int
    n_different: int
    n_bytes: int
    tiles: tuple[TileSite, ...]
    channels: tuple[int, ...]
    inputs_same: bool
    whole_run: bool


@dataclass(frozen=True)
class Evidence:
    """A divergence, with the activation memory before its descriptor and the bytes after it.

    memory            (n_bytes,) as the golden executor has it before the descriptor; for a
                      difference of a whole run: with nothing but the inputs
    expected, got     the output region's bytes, (h, w, c)
    """

    divergence: Divergence
    memory: Bytes
    expected: Bytes
    got: Bytes


@dataclass(frozen=True)
class Comparison:
    """n_bytes: of all layers' outputs of all samples that were compared.

    by_output  bytes that differ in each output of the network when it is run in one go
    """

    n_samples: int
    n_layers: int
    n_bytes: int
    by_output: tuple[int, ...]
    evidence: Evidence | None


def compare_emulator(
    content: ImageContent, inputs: Sequence[Bytes], progress: Progress
) -> Comparison:
    """Compare the emulator with the golden executor in every layer.

    inputs  code bytes (n, h, w, c) for each input port
    """
    n, n_layers = len(inputs[0]), len(content.program) - 1
    emulator, n_bytes = Emulator(content), 0
    for start in range(0, n, CHUNK):
        progress("compare", start, n)
        part = [array[start : start + CHUNK] for array in inputs]
        layers = emulator.run_layers(part)
        memory = start_memory(content, part)
        for index in range(n_layers):
            before = memory.copy()
            due = _golden_step(content, index, memory)
            n_bytes += due.size
            wrong = np.flatnonzero((layers[index].reshape(due.shape) != due).any(axis=(1, 2, 3)))
            if len(wrong):
                sample = int(wrong[0])
                got = layers[index].reshape(due.shape)[sample]
                found = _describe(content, "emulator", start + sample, index, due[sample], got)
                evidence = Evidence(found, before[sample], due[sample], got)
                return Comparison(n, n_layers, n_bytes, (), evidence)
    progress("compare", n, n)
    return Comparison(n, n_layers, n_bytes, (), None)


def compare_device(
    content: ImageContent, device: Device, inputs: Sequence[Bytes], progress: Progress
) -> Comparison:
    """Compare a device, on which the image is loaded, with the emulator in every layer.

    Every sample runs in one go, whose outputs are compared, and then descriptor by descriptor.
    Stops at the first sample whose layers differ, and says where; which of the two is wrong, the
    golden executor decides.
    """
    n = len(inputs[0])
    expected = Emulator(content).run(inputs)
    wrong = _run_outputs(device, inputs, expected, progress)
    suspects = [i for i in range(n) if wrong[i].any()]
    order = suspects + [i for i in range(n) if not wrong[i].any()]
    evidence, n_bytes = None, 0
    for done, (sample, layers) in enumerate(_layers_of(content, inputs, order)):
        progress("compare", done, n)
        crcs = [zlib.crc32(layer.tobytes()) for layer in layers]
        found = _step_all(device, [array[sample] for array in inputs], len(crcs))
        n_bytes += sum(layer.size for layer in layers)
        if found != crcs:
            one = [array[sample : sample + 1] for array in inputs]
            evidence = _locate(content, device, one, sample, _first_difference(found, crcs), layers)
            break
    progress("compare", n, n)
    if evidence is None and suspects:
        one = [array[suspects[0] : suspects[0] + 1] for array in inputs]
        evidence = _whole_run(content, device, one, suspects[0])
    by_output = tuple(int(count) for count in wrong.sum(axis=0))
    return Comparison(n, len(content.program) - 1, n_bytes, by_output, evidence)


def start_memory(content: ImageContent, inputs: Sequence[Bytes]) -> Bytes:
    """Activation memories (n, n_bytes) that hold the inputs and zeros."""
    memory = np.zeros((len(inputs[0]), content.activation_bytes), np.uint8)
    ports = [port for port in content.ports if not port.is_output]
    for port, array in zip(ports, inputs, strict=True):
        port_region(port).view(memory)[...] = array
    return memory


def tile_sites(content: ImageContent, index: int, channel: int) -> tuple[TileSite, ...]:
    """The tiles whose columns are summed for an output channel of an MVM."""
    d = content.program[index]
    if d.opcode != Opcode.MVM:
        return ()
    return tuple(
        TileSite(number, tile.array, tile.row, tile.col + channel - tile.out_c_first)
        for number, tile in enumerate(
            content.tiles[d.tile_base : d.tile_base + d.n_tiles], d.tile_base
        )
        if tile.out_c_first <= channel < tile.out_c_first + tile.n_cols
    )


def read_region(device: Device, region: Region) -> Bytes:
    """A region of a device's activation memory, (h, w, c)."""
    span = device.read_memory(region.addr, region.end - region.addr)
    memory = np.zeros((1, region.end), np.uint8)
    memory[0, region.addr :] = np.frombuffer(span, np.uint8)
    return np.ascontiguousarray(region.view(memory)[0])


def _golden_step(content: ImageContent, index: int, memory: Bytes) -> Bytes:
    """Run a descriptor on memories in place; returns its outputs (n, h, w, c)."""
    execute(content.program[index], content, memory)
    return output_region(content.program[index]).view(memory).copy()


def _run_outputs(
    device: Device, inputs: Sequence[Bytes], expected: Sequence[Bytes], progress: Progress
) -> npt.NDArray[np.int64]:
    """Bytes that differ in each sample and output, each sample run in one go."""
    n = len(inputs[0])
    wrong = np.zeros((n, len(expected)), np.int64)
    for sample in range(n):
        progress("run", sample, n)
        found = device.run([array[sample].tobytes() for array in inputs])
        for index, (data, due) in enumerate(zip(found, expected, strict=True)):
            got = np.frombuffer(data, np.uint8)
            wrong[sample, index] = np.count_nonzero(got != due[sample].reshape(-1))
    progress("run", n, n)
    return wrong


def _layers_of(
    content: ImageContent, inputs: Sequence[Bytes], order: Sequence[int]
) -> Iterator[tuple[int, list[Bytes]]]:
    """Each sample's number and its layers' outputs (h, w, c) by the emulator."""
    emulator = Emulator(content)
    for start in range(0, len(order), CHUNK):
        chosen = list(order[start : start + CHUNK])
        found = emulator.run_layers([array[chosen] for array in inputs])
        for place, sample in enumerate(chosen):
            yield sample, [found[index][place] for index in range(len(content.program) - 1)]


def _step_all(device: Device, sample: Sequence[Bytes], n_layers: int) -> list[int]:
    device.put([array.tobytes() for array in sample])
    return device.step(0, n_layers)


def _first_difference(found: list[int], due: list[int]) -> int:
    pairs = enumerate(zip(found, due, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(found), len(due) - 1))


def _locate(
    content: ImageContent, device: Device, one: Sequence[Bytes], sample: int, index: int,
    layers: Sequence[Bytes],
) -> Evidence:  # fmt: skip
    """What differs at a descriptor: the sample is repeated up to it, then read byte by byte."""
    memory = start_memory(content, one)
    for before in range(index):
        execute(content.program[before], content, memory)
    golden = memory.copy()
    due = _golden_step(content, index, golden)[0]
    if not np.array_equal(layers[index].reshape(due.shape), due):
        got = layers[index].reshape(due.shape)
        found = _describe(content, "emulator", sample, index, due, got)
        return Evidence(found, memory[0], due, got)
    for _ in range(TRIES):
        _step_all(device, [array[0] for array in one], index)
        same = all(
            np.array_equal(read_region(device, region), region.view(memory)[0])
            for region in input_regions(content.program[index])
        )
        device.step(index, 1)
        got = read_region(device, output_region(content.program[index]))
        if not np.array_equal(got, due):
            break
    found = _describe(content, "device", sample, index, due, got, inputs_same=same)
    return Evidence(found, memory[0], due, got)


def _whole_run(
    content: ImageContent, device: Device, one: Sequence[Bytes], sample: int
) -> Evidence:
    """A device that is right descriptor by descriptor, and wrong in one go."""
    expected = Emulator(content).run(one)
    found = device.run([array.tobytes() for array in one])
    ports = [port for port in content.ports if port.is_output]
    pairs = [
        (port, due[0], np.frombuffer(data, np.uint8).reshape(due[0].shape))
        for port, due, data in zip(ports, expected, found, strict=True)
    ]
    port, due, got = next((p for p in pairs if not np.array_equal(p[1], p[2])), pairs[0])
    region = port_region(port)
    writers = [
        index for index, d in enumerate(content.program[:-1]) if output_region(d).overlaps(region)
    ]
    index = writers[-1] if writers else len(content.program) - 2
    described = _describe(content, "device", sample, index, due, got, whole_run=True)
    return Evidence(described, start_memory(content, one)[0], due, got)


def _describe(
    content: ImageContent, machine: str, sample: int, index: int, due: Bytes, got: Bytes, *,
    inputs_same: bool = True, whole_run: bool = False,
) -> Divergence:  # fmt: skip
    d = content.program[index]
    places = np.argwhere(due != got)
    y, x, c = (int(i) for i in places[0]) if len(places) else (0, 0, 0)
    return Divergence(
        machine, sample, index, layer_name(content, d.layer), Opcode(d.opcode).name,
        (y, x, c) if len(places) else None, int(due[y, x, c]), int(got[y, x, c]), len(places),
        due.size, tile_sites(content, index, c) if len(places) else (),
        tuple(int(i) for i in np.unique(places[:, 2])), inputs_same, whole_run,
    )  # fmt: skip
