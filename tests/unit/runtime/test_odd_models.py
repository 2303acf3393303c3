"""Small models with a property that an integer chip finds hard: the answers stay right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.helper import make_node

from norcim.chips import load_chip
from norcim.emulator import Emulator
from norcim.runtime import compile_model, decode_outputs, encode_inputs
from norcim.spec.program import Opcode
from tests.unit.frontend.conftest import build, run_reference

CHIPS = ("digital", "nor1", "wtm2101")


def answers(
    model: onnx.ModelProto, chip: str, x: np.ndarray, folder: Path
) -> dict[str, np.ndarray]:
    path = folder / "model.onnx"
    onnx.save(model, path)
    content = compile_model(path, load_chip(chip), {"x": x})
    return decode_outputs(content, Emulator(content).run(encode_inputs(content, {"x": x})))


def sqnr_db(expected: np.ndarray, got: np.ndarray) -> float:
    error = ((expected.astype(np.float64) - got) ** 2).sum()
    return float(10 * np.log10((expected.astype(np.float64) ** 2).sum() / max(error, 1e-30)))


def check(
    model: onnx.ModelProto, chip: str, x: np.ndarray, folder: Path, least_db: float = 25.0
) -> None:
    found = answers(model, chip, x, folder)
    for expected, got in zip(run_reference(model, {"x": x}), found.values(), strict=True):
        assert got.shape == expected.shape
        assert sqnr_db(expected, got) > least_db


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_outputs_bear_the_models_names_even_if_they_share_a_tensor(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["a"], kernel_shape=[1, 1]),
        make_node("Transpose", ["a"], ["b"], perm=[0, 2, 3, 1]),
        make_node("Flatten", ["b"], ["c"]),
    ]
    weight = rng.standard_normal((5, 2, 1, 1))
    model = build(nodes, {"x": (2, 3, 3)}, {"w": weight}, outputs=("a", "b", "c"))
    found = answers(
        model, "digital", rng.standard_normal((8, 2, 3, 3)).astype(np.float32), tmp_path
    )
    assert {name: array.shape for name, array in found.items()} == {
        "a": (8, 5, 3, 3), "b": (8, 3, 3, 5), "c": (8, 45),
    }  # fmt: skip
    assert np.array_equal(found["a"].transpose(0, 2, 3, 1), found["b"])


@pytest.mark.parametrize("chip", CHIPS)
def test_a_channel_whose_weights_vanish_beside_its_bias(
    chip: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    weight = rng.standard_normal((8, 6))
    weight[2] *= 1e-30
    weight[3] = 0
    nodes = [make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)]
    model = build(nodes, {"x": (6,)}, {"w": weight, "b": rng.uniform(1, 4, 8)})
    check(model, chip, rng.standard_normal((40, 6)).astype(np.float32), tmp_path)


@pytest.mark.parametrize("chip", CHIPS)
def test_a_layer_whose_bias_is_far_larger_than_its_weights(
    chip: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    constants = {"w": 0.01 * rng.standard_normal((9, 20)), "b": rng.uniform(-2, 2, 9)}
    model = build([make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)], {"x": (20,)}, constants)
    check(model, chip, rng.standard_normal((40, 20)).astype(np.float32), tmp_path)


@pytest.mark.parametrize("chip", CHIPS)
def test_a_constant_negative_input_of_a_long_layer(
    chip: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    nodes = [make_node("MatMul", ["x", "w"], ["y"])]
    model = build(nodes, {"x": (800,)}, {"w": rng.uniform(0.9, 1, (800, 4))})
    check(model, chip, np.full((4, 800), -5, np.float32), tmp_path)


@pytest.mark.parametrize("chip", CHIPS)
def test_few_inputs_around_a_zero_point_in_the_middle(
    chip: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    nodes = [make_node("Conv", ["x", "w"], ["y"], kernel_shape=[2], group=5)]
    model = build(nodes, {"x": (5, 12)}, {"w": np.abs(rng.standard_normal((5, 1, 2)))})
    check(model, chip, rng.standard_normal((40, 5, 12)).astype(np.float32), tmp_path)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("gain", [0.07, 1.0, 13.0])
def test_a_residual_of_any_scale(
    gain: float, chip: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    nodes = [
        make_node("Gemm", ["x", "w"], ["a"], transB=1),
        make_node("Add", ["a", "x"], ["s"]),
        make_node("Relu", ["s"], ["y"]),
    ]
    model = build(nodes, {"x": (30,)}, {"w": gain * rng.standard_normal((30, 30)) / 5})
    check(model, chip, rng.standard_normal((60, 30)).astype(np.float32), tmp_path)


@pytest.mark.parametrize("chip", CHIPS)
def test_operands_that_cancel(chip: str, rng: np.random.Generator, tmp_path: Path) -> None:
    nodes = [
        make_node("Gemm", ["x", "w"], ["a"], transB=1),
        make_node("Add", ["a", "x"], ["y"]),
    ]
    weight = -np.eye(20) + 0.3 * rng.standard_normal((20, 20)) / np.sqrt(20)
    model = build(nodes, {"x": (20,)}, {"w": weight})
    check(model, chip, rng.standard_normal((60, 20)).astype(np.float32), tmp_path, 18.0)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("value", [0.5, -3.0])
def test_a_border_outside_the_range_of_what_it_surrounds(
    value: float, chip: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["a"], kernel_shape=[1, 1]),
        make_node("Relu", ["a"], ["r"]),
        make_node("Pad", ["r", "pads", "value"], ["y"]),
    ]
    constants = {
        "w": rng.standard_normal((3, 3, 1, 1)),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "value": np.array(value, np.float32),
    }
    model = build(nodes, {"x": (3, 6, 6)}, constants)
    check(model, chip, rng.standard_normal((20, 3, 6, 6)).astype(np.float32), tmp_path)


@pytest.mark.parametrize("chip", CHIPS)
def test_an_integer_interface_keeps_its_own_codes(
    chip: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    nodes = [
        make_node("DequantizeLinear", ["x", "sx", "zx"], ["real"]),
        make_node("DequantizeLinear", ["w", "sw", "zero"], ["weight"]),
        make_node("MatMul", ["real", "weight"], ["product"]),
        make_node("QuantizeLinear", ["product", "sy", "zy"], ["y"]),
    ]
    constants = {
        "w": rng.integers(-127, 128, (16, 6)).astype(np.int8),
        "sx": np.array(0.03, np.float32), "zx": np.array(-5, np.int8),
        "sw": np.array(0.011, np.float32), "zero": np.array(0, np.int8),
        "sy": np.array(0.07, np.float32), "zy": np.array(11, np.int8),
    }  # fmt: skip
    model = build(nodes, {"x": (16,)}, constants, types={"x": TensorProto.INT8})
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT8
    x = rng.integers(-128, 128, (50, 16)).astype(np.int8)
    [expected] = run_reference(model, {"x": x})
    [got] = answers(model, chip, x, tmp_path).values()
    assert got.dtype == np.int8
    assert np.abs(got.astype(int) - expected).max() <= 3


def test_a_shift_chip_multiplies_and_averages_by_powers_of_two(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    nodes = [
        make_node("Mul", ["x", "x"], ["square"]),
        make_node("AveragePool", ["square"], ["y"], kernel_shape=[3, 3]),
    ]
    model = build(nodes, {"x": (3, 6, 6)})
    x = rng.standard_normal((20, 3, 6, 6)).astype(np.float32)
    check(model, "wtm2101", x, tmp_path)
    content = compile_model(tmp_path / "model.onnx", load_chip("wtm2101"), {"x": x})
    steps = {step.opcode: step for step in content.program}
    column = content.columns[steps[Opcode.AVGPOOL].column_base]
    factors = steps[Opcode.MUL].multiplier_a, column.multiplier
    assert all(factor & (factor - 1) == 0 for factor in factors)


def test_a_shift_chip_averages_partial_windows_by_whole_numbers(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    attrs = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    model = build([make_node("AveragePool", ["x"], ["y"], **attrs)], {"x": (3, 6, 6)})
    x = rng.standard_normal((20, 3, 6, 6)).astype(np.float32)
    check(model, "wtm2101", x, tmp_path)
    content = compile_model(tmp_path / "model.onnx", load_chip("wtm2101"), {"x": x})
    multipliers = {column.multiplier for column in content.columns}
    assert len(multipliers) > 1
    assert all(m % 512 == 0 and m // 512 <= 127 for m in multipliers)
