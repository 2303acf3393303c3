"""Write the folded network as ONNX: Conv, Relu, GlobalAveragePool, Flatten, Gemm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from network import FoldedDsCnn
from onnx import TensorProto, helper, numpy_helper

OPSET = 13


def export_onnx(model: FoldedDsCnn, n_frames: int, n_mels: int, path: Path) -> None:
    """Input `features` (N, 1, n_frames, n_mels), codes as floats; output `logits` (N, n_labels)."""
    nodes, weights, x = [], [], "features"
    for i, convolution in enumerate(model.convolutions):
        name = "stem" if i == 0 else f"block{(i + 1) // 2}_{'depthwise' if i % 2 else 'pointwise'}"
        weights += _tensors(name, convolution)
        (pad_y, pad_x) = convolution.padding
        nodes.append(
            helper.make_node(
                "Conv",
                [x, f"{name}.weight", f"{name}.bias"],
                [f"{name}.sum"],
                name,
                kernel_shape=list(convolution.kernel_size),
                strides=list(convolution.stride),
                pads=[pad_y, pad_x, pad_y, pad_x],
                group=convolution.groups,
            )
        )
        x = f"{name}.out"
        nodes.append(helper.make_node("Relu", [f"{name}.sum"], [x], f"{name}_relu"))
    weights += _tensors("classify", model.classify)
    nodes += [
        helper.make_node("GlobalAveragePool", [x], ["pool.out"], "pool"),
        helper.make_node("Flatten", ["pool.out"], ["flat.out"], "flat"),
        helper.make_node(
            "Gemm",
            ["flat.out", "classify.weight", "classify.bias"],
            ["logits"],
            "classify",
            transB=1,
        ),
    ]
    n_labels = model.classify.out_features
    graph = helper.make_graph(
        nodes,
        "kws",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 1, n_frames, n_mels])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", n_labels])],
        weights,
    )
    opset = [helper.make_opsetid("", OPSET)]
    onnx_model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="norcim")
    onnx.checker.check_model(onnx_model, full_check=True)
    onnx.save(onnx_model, str(path))


def _tensors(name: str, layer: object) -> list[TensorProto]:
    return [
        numpy_helper.from_array(
            getattr(layer, part).detach().numpy().astype(np.float32), f"{name}.{part}"
        )
        for part in ("weight", "bias")
    ]
