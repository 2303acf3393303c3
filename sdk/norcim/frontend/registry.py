"""ONNX operation -> the function that imports it. What is not here is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from norcim.frontend import ops_deconv as deconv
from norcim.frontend import ops_elementwise as elementwise
from norcim.frontend import ops_integer as integer
from norcim.frontend import ops_linear as linear
from norcim.frontend import ops_move as move
from norcim.frontend import ops_norm as norm
from norcim.frontend import ops_pad as pads
from norcim.frontend import ops_pool as pool
from norcim.frontend import ops_products as products
from norcim.frontend import ops_quant as quant
from norcim.frontend import ops_recurrent as recurrent
from norcim.frontend import ops_resize as resize
from norcim.frontend import ops_select as select
from norcim.frontend import ops_shape as shape
from norcim.frontend.call import Handler

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "Abs": elementwise.table_handler("abs"),
        "Acos": elementwise.table_handler("acos"),
        "Acosh": elementwise.table_handler("acosh"),
        "Add": elementwise.add,
        "ArgMax": select.arg_max,
        "Asin": elementwise.table_handler("asin"),
        "Asinh": elementwise.table_handler("asinh"),
        "Atan": elementwise.table_handler("atan"),
        "Atanh": elementwise.table_handler("atanh"),
        "AveragePool": pool.average_pool,
        "BatchNormalization": linear.batch_normalization,
        "Cast": shape.cast,
        "Ceil": elementwise.table_handler("ceil"),
        "Celu": elementwise.table_handler("celu", alpha=1.0),
        "Clip": elementwise.clip,
        "Concat": move.concat,
        "Conv": linear.conv,
        "ConvTranspose": deconv.conv_transpose,
        "ConvInteger": integer.conv_integer,
        "Cos": elementwise.table_handler("cos"),
        "Cosh": elementwise.table_handler("cosh"),
        "DepthToSpace": move.depth_to_space,
        "DequantizeLinear": quant.dequantize_linear,
        "Div": elementwise.div,
        "Dropout": shape.dropout,
        "DynamicQuantizeLinear": integer.dynamic_quantize_linear,
        "Elu": elementwise.table_handler("elu", alpha=1.0),
        "Erf": elementwise.table_handler("erf"),
        "Exp": elementwise.table_handler("exp"),
        "Expand": move.expand,
        "Flatten": shape.flatten,
        "Floor": elementwise.table_handler("floor"),
        "Gather": move.gather,
        "GRU": recurrent.gru,
        "Gelu": elementwise.gelu,
        "Gemm": linear.gemm,
        "GlobalAveragePool": pool.global_average_pool,
        "GlobalMaxPool": pool.global_max_pool,
        "GroupNormalization": norm.group_normalization,
        "HardSigmoid": elementwise.table_handler("hard_sigmoid", alpha=0.2, beta=0.5),
        "HardSwish": elementwise.table_handler("hard_swish"),
        "Identity": shape.identity,
        "InstanceNormalization": norm.instance_normalization,
        "LSTM": recurrent.lstm,
        "LayerNormalization": norm.layer_normalization,
        "LeakyRelu": elementwise.table_handler("leaky_relu", alpha=0.01),
        "Log": elementwise.table_handler("log"),
        "LogSoftmax": norm.log_softmax,
        "LpNormalization": norm.lp_normalization,
        "MatMul": products.matmul,
        "MatMulInteger": integer.matmul_integer,
        "Max": elementwise.maximum,
        "MaxPool": pool.max_pool,
        "Mean": elementwise.mean,
        "Min": elementwise.minimum,
        "Mish": elementwise.table_handler("mish"),
        "Mul": elementwise.mul,
        "Neg": elementwise.neg,
        "PRelu": elementwise.prelu,
        "Pad": pads.pad,
        "Pow": elementwise.power,
        "QLinearConv": integer.qlinear_conv,
        "QLinearMatMul": integer.qlinear_matmul,
        "QuantizeLinear": quant.quantize_linear,
        "RMSNormalization": norm.rms_normalization,
        "RNN": recurrent.rnn,
        "Reciprocal": elementwise.table_handler("reciprocal"),
        "ReduceL1": norm.reduce_l1,
        "ReduceL2": norm.reduce_l2,
        "ReduceLogSum": norm.reduce_log_sum,
        "ReduceLogSumExp": norm.reduce_log_sum_exp,
        "ReduceMax": pool.reduce_max,
        "ReduceMean": pool.reduce_mean,
        "ReduceMin": pool.reduce_min,
        "ReduceSum": pool.reduce_sum,
        "ReduceSumSquare": norm.reduce_sum_square,
        "Relu": elementwise.relu,
        "Reshape": shape.reshape,
        "Resize": resize.resize,
        "Round": elementwise.table_handler("round"),
        "Selu": elementwise.selu,
        "Shape": shape.shape_of,
        "Shrink": elementwise.shrink,
        "Sign": elementwise.table_handler("sign"),
        "Sin": elementwise.table_handler("sin"),
        "Sinh": elementwise.table_handler("sinh"),
        "Slice": move.slice_,
        "Sigmoid": elementwise.table_handler("sigmoid"),
        "Softmax": elementwise.softmax,
        "Softplus": elementwise.table_handler("softplus"),
        "Softsign": elementwise.table_handler("softsign"),
        "SpaceToDepth": move.space_to_depth,
        "Split": move.split,
        "Sqrt": elementwise.table_handler("sqrt"),
        "Squeeze": shape.squeeze,
        "Sub": elementwise.sub,
        "Sum": elementwise.sum_,
        "Swish": elementwise.table_handler("swish", alpha=1.0),
        "Tan": elementwise.table_handler("tan"),
        "Tanh": elementwise.table_handler("tanh"),
        "ThresholdedRelu": elementwise.table_handler("thresholded_relu", alpha=1.0),
        "Tile": move.tile,
        "Transpose": shape.transpose,
        "Unsqueeze": shape.unsqueeze,
        "Upsample": resize.resize,
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
        "ArgMin": "negate the input of an ArgMax, or take the smallest on the host",
        "BitShift": "compute it on the host",
        "Einsum": "write it as MatMul and Transpose",
        "GatherElements": "select on the host before the model",
        "GatherND": "select on the host before the model",
        "If": "export with torch.jit.trace, or fold the condition with onnxsim",
        "Loop": "unroll it at export",
        "NonMaxSuppression": "cut the model before it, and select boxes on the host",
        "NonZero": "compute it on the host",
        "Quant": "convert QONNX to QDQ (qonnx.transformation.qcdq), or export with Brevitas' QCDQ",
        "Scale": "fold the vendor's Scale into weights, or start from the float model",
        "Scan": "unroll it at export",
        "TopK": "select on the host after the model",
        "Where": "mask by adding a large negative constant, or by a product",
    }
)
"""What to do about an operation that is not supported."""

DEFAULT_WORKAROUND = "replace it by supported operations (`norcim ops`), or run it on the host"
