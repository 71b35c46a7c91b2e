"""The QDQ graph computes what its integers say, in onnxruntime as in the ONNX reference and in numpy."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from models.errors import GraphError
from models.graph.load import serialize
from models.quantization.measured import measure
from models.quantization.qdq import LARGEST_WEIGHT, quantize_graph
from models.quantization.tensor_statistics import TensorStatistics
from models.runtime.load import load
from tests.models.graph.cases import Graph
from tests.models.quantization.network import folded, images

ROWS = np.random.default_rng(3).normal(size=(64, 6)).astype(np.float32)


def linear(opset: int = 20) -> onnx.ModelProto:
    g = Graph()
    return g.model(g.gemm(g.input(6), 6, 4), dtype=np.float32, opset=opset)


def tensors(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_a_linear_layer_by_hand() -> None:
    quantized = quantize_graph(linear(), measure(linear(), {"x": ROWS}))

    found = tensors(quantized.model)
    weight = next(value for name, value in found.items() if value.dtype == np.int8 and value.ndim == 2)
    bias = next(value for name, value in found.items() if value.dtype == np.int32 and "integers" in name)
    scales = next(value for name, value in found.items() if "weight.scale" in name).astype(np.float64)
    x_scale, zero = float(found["x.scale"]), int(found["x.zero_point"])
    q = np.clip(np.rint(ROWS / np.float32(x_scale)) + zero, 0, 255).astype(np.int64)
    expected = ((q - zero) @ weight.astype(np.int64) + bias) * (x_scale * scales)
    for optimize in (False, True):
        outputs = load(serialize(quantized.model), optimize=optimize)({"x": ROWS})
        np.testing.assert_allclose(next(iter(outputs.values())), expected, rtol=1e-5, atol=1e-5)
    exact = next(iter(load(serialize(linear()), optimize=False)({"x": ROWS}).values()))
    assert 0 < np.abs(exact - expected).max() < 0.15
    np.testing.assert_allclose(scales, np.abs(tensors(linear())["c0"]).max(axis=0) / LARGEST_WEIGHT, rtol=1e-6)
    assert np.abs(weight).max(axis=0).tolist() == [LARGEST_WEIGHT] * 4
    assert quantized.ranges["x"] == pytest.approx((ROWS.min(), ROWS.max()), abs=x_scale)


def test_a_residual_network_in_onnxruntime_and_in_the_reference() -> None:
    quantized = quantize_graph(folded(), measure(folded(), images(64)))
    rows = images(8, 5)

    (expected,) = ReferenceEvaluator(quantized.model).run(None, rows)

    assert (quantized.layers, dict(quantized.left)) == (4, {})
    (exact,) = load(serialize(folded()), optimize=False)(rows).values()
    spread = exact.std()
    for optimize in (False, True):
        (found,) = load(serialize(quantized.model), optimize=optimize)(rows).values()
        # Sums that lie between two integers are rounded either way, which is a step of one layer's output.
        assert np.abs(found - expected).max() < 0.03 * spread
    assert np.abs(expected - exact).max() < 0.2 * spread
    assert np.abs(expected - exact).max() > 1e-3 * spread


def test_the_mean_error_of_the_weights_is_taken_from_the_bias() -> None:
    rows = {"x": ROWS + 3}
    known = measure(linear(), rows)
    ignored = known | {"x": TensorStatistics(0 * known["x"].mean, known["x"].std, known["x"].low, known["x"].high)}
    exact, corrected, plain = (
        next(iter(load(serialize(model), optimize=False)(rows).values()))
        for model in (linear(), quantize_graph(linear(), known).model, quantize_graph(linear(), ignored).model)
    )

    assert np.abs((corrected - exact).mean(axis=0)).max() < 0.3 * np.abs((plain - exact).mean(axis=0)).max()


def test_zero_is_exact_and_weights_fit_into_seven_bits() -> None:
    quantized = quantize_graph(folded(), measure(folded(), images(64)))

    for low, high in quantized.ranges.values():
        assert low <= 0 <= high
        step = (high - low) / 255
        assert low / step == pytest.approx(round(low / step), abs=1e-6)
    weights = [value for value in tensors(quantized.model).values() if value.dtype == np.int8]
    assert max(np.abs(value.astype(int)).max() for value in weights) == LARGEST_WEIGHT
    assert 2 * 255 * LARGEST_WEIGHT < 2**15


def test_what_is_not_known_stays_float_with_the_reason() -> None:
    known = measure(folded(), images(64))
    without = {name: found for name, found in known.items() if name != "x"}

    quantized = quantize_graph(folded(), without)

    assert quantized.layers == 3
    assert list(quantized.left.values()) == ["the range of its input 'x' is not known"]
    with pytest.raises(GraphError, match="no layer of the graph can compute in 8 bits: Conv 'conv0'"):
        quantize_graph(folded(), {})
    with pytest.raises(GraphError, match="opset 12; 8 bits need 13"):
        quantize_graph(linear(12), measure(linear(12), {"x": ROWS}))
