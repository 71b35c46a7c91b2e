"""What the adaptive graph returns for some rows: `models.recalibration.adaptation`, against numpy."""

import numpy as np
import pytest
from onnx import numpy_helper

from models.errors import InvalidInput
from models.graph.find import find
from models.graph.load import parse
from models.recalibration.adaptation import AdaptiveNetwork
from models.runtime.load import load
from tests.bundles import INPUT, NORM, OUTPUT, tiny_bundle

BUNDLE = tiny_bundle()
SOURCE = parse(BUNDLE.source)
ROWS = {INPUT: np.random.default_rng(0).normal(1.0, 2.0, size=(200, 4)).astype(np.float32)}


def layer_inputs() -> np.ndarray:
    """The inputs of the only layer, shape (rows, 3)."""
    weights = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in SOURCE.graph.initializer}
    return ROWS[INPUT] @ weights["fc.weight"].T + weights["fc.bias"]


def test_a_prior_weight_of_1_is_the_network_itself() -> None:
    found = AdaptiveNetwork(SOURCE).run(ROWS, 1.0)
    (layer,) = find(SOURCE)

    np.testing.assert_allclose(found.outputs[OUTPUT], load(BUNDLE.source, optimize=True)(ROWS)[OUTPUT], rtol=1e-5)
    np.testing.assert_allclose(found.mixed[NORM].mean, layer.mean, rtol=1e-6)
    np.testing.assert_allclose(found.mixed[NORM].var, layer.var, rtol=1e-6)


@pytest.mark.parametrize("prior_weight", [0.0, 0.3, 1.0])
def test_statistics_are_those_of_the_rows_mixed_with_the_stored_ones(prior_weight: float) -> None:
    found = AdaptiveNetwork(SOURCE).run(ROWS, prior_weight)
    (layer,) = find(SOURCE)
    x = layer_inputs()

    np.testing.assert_allclose(found.batch[NORM].mean, x.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found.batch[NORM].var, x.var(axis=0), rtol=1e-4)
    mixed = prior_weight * layer.mean + (1 - prior_weight) * x.mean(axis=0)
    np.testing.assert_allclose(found.mixed[NORM].mean, mixed, rtol=1e-4, atol=1e-6)


def test_without_a_weight_every_layer_estimates_its_own() -> None:
    network = AdaptiveNetwork(SOURCE)
    found, given = network.run(ROWS), network.run(ROWS, 0.3)
    (layer,) = find(SOURCE)
    x = layer_inputs()
    error = (x.var(axis=0, ddof=1) / len(x) / (layer.var + layer.eps)).mean()
    distance = ((x.mean(axis=0) - layer.mean) ** 2 / (layer.var + layer.eps)).mean()

    weights = found.weights[NORM]
    assert weights.mean == pytest.approx(error / distance, rel=1e-3)
    mixed = weights.mean * layer.mean + (1 - weights.mean) * x.mean(axis=0)
    np.testing.assert_allclose(found.mixed[NORM].mean, mixed, rtol=1e-4, atol=1e-6)
    mixed_var = weights.variance * layer.var + (1 - weights.variance) * x.var(axis=0)
    np.testing.assert_allclose(found.mixed[NORM].var, mixed_var, rtol=1e-3)
    assert given.weights[NORM].mean == given.weights[NORM].variance == pytest.approx(0.3)


def test_the_divergence_is_that_from_the_reference_with_its_epsilon() -> None:
    network = AdaptiveNetwork(SOURCE)
    found = network.run(ROWS, 1.0)
    (layer,) = find(SOURCE)
    x = layer_inputs()
    variance = layer.var + layer.eps
    squared = np.square(x.mean(axis=0) - layer.mean)
    expected = ((x.var(axis=0) + squared) / variance + (variance + squared) / x.var(axis=0) - 2) / 4

    assert network.divergence(found.batch, found.mixed) == pytest.approx(expected.mean(), rel=1e-3)
    assert network.divergence(found.batch, found.batch) < 1e-9


def test_rows_that_the_network_cannot_compute_are_refused() -> None:
    """Such as negative numbers, for a network that takes a logarithm."""
    rows = {INPUT: ROWS[INPUT].copy()}
    rows[INPUT][7] = np.inf

    with pytest.raises(
        InvalidInput, match=f"^rows: the network computes NaN or infinity of some, first at layer '{NORM}'"
    ):
        AdaptiveNetwork(SOURCE).run(rows)
