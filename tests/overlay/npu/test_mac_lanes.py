"""The lanes against norcim.arith: encodings, sums, products and maxima."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from norcim import arith
from norcim.spec.program import BIAS_DRIVE, Encoding
from norcim_overlay.npu.mac_lanes import Factor, MacLanes
from tests.overlay.npu.stream import simulate

N_LANES = 4


@dataclass
class Work:
    """Lines for the lanes: their fields, codes and weights."""

    mode: dict[str, int]
    lines: list[dict[str, int]] = field(default_factory=list)
    codes: list[list[int]] = field(default_factory=list)
    weights: list[list[int]] = field(default_factory=list)

    def add(self, codes: list[int], weights: list[int] | None = None, **line: int) -> None:
        self.lines.append({"inside": 1, "count": 1, **line})
        self.codes.append(codes)
        self.weights.append(weights or [0] * N_LANES)

    def run(self, n_vector_lanes: int = N_LANES) -> list[list[int]]:
        """The sums that come out."""
        lanes, found = MacLanes(N_LANES, n_vector_lanes), []

        async def testbench(ctx: Any) -> None:
            for name, value in self.mode.items():
                ctx.set(getattr(lanes, name), value)
            for i in range(len(self.lines) + MacLanes.LATENCY + 1):
                ctx.set(lanes.valid, i < len(self.lines))
                if i < len(self.lines):
                    ctx.set(lanes.line, self.lines[i])
                    for lane in range(n_vector_lanes):
                        ctx.set(lanes.codes[lane], self.codes[i][lane] & 255)
                    for lane in range(N_LANES):
                        ctx.set(lanes.weights[lane], self.weights[i][lane] & 255)
                if ctx.get(lanes.done):
                    found.append([ctx.get(lanes.sums[lane]) for lane in range(N_LANES)])
                await ctx.tick()

        simulate(lanes, testbench)
        return found


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("encoding", list(Encoding))
def test_broadcast_lines_give_the_golden_column_sums(encoding: Encoding, signed: int) -> None:
    rng = np.random.default_rng([int(encoding), signed])
    lo = -128 if signed else 0
    work = Work({"encoding": int(encoding), "broadcast": 1, "pad_code": 0x83})
    expected = []
    for zero_point in (-128, -7, 0, 50, 127, 255):
        for _ in range(20):
            codes = rng.integers(lo, lo + 256, 6)
            codes[:2] = lo, lo + 255
            inside = rng.integers(0, 4, 6) > 0
            seen = np.where(inside, codes, 0x83 - 256 if signed else 0x83)
            drives = arith.encode_rows(seen, encoding, zero_point)
            cells = rng.integers(-128, 128, (len(drives) + 1, N_LANES))
            cells[0] = -128, 127, -128, 127
            for row in range(len(drives)):
                work.add(
                    [int(codes[row % 6])] * N_LANES, cells[row].tolist(), is_signed=signed,
                    inside=int(inside[row % 6]), first=int(row == 0), zero_point=zero_point,
                    negative=int(row >= 6),
                )  # fmt: skip
            work.add([77] * N_LANES, cells[-1].tolist(), bias=1, last=1)
            expected.append((drives @ cells[:-1] + BIAS_DRIVE * cells[-1]).tolist())
    assert work.run() == expected


@pytest.mark.parametrize(("slots", "n_vector_lanes"), [(1, 4), (1, 2), (2, 4)])
def test_slots_take_neighbouring_wordlines(slots: int, n_vector_lanes: int) -> None:
    rng = np.random.default_rng(slots)
    n_slots, width = 1 << slots, N_LANES >> slots
    work, expected = Work({"encoding": int(Encoding.OFFSET), "broadcast": 1}), []
    for count in [*range(1, n_slots + 1), n_slots]:
        codes, cells = rng.integers(-128, 128, (2, N_LANES))
        slot = np.arange(N_LANES) // width
        drives = np.where(slot < count, codes[slot] + 128, 0)
        line = {"first": 1, "is_signed": 1, "slots": slots, "count": count}
        work.add(codes.tolist(), cells.tolist(), **line)
        work.add(codes.tolist(), cells.tolist(), bias=1, last=1, slots=slots, count=1)
        expected.append((drives * cells + BIAS_DRIVE * cells * (slot == 0)).tolist())
    assert work.run(n_vector_lanes) == expected


def test_add_is_two_lines_with_a_constant_factor() -> None:
    rng = np.random.default_rng(3)
    work, expected = Work({"factor": int(Factor.CONSTANT)}), []
    for zps in ((-128, 255), (0, 0), (17, -3)):
        for ms in ((65535, 65535), (0, 1), (32768, 40503)):
            a, b = rng.integers(0, 256, (2, N_LANES))
            a[:2], b[:2] = (0, 255), (255, 0)
            work.add(a.tolist(), first=1, zero_point=zps[0], constant=ms[0])
            work.add(b.tolist(), last=1, zero_point=zps[1], constant=ms[1])
            expected.append(((a - zps[0]) * ms[0] + (b - zps[1]) * ms[1]).tolist())
    assert work.run() == expected


def test_multiply_holds_one_operand() -> None:
    rng = np.random.default_rng(4)
    work, expected = Work({"factor": int(Factor.HELD)}), []
    for zps in ((-128, 255), (0, 0), (17, -3)):
        a, b = rng.integers(-128, 128, (2, N_LANES))
        work.add(a.tolist(), first=1, hold=1, zero_point=zps[0], is_signed=1)
        work.add(b.tolist(), first=1, last=1, zero_point=zps[1], is_signed=1)
        expected.append(((a - zps[0]) * (b - zps[1])).tolist())
    assert work.run() == expected


def test_maximum_ignores_what_lies_outside() -> None:
    work = Work({"maximum": 1})
    work.add([1, 2, 3, 255], is_signed=1, first=1)
    work.add([0, 9, 2, 254], is_signed=1)
    work.add([99, 99, 99, 99], is_signed=1, inside=0, last=1)
    work.add([99, 99, 99, 99], first=1, last=1, inside=0)
    assert work.run() == [[1, 9, 3, -1], [-32768] * 4]


def test_the_average_pool_adds_nothing_outside() -> None:
    work = Work({"factor": int(Factor.CONSTANT), "zero_outside": 1, "pad_code": 200})
    work.add([10, 0, 255, 3], first=1, zero_point=5, constant=1)
    work.add([10, 0, 255, 3], inside=0, last=1, zero_point=5, constant=1)
    assert work.run() == [[5, -5, 250, -2]]
