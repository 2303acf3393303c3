"""Files that the system tests share, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from norcim_cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def norcim(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in this process: exit code, stdout, stderr."""
    for name in ("NORCIM_CHIP", "NORCIM_PORT", "NORCIM_SEED"):
        monkeypatch.delenv(name, raising=False)

    def run(*args: str | Path) -> tuple[int, str, str]:
        code = main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def make_model(
    path: Path, *, op: str = "Relu", n_in: int = 8, n_out: int = 4, bad: float | None = None
) -> Path:
    """A Gemm of n_in x n_out, followed by one operator."""
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(n_in, n_out)).astype(np.float32)
    if bad is not None:
        weight[0, 0] = bad
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"], name="fc"),
        helper.make_node(op, ["h"], ["y"], name="last"),
    ]
    value: Any = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [value("x", TensorProto.FLOAT, ["n", n_in])],
        [value("y", TensorProto.FLOAT, ["n", n_out])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


@pytest.fixture
def write_model() -> Callable[..., Path]:
    """make_model(path, op=, n_in=, n_out=, bad=)."""
    return make_model


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small.onnx, calib.npz, test.npz (x, y) and small.cim for nor1."""
    folder = tmp_path_factory.mktemp("small")
    model = make_model(folder / "small.onnx")
    x = np.random.default_rng(2).normal(size=(50, 8)).astype(np.float32)
    weight = numpy_helper.to_array(onnx.load(model).graph.initializer[0])
    np.savez(folder / "calib.npz", x=x)
    np.savez(folder / "test.npz", x=x, y=np.maximum(x @ weight, 0).argmax(axis=1))
    (folder / "meta.json").write_text('{"labels": ["a", "b", "c", "d"]}')
    args = ["compile", model, "--calibration", folder / "calib.npz", "-o", folder / "small.cim"]
    assert main([str(a) for a in (*args, "--meta", folder / "meta.json", "-q")]) == 0
    return folder
