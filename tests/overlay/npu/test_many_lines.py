"""A hundred thousand random lines through the line counter, the lanes and the drain."""

from __future__ import annotations

import numpy as np
import pytest

from norcim import arith
from norcim.spec.program import BIAS_DRIVE, Encoding, Rule
from norcim_overlay.npu.mac_lanes import Factor, MacLanes
from tests.conformance.vectors import make_vectors
from tests.overlay.npu.blocks import LANES, PORTS, VECTOR_LANES, BlockBench
from tests.overlay.npu.test_many_steps import Script
from tests.overlay.npu.test_many_vectors import later, same

N_LINES = 100_000

pytestmark = pytest.mark.slow


def test_line_counter(bench: BlockBench) -> None:
    """Tiles of any shape; lines of one, two or four wordlines, as many as the window's tap has."""
    rng, script = np.random.default_rng(10), Script()
    while len(script.rows) < N_LINES:
        n_rows, repeats, n_bias = int(rng.integers(1, 40)), *rng.integers(0, 3, 2).tolist()
        split, slots, first, step = rng.integers(0, (2, 4, 2**16, 2**16)).tolist()
        steady = {"is_mvm": 1, "n_rows": n_rows, "repeats": repeats, "n_bias_rows": n_bias,
                  "split": split, "slots": slots, "weight_first": first,
                  "weight_step": step, "n_channels": int(rng.integers(1, 12))}  # fmt: skip
        steady["window_start"] = int(rng.integers(1, steady["n_channels"] + 1))
        passes = [(0, negative, int(copy + negative > 0), n_rows)
                  for copy in range(repeats + 1) for negative in range(split + 1)]  # fmt: skip
        passes += [(1, None, 1, n_bias)] * (n_bias > 0)
        for _ in range(3):
            script.cycle(**steady)  # the tile stands before its positions begin
        script.cycle(begin=1, **steady)
        _passes(rng, script, passes, steady)
    script.run(bench, "lines")


def _passes(
    rng: np.random.Generator,
    script: Script,
    passes: list[tuple[int, int | None, int, int]],
    steady: dict[str, int],
) -> None:
    """The lines of one position: (bias, negative, is_copy, wordlines) of every pass."""
    at, slots, is_first = steady["weight_first"], steady["slots"], 1
    for index, (bias, negative, is_copy, left) in enumerate(passes):
        window_left = steady["window_start"]
        while left:
            count = min(left, 1 << slots, left if bias else window_left)
            ends = count == left
            shown = {"bias": bias, "is_copy": is_copy, "first": is_first, "count": count,
                     "weight_addr": at, "final": int(ends and index + 1 == len(passes)),
                     "restart": int(ends and not bias),
                     "advance": int(not ends and not bias)}  # fmt: skip
            if negative is not None:
                shown["negative"] = negative
            if not bias:
                shown["tap_ends"] = int(count == window_left)
            if rng.random() < 0.2:
                idle = {**shown, "restart": 0, "advance": 0}
                script.cycle(idle, window_left=window_left, **steady)
            script.cycle(shown, step=1, window_left=window_left, **steady)
            at += (count * LANES >> slots) if slots else steady["weight_step"]
            left, is_first = left - count, 0
            window_left = window_left - count or steady["n_channels"]


def sums_of(bench: BlockBench, n_words: int, **inputs: object) -> np.ndarray:
    """The sums that leave the lanes, (n, lanes): one row for each line with `last`."""
    n = MacLanes.LATENCY
    padded = {k: later(np.asarray(v), n) if np.ndim(v) else v for k, v in inputs.items()}
    padded["valid"] = later(np.ones(n_words, np.int64), n)
    padded["valid"][n_words:] = 0
    got = bench.run("lanes", **padded)
    at = np.flatnonzero(got["done"])
    return np.stack([got[f"sums.{lane}"][at] for lane in range(LANES)], 1)


def segments(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """First and last line of sums over 1 to 40 lines, N_LINES in all."""
    sizes = rng.integers(1, 40, N_LINES // 20)
    last = np.zeros(sizes.sum(), np.int64)
    last[np.cumsum(sizes) - 1] = 1
    return np.append(1, last[:-1]), last


def broadcast(values: np.ndarray) -> dict[str, np.ndarray]:
    """The same code in all vector lanes."""
    return {f"codes__{lane}": values for lane in range(VECTOR_LANES)}


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("encoding", list(Encoding))
def test_wordlines(bench: BlockBench, encoding: Encoding, signed: int) -> None:
    """One to four wordlines a line; lanes of slot i take code i."""
    rng = np.random.default_rng([11, int(encoding), signed])
    first, last = segments(rng)
    n, pad = len(first), 0x83
    codes = rng.integers(0, 256, (n, VECTOR_LANES)) - 128 * signed
    inside, bias, negative = rng.random(n) < 0.8, rng.random(n) < 0.05, rng.integers(0, 2, n)
    zero_point, slots = rng.integers(-128, 256, n), rng.integers(0, 3, n)
    count = 1 + rng.integers(0, 1 << slots)
    weights = rng.integers(-128, 128, (n, LANES))
    seen = np.where(inside[:, None], codes, pad - 256 * signed)
    rows = arith.encode_rows(seen, encoding, zero_point[:, None])
    is_negative = (negative == 1) & (encoding == Encoding.PN)
    drive = np.where(is_negative[:, None], rows[:, -VECTOR_LANES:], rows[:, :VECTOR_LANES])
    drive = np.where(bias[:, None], BIAS_DRIVE, drive)
    slot = (np.arange(LANES) << slots[:, None]) // LANES
    driven = np.where(slot < count[:, None], np.take_along_axis(drive, slot, 1), 0)
    expected = np.add.reduceat(driven * weights, np.flatnonzero(first))
    got = sums_of(
        bench, n, encoding=int(encoding), broadcast=1, pad_code=pad, line__is_signed=signed,
        line__first=first, line__last=last, line__inside=inside, line__bias=bias,
        line__negative=negative, line__zero_point=zero_point, line__slots=slots,
        line__count=count,
        **{f"codes__{lane}": codes[:, lane] & 255 for lane in range(VECTOR_LANES)},
        **{f"weights__{lane}": weights[:, lane] for lane in range(LANES)},
    )  # fmt: skip
    assert np.array_equal(got, expected)


def test_maxima_and_window_sums(bench: BlockBench) -> None:
    rng = np.random.default_rng(12)
    first, last = segments(rng)
    n, starts = len(first), np.flatnonzero(first)
    codes, inside = rng.integers(-128, 128, (n, VECTOR_LANES)), rng.random(n) < 0.7
    lines = {"line__first": first, "line__last": last, "line__inside": inside,
             "line__is_signed": 1}  # fmt: skip
    lines |= {f"codes__{lane}": codes[:, lane] & 255 for lane in range(VECTOR_LANES)}
    got = sums_of(bench, n, maximum=1, **lines)[:, :VECTOR_LANES]
    seen = np.where(inside[:, None], codes, -32768)
    assert np.array_equal(got, np.maximum.reduceat(seen, starts))
    got = sums_of(
        bench, n, factor=int(Factor.CONSTANT), line__constant=1, zero_outside=1,
        line__zero_point=-5, **lines,
    )[:, :VECTOR_LANES]  # fmt: skip
    assert np.array_equal(got, np.add.reduceat(np.where(inside[:, None], codes + 5, 0), starts))
    weights = rng.integers(-128, 128, (n, LANES))
    got = sums_of(
        bench, n, pad_code=7, **lines,
        **{f"weights__{lane}": weights[:, lane] for lane in range(LANES)},
    )[:, :VECTOR_LANES]  # fmt: skip
    taps = np.where(inside[:, None], codes, 7) * weights[:, :VECTOR_LANES]
    assert np.array_equal(got, np.add.reduceat(taps, starts))


@pytest.mark.parametrize("op", ["add", "multiply"])
def test_two_operands(bench: BlockBench, op: str) -> None:
    """Two lines an element; what the digital stage makes of the sums is tested on its own."""
    v = make_vectors(op, N_LINES)
    a, b, zp = v["a"], v["b"], (v["zp_a"], v["zp_b"])
    n = 2 * len(a)
    pair = {name: np.arange(n) % 2 == place for place, name in enumerate(("left", "right"))}

    def both(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.stack([left, right], 1).ravel()

    lines = {"line__inside": 1, "line__last": pair["right"], "line__zero_point": both(*zp),
             "line__is_signed": both(a < 0, b < 0), **broadcast(both(a, b) & 255)}  # fmt: skip
    if op == "add":
        got = sums_of(
            bench, n, factor=int(Factor.CONSTANT), line__first=pair["left"],
            line__constant=both(v["m_a"], v["m_b"]), **lines,
        )  # fmt: skip
        expected = (a - zp[0]) * v["m_a"] + (b - zp[1]) * v["m_b"]
    else:
        got = sums_of(bench, n, factor=int(Factor.HELD), line__first=1,
                      line__hold=pair["left"], **lines)  # fmt: skip
        expected = (a - zp[0]) * (b - zp[1])
    for lane in range(VECTOR_LANES):
        same(got[:, lane], expected, a=a, b=b, zp_a=zp[0], zp_b=zp[1])


RANGES = {"bias": (-(2**20), 2**20), "multiplier": (2**15, 2**16), "shift": (8, 34)}
SHARED = {"bits": 8, "zero_point": -3, "lo": -100, "hi": 127, "use_columns": 1}
N_STEPS = LANES // PORTS
N_FILL = 64  # cycles that fill table and columns


def random_tiles(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Tags of vectors of sums, one every N_STEPS cycles."""
    n = N_LINES // LANES
    first, last = segments(rng)
    first, last = np.append(first[: n - 1], 0), np.append(last[: n - 1], 1)
    group = np.cumsum(first) - 1  # its tiles have the same columns
    slots = rng.integers(0, 3, n)[group]
    lanes = 1 + (rng.integers(0, LANES, n)[group] >> slots)
    return {
        "addr": rng.integers(0, 2**20, n), "n_lanes": lanes, "slots": slots,
        "gain": rng.integers(0, 16, n), "align": rng.integers(0, 4, n), "first": first,
        "last": last,
    }  # fmt: skip


def drained(
    bench: BlockBench, tags: dict[str, np.ndarray], sums: np.ndarray, **inputs: object
) -> dict[str, np.ndarray]:
    """What the drain gives, cycle by cycle."""
    at = N_FILL + N_STEPS * np.arange(len(sums))
    n_cycles = at[-1] + N_STEPS + 40

    def placed(values: object) -> np.ndarray:
        row = np.zeros(n_cycles, np.int64)
        row[at] = values
        return row

    cycle = np.arange(n_cycles)
    repeated = {k: np.resize(v, n_cycles) if np.ndim(v) else v for k, v in inputs.items()}
    return dict(bench.run(
        "drain", load=placed(1), table_write=cycle < N_FILL, table_index=cycle % 64,
        column_write=cycle < N_FILL, column_index=cycle % LANES, **SHARED, **repeated,
        **{f"tag__{name}": placed(values) for name, values in tags.items()},
        **{f"sums__{lane}": placed(sums[:, lane]) for lane in range(LANES)},
    ))  # fmt: skip


@pytest.mark.parametrize("use_table", [0, 1])
@pytest.mark.parametrize("rule", list(Rule))
def test_drain(bench: BlockBench, rule: Rule, use_table: int) -> None:
    """Vectors of sums: slots and tiles of a column group added up, digital stage, table."""
    rng = np.random.default_rng([13, int(rule), use_table])
    table = rng.integers(0, 256, 256).astype(np.uint8)
    columns = {name: rng.integers(*ends, LANES) for name, ends in RANGES.items()}
    tags = random_tiles(rng)
    n, count = len(tags["addr"]), tags["n_lanes"]
    sums = rng.integers(-(2**22), 2**22, (n, LANES)) >> rng.integers(0, 12, (n, 1))
    got = drained(
        bench, tags, sums, rule=int(rule), use_table=use_table,
        table_data=table.view("<u4").astype(np.int64),
        **{f"column__{name}": values for name, values in columns.items()},
    )  # fmt: skip
    added = [_added(row, int(level)) for row, level in zip(sums, tags["slots"], strict=True)]
    gains, bits = tags["gain"].tolist(), SHARED["bits"]
    pairs = list(zip(added, gains, strict=True))
    codes = np.stack([arith.convert(row, rule, gain, bits) for row, gain in pairs])
    clipped = [
        arith.count_saturated(row[:c], rule, gain, bits)
        for (row, gain), c in zip(pairs, count, strict=True)
    ]
    assert got["n_saturated"].sum() == sum(clipped)
    assert got["n_converted"].sum() == count.sum()
    assert not got["busy"][-1]
    ends = [SHARED[name] for name in ("zero_point", "lo", "hi")]
    expected = []
    for total, c, addr in _stored(codes << tags["align"][:, None], tags):
        m, k = columns["multiplier"][:c], columns["shift"][:c]
        stored = arith.requantise(total[:c] + columns["bias"][:c], m, k, *ends) & 255
        stored = table[stored] if use_table else stored
        expected += [(addr + i, int(byte)) for i, byte in enumerate(stored)]
    assert _bytes(got) == expected


def _bytes(got: dict[str, np.ndarray]) -> list[tuple[int, int]]:
    """Address and value of everything that was stored."""
    at = np.flatnonzero(got["store"])
    rows = zip(
        got["store_addr"][at].tolist(), got["store_count"][at].tolist(),
        np.stack([got[f"store_data.{port}"][at] for port in range(PORTS)], 1), strict=True,
    )  # fmt: skip
    return [(addr + i, int(row[i])) for addr, count, row in rows for i in range(count)]


def _added(sums: np.ndarray, slots: int) -> np.ndarray:
    """The sums of the first slot's lanes: with those in the same place of the other slots."""
    added = sums.reshape(1 << slots, -1).sum(0)
    return np.append(added, np.zeros(len(sums) - len(added), np.int64))


def _stored(codes: np.ndarray, tags: dict[str, np.ndarray]) -> list[tuple[np.ndarray, int, int]]:
    """Sums, lanes and address of what is stored."""
    partial, found = np.zeros(codes.shape[1], np.int64), []
    for i, count in enumerate(tags["n_lanes"].tolist()):
        partial = codes[i] + (0 if tags["first"][i] else partial)
        if tags["last"][i]:
            found.append((partial, count, int(tags["addr"][i])))
    assert abs(partial).max() < 2**31
    return found
