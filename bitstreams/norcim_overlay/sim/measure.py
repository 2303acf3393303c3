"""`python -m norcim_overlay.sim.measure IMAGE ...`: where the NPU's cycles go, step by step.

Runs each image on the Verilated NPU with random inputs, checks the activation memory against the
golden executor byte for byte, and prints one line a descriptor from the NPU's own counters.
"""

from __future__ import annotations

import argparse
import resource
from pathlib import Path

import numpy as np

from norcim.emulator.reference import execute
from norcim.emulator.regions import port_region
from norcim.image.model import ImageContent
from norcim.image.read import read_image
from norcim.spec.program import Opcode
from norcim_overlay.npu.macro import Sizes
from norcim_overlay.sim.program import load_program, run_program
from norcim_overlay.sim.verilated import VerilatedBench

SIZES = Sizes(
    n_lanes=64, n_vector_lanes=32, n_activation_bytes=1 << 17, n_weight_bytes=64 * (8192 + 4096),
    n_descriptors=256,
)  # fmt: skip
FILL = 0xA5


def random_memory(content: ImageContent) -> np.ndarray:
    """An activation memory with random inputs in it."""
    rng = np.random.default_rng(0)
    memory = np.full((1, content.activation_bytes), FILL, np.uint8)
    for port in content.ports:
        if not port.is_output:
            view = port_region(port).view(memory)
            view[...] = rng.integers(0, 256, view.shape)
    return memory[0]


def measure(bench: VerilatedBench, content: ImageContent) -> int:
    """Run one image and print its lines; returns the cycles of all descriptors."""
    memory = random_memory(content)
    golden = memory[None].copy()
    for step in content.program[:-1]:
        execute(step, content, golden)
    load_program(bench, content)
    bench.clear_counts()
    ran = run_program(bench, content, memory)
    n_differ = int((memory != golden[0]).sum())
    n_cycles, n_macs, n_stalls = 0, 0, 0
    for index, step in enumerate(content.program):
        count = bench.counts(index)
        n_cycles, n_macs = n_cycles + count["cycles"], n_macs + count["macs"]
        n_stalls += count["stalls"]
        peak = bench.sizes.n_lanes if step.opcode == Opcode.MVM else bench.sizes.n_vector_lanes
        used = count["macs"] / (peak * count["cycles"]) if count["cycles"] else 0.0
        shape = f"{step.kernel_h}x{step.kernel_w} {step.in_c:4} -> {step.out_c:4}"
        print(
            f"{index:4} {Opcode(step.opcode).name:9} {shape} at {step.out_h:3}x{step.out_w:<3}"
            f" {count['macs']:9,} MACs {count['cycles']:8,} cycles {used:6.1%}"
            f" {count['stalls']:6,} stalls"
        )
    print(
        f"{content.meta.get('name')}: {n_macs:,} MACs, {n_cycles:,} cycles, {n_stalls:,} stalls; "
        f"{ran.error.name}, {n_differ} bytes differ"
    )
    return n_cycles


def main() -> None:
    """Measure the images named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", nargs="+", type=Path)
    images = [read_image(path.read_bytes()) for path in parser.parse_args().image]
    with VerilatedBench(SIZES) as bench:
        n_cycles = sum(measure(bench, content) for content in images)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = used.ru_utime + used.ru_stime
    print(
        f"{n_cycles:,} cycles, {spent:.1f} CPU seconds of the simulation with loading and reading"
    )


if __name__ == "__main__":
    main()
