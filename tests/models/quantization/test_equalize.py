"""Equalised channels: the same function, and ranges that match the weights which read them."""

import numpy as np
import onnx

from models.graph.load import serialize
from models.quantization.equalize import MAX_FACTOR, equalize
from models.quantization.measured import measure
from models.runtime.load import load
from tests.models.graph.cases import Graph

ROWS = {"x": np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)}


def two_layers(*, read_twice: bool = False) -> onnx.ModelProto:
    """Two linear layers with a rectifier between; the first has outputs of very different sizes."""
    g = Graph()
    first = g.op("Gemm", g.input(4), g.constant(g.random.normal(size=(4, 6)) * np.geomspace(0.2, 5, 6)), g.weight(6))
    middle = g.op("Relu", first)
    last = g.gemm(middle, 6, 3)
    return g.model(*((last, middle) if read_twice else (last,)), dtype=np.float32)


def weights_of(model: onnx.ModelProto, name: str) -> np.ndarray:
    return onnx.numpy_helper.to_array(next(tensor for tensor in model.graph.initializer if tensor.name == name))


def test_the_function_stays_and_the_ranges_match_the_weights() -> None:
    model = two_layers()

    equalized, factors = equalize(model, measure(model, ROWS))

    before, after = (next(iter(load(serialize(each), optimize=False)(ROWS).values())) for each in (model, equalized))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    assert set(factors) == {"gemm0_out", "relu1_out"}
    assert all(found.max() / found.min() <= MAX_FACTOR**2 for found in factors.values())
    magnitude = measure(equalized, ROWS)["relu1_out"].magnitude
    weights = np.abs(weights_of(equalized, "c2")).max(axis=1)
    np.testing.assert_allclose(magnitude / weights, (magnitude / weights).mean(), rtol=1e-4)
    unequal = measure(model, ROWS)["relu1_out"].magnitude / np.abs(weights_of(model, "c2")).max(axis=1)
    assert unequal.max() / unequal.min() > 3


def test_statistics_follow_the_factors() -> None:
    model = two_layers()
    before = measure(model, ROWS)

    equalized, factors = equalize(model, before)

    after = measure(equalized, ROWS)
    for tensor in factors:
        scaled = before[tensor].scaled(factors[tensor])
        for field in ("mean", "std", "low", "high"):
            np.testing.assert_allclose(getattr(scaled, field), getattr(after[tensor], field), rtol=1e-4, atol=1e-5)


def test_a_tensor_that_is_read_elsewhere_is_left_alone() -> None:
    model = two_layers(read_twice=True)

    equalized, factors = equalize(model, measure(model, ROWS))

    assert not factors
    assert serialize(equalized) == serialize(model)
