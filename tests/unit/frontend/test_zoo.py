"""Every model at hand: imported ones agree with their golden outputs, the others say why not."""

from __future__ import annotations

import numpy as np
import pytest

from norcim.errors import NorcimError
from norcim.frontend import NOTHING_FIXED, Fixed, import_onnx
from norcim.ir import evaluate, from_tensor, to_tensor, verify

FLOAT = (
    "dtln_model_1",
    "dtln_model_2",
    "armkws_cnn_s",
    "armkws_dnn_s",
    "armkws_ds_cnn_s",
    "mlperf_ad_autoencoder_fp32",
    "mlperf_ad_autoencoder_fp32_tfl",
    "mlperf_ic_resnet8_fp32",
    "mlperf_kws_dscnn_fp32",
    "mlperf_kws_dscnn_fp32_tfl",
    "mlperf_kws_dscnn_w8only",
    "mlperf_sww_dscnn1d_fp32",
    "mlperf_vww_mbv1_025_96_fp32",
    "mltk_kws_pacman_fp32",
    "mnist_cnn",
    "oww_alexa",
    "oww_embedding",
    "st_yamnet256_esc10",
    "ultraface_slim_320",
    "witin_dnn_wake_fp32",
)
QDQ = (
    "mlperf_ad_autoencoder_int8",
    "mlperf_ic_resnet8_int8",
    "mlperf_kws_dscnn_int8",
    "mlperf_sww_dscnn1d_int8",
    "mlperf_vww_mbv1_025_96_int8",
    "mltk_kws_pacman_int8",
    "tflm_hello_world_int8",
    "tflm_micro_speech_int8",
    "tflm_person_detect_int8",
    "witin_dnn_wake_qdq",
)
REFUSED = {
    "diagnose/qonnx_tfc_2w2a": ("NC-E0203", "onnx.brevitas:Quant Quant_13"),
    "diagnose/witin_dnn_wake_rawdialect": ("NC-E0203", "Scale scale_out1"),
    "oww_melspectrogram": ("NC-E0205", "input input"),
    "silero_vad_16k": ("NC-E0205", "input sr"),
}
FIXED = {
    "oww_melspectrogram": Fixed({"input": (1, 24000)}),
    "silero_vad_16k": Fixed({"input": (1, 576), "state": (2, 1, 128)}, {"sr": (16000.0,)}),
}


def run(folder, name, *, fake_quantise, fixed=NOTHING_FIXED):
    """(graph, [(got, golden) per output]) in the codes or the real values of the model."""
    graph = import_onnx(folder / "models" / f"{name}.onnx", fixed)
    golden = np.load(folder / "data" / "golden" / f"{name}.npz")
    feeds = {}
    for index, port in enumerate(graph.inputs):
        tensor = graph.tensors[port.tensor]
        x = golden[f"in_{index}"].reshape(-1, *port.shape)
        if port.codes != "float32":
            x = (x.astype(np.float32) - tensor.qparams.zero_point) * tensor.qparams.scale
        feeds[port.tensor] = to_tensor(port, tensor.shape, x.astype(np.float32))
    results = evaluate(graph, feeds, fake_quantise=fake_quantise)
    pairs = []
    for index, port in enumerate(graph.outputs):
        got = from_tensor(port, results[port.tensor])
        if port.codes != "float32":
            qparams = graph.tensors[port.tensor].qparams
            got = np.rint(got / qparams.scale) + qparams.zero_point
        pairs.append((got, golden[f"out_{index}"].reshape(got.shape)))
    return graph, pairs


@pytest.mark.parametrize("name", FLOAT)
def test_float_models_compute_what_onnxruntime_does(shared_data, name):
    _, pairs = run(shared_data, name, fake_quantise=False)
    for got, want in pairs:
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("name", FIXED)
def test_models_with_open_inputs_compute_it_once_they_are_fixed(shared_data, name):
    _, pairs = run(shared_data, name, fake_quantise=False, fixed=FIXED[name])
    for got, want in pairs:
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


@pytest.mark.parametrize("name", QDQ)
def test_qdq_models_give_the_same_class_and_nearly_the_same_codes(shared_data, name):
    graph, pairs = run(shared_data, name, fake_quantise=True)
    assert all(tensor.qparams for tensor in graph.tensors.values())
    assert all(op.weight_codes for op in graph.ops if op.kind == "conv")
    for got, want in pairs:
        np.testing.assert_array_equal(got.argmax(axis=1), want.argmax(axis=1))
        assert np.abs(got - want).max() <= 1


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_are_refused(shared_data, name):
    with pytest.raises(NorcimError) as caught:
        import_onnx(shared_data / "models" / f"{name}.onnx")
    error, (wanted, text) = caught.value, REFUSED[name]
    assert (error.id, error.exit_code) == (wanted, 3)
    assert text in error.where
    assert error.fix


def test_no_model_is_left_out(shared_data):
    models = shared_data / "models"
    names = {str(p.relative_to(models).with_suffix("")) for p in models.rglob("*.onnx")}
    assert names == {*FLOAT, *QDQ, *REFUSED}


def test_keyword_spotting_has_no_layout_operations(shared_data):
    for variant in ("fp32_tfl", "int8"):
        graph = import_onnx(shared_data / "models" / f"mlperf_kws_dscnn_{variant}.onnx")
        assert [op.kind for op in graph.ops] == ["conv"] * 9 + ["avgpool", "conv", "softmax"]
        assert graph.inputs[0].perm == (0, 1, 2)


def test_import_is_repeatable(shared_data):
    path = shared_data / "models" / "mlperf_ic_resnet8_int8.onnx"
    first, second = import_onnx(path), import_onnx(path)
    assert list(first.tensors) == list(second.tensors)
    assert [op.node for op in first.ops] == [op.node for op in second.ops]
    assert verify(first) is first
