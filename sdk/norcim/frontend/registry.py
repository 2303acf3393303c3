"""ONNX operation -> the function that imports it. What is not here is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from norcim.frontend import ops_elementwise as elementwise
from norcim.frontend import ops_linear as linear
from norcim.frontend import ops_pool as pool
from norcim.frontend import ops_quant as quant
from norcim.frontend import ops_shape as shape
from norcim.frontend.call import Handler

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "Add": elementwise.add,
        "AveragePool": pool.average_pool,
        "BatchNormalization": linear.batch_normalization,
        "Cast": shape.cast,
        "Clip": elementwise.clip,
        "Conv": linear.conv,
        "DequantizeLinear": quant.dequantize_linear,
        "Div": elementwise.div,
        "Dropout": shape.identity,
        "Elu": elementwise.table_handler("elu", alpha=1.0),
        "Flatten": shape.flatten,
        "Gemm": linear.gemm,
        "GlobalAveragePool": pool.global_average_pool,
        "GlobalMaxPool": pool.global_max_pool,
        "HardSigmoid": elementwise.table_handler("hard_sigmoid", alpha=0.2, beta=0.5),
        "HardSwish": elementwise.table_handler("hard_swish"),
        "Identity": shape.identity,
        "LeakyRelu": elementwise.table_handler("leaky_relu", alpha=0.01),
        "MatMul": linear.matmul,
        "Max": elementwise.maximum,
        "MaxPool": pool.max_pool,
        "Min": elementwise.minimum,
        "Mul": elementwise.mul,
        "Neg": elementwise.neg,
        "PRelu": elementwise.prelu,
        "Pad": shape.pad,
        "QuantizeLinear": quant.quantize_linear,
        "ReduceMax": pool.reduce_max,
        "ReduceMean": pool.reduce_mean,
        "Relu": elementwise.relu,
        "Reshape": shape.reshape,
        "Shape": shape.shape_of,
        "Sigmoid": elementwise.table_handler("sigmoid"),
        "Softmax": elementwise.softmax,
        "Softplus": elementwise.table_handler("softplus"),
        "Squeeze": shape.squeeze,
        "Sub": elementwise.sub,
        "Sum": elementwise.add,
        "Tanh": elementwise.table_handler("tanh"),
        "Transpose": shape.transpose,
        "Unsqueeze": shape.unsqueeze,
    }
)

KEEPS_CODES = frozenset(
    {
        "DequantizeLinear",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Handlers that also take a constant: they keep the integer codes behind it, folding would not."""

WORKAROUNDS: Mapping[str, str] = MappingProxyType(
    {
        "ConvTranspose": "replace it by Resize outside the model and a Conv",
        "Concat": "add the branches instead, or split the model there",
        "Erf": "replace GELU by ReLU or HardSwish and fine-tune",
        "Gather": "select on the host before the model",
        "Gelu": "replace it by ReLU or HardSwish and fine-tune",
        "GRU": "unroll it into MatMul, Sigmoid and Tanh steps, or use a convolutional model",
        "If": "export with torch.jit.trace, or fold the condition with onnxsim",
        "InstanceNormalization": "train with BatchNormalization, which folds into the weights",
        "LayerNormalization": "train with BatchNormalization, which folds into the weights",
        "Log": "compute features on the host, or with norcim's own audio front end",
        "Loop": "unroll it at export",
        "LSTM": "unroll it into MatMul, Sigmoid and Tanh steps, or use a convolutional model",
        "MatMul": "one side must be a constant; attention does not run on this chip",
        "Pow": "compute features on the host, or with norcim's own audio front end",
        "QLinearConv": "export in QDQ format (QuantFormat.QDQ) instead of QOperator",
        "QLinearMatMul": "export in QDQ format (QuantFormat.QDQ) instead of QOperator",
        "ConvInteger": "export in QDQ format with static quantisation",
        "MatMulInteger": "export in QDQ format with static quantisation",
        "DynamicQuantizeLinear": "quantise statically, with calibration data",
        "Quant": "convert QONNX to QDQ (qonnx.transformation.qcdq), or export with Brevitas' QCDQ",
        "Resize": "resize on the host before the model",
        "Scale": "fold the vendor's Scale into weights, or start from the float model",
        "Slice": "slice on the host before the model",
        "Split": "split the weights of the layer before it instead",
    }
)
"""What to do about an operation that is not supported."""

DEFAULT_WORKAROUND = "replace it by supported operations (`norcim ops`), or run it on the host"
