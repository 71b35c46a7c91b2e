"""Statistics from batch normalisation alone, beside closed forms and beside those that rows show."""

import math

import numpy as np
import pytest

from models.graph.fold import fold
from models.quantization.expected import SIGMAS, expect
from models.quantization.measured import measure
from tests.models.graph.cases import Graph
from tests.models.quantization.network import PIXELS, bundle, folded, images


def test_a_rectified_normal_has_its_closed_form() -> None:
    g = Graph()
    source = g.model(g.op("Relu", g.bn(g.conv(g.input(2, 5, 5), 2, 6), 6)), dtype=np.float32)
    made = fold(source)

    found = expect(made.model, made.norm_layers)

    (layer,) = made.norm_layers
    rectified, before = found[made.model.graph.output[0].name], found[layer.placement.tensor]
    variance = np.array(layer.running_var)
    mean, std = np.array(layer.beta), np.abs(layer.gamma) * np.sqrt(variance / (variance + layer.eps))
    np.testing.assert_allclose(before.mean, mean)
    np.testing.assert_allclose([before.low, before.high], [mean - SIGMAS * std, mean + SIGMAS * std])
    density = np.exp(-((mean / std) ** 2) / 2) / math.sqrt(2 * math.pi)
    below = np.array([(1 + math.erf(value)) / 2 for value in mean / std / math.sqrt(2)])
    first = mean * below + std * density
    second = (mean**2 + std**2) * below + mean * std * density
    np.testing.assert_allclose(rectified.mean, first, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(rectified.std, np.sqrt(second - first**2), rtol=1e-3)
    np.testing.assert_allclose(rectified.low, np.maximum(before.low, 0))
    np.testing.assert_allclose(rectified.high, np.maximum(before.high, 0))


def test_they_are_near_those_that_rows_show() -> None:
    expected = expect(folded(), bundle().manifest.norm_layers, PIXELS)
    measured = measure(folded(), images(256, 1))

    assert set(expected) == set(measured)
    for layer in bundle().manifest.norm_layers:
        tensor = layer.placement.tensor
        np.testing.assert_allclose(expected[tensor].mean, measured[tensor].mean, atol=0.02)
        np.testing.assert_allclose(expected[tensor].std, measured[tensor].std, rtol=0.02, atol=0.02)
    for tensor in expected:
        low, high = measured[tensor].range
        assert expected[tensor].low.min() <= low + 0.25 * abs(low), tensor
        # The branches of a sum are taken as independent, and are not quite.
        assert 0.95 * high <= expected[tensor].high.max() <= 10 * high, tensor
    assert expected["x"].range == pytest.approx((-3, 3))


def test_without_layers_nothing_follows() -> None:
    assert not expect(folded(), ())


def test_measured_statistics_are_those_of_numpy() -> None:
    rows = images(37)

    found = measure(folded(), rows)["x"]

    pixels = rows["x"].astype(np.float64)
    assert found.mean == pytest.approx(pixels.mean())
    assert found.std == pytest.approx(pixels.std())
    assert found.range == (pixels.min(), pixels.max())
