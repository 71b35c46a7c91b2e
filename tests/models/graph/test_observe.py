"""The observed graph predicts what the folded graph predicts, and tells of every layer what an oracle finds there."""

import numpy as np
import onnx
import pytest

from models.graph.find import find
from models.graph.fold import Folded, fold
from models.graph.load import serialize
from models.graph.observe import observe
from models.observation import ObservationReader, RowStatistics, mean_output, square_output, variance_output
from tests.models.graph.cases import CASES, Case, Graph
from tests.models.graph.oracle import Array, error, feeds, reference, runtime

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def names(model: onnx.ModelProto) -> list[str]:
    return [value.name for value in model.graph.output]


def read(folded: Folded, given: dict[str, Array]) -> dict[str, RowStatistics]:
    observed = observe(folded.model, folded.norm_layers)
    return ObservationReader(folded.norm_layers, names(observed)).read(runtime(observed, given, names(observed)))


def expected(source: onnx.ModelProto, given: dict[str, Array]) -> dict[str, RowStatistics]:
    """In float64, from the outputs of the source graph's own layers."""
    layers = find(source)
    outputs = reference(source, given, [layer.output for layer in layers])
    found = {}
    for layer in layers:
        y = np.moveaxis(outputs[layer.output], 1, -1).reshape(len(outputs[layer.output]), -1, len(layer.gamma))
        spread = np.abs(layer.gamma)
        z = (y - layer.beta) / np.maximum(spread, 1e-3 * np.median(spread))
        found[layer.name] = RowStatistics(z.mean(axis=1), np.square(z).mean(axis=1))
    return found


@every_case
def test_every_layer_is_observed_as_the_source_graph_has_it(case: Case) -> None:
    exact = case.model()
    single = case.model(np.float32)
    given = feeds(exact, 5)

    found = read(fold(single), feeds(single, 5))
    wanted = expected(exact, given)

    assert found.keys() == wanted.keys()
    for name, rows in wanted.items():
        np.testing.assert_allclose(found[name].mean, rows.mean, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found[name].mean_square, rows.mean_square, rtol=1e-4, atol=1e-4)


@every_case
def test_predictions_are_those_of_the_folded_graph(case: Case) -> None:
    folded = fold(case.model(np.float32))
    before = serialize(folded.model)
    observed = observe(folded.model, folded.norm_layers)
    given = feeds(folded.model, 5)

    own = names(folded.model)
    kinds = mean_output, square_output, variance_output
    observations = {output(layer.name) for layer in folded.norm_layers for output in kinds}
    assert [name for name in names(observed) if name not in observations] == own
    assert serialize(folded.model) == before
    plain, watched = runtime(folded.model, given, own), runtime(observed, given, own)
    assert max(error(plain[name], watched[name]) for name in own) < 1e-6
    onnx.checker.check_model(observed, full_check=True)


def test_another_layers_rows_would_be_noticed() -> None:
    case = CASES["bn_conv_bn"]
    single = case.model(np.float32)
    found = read(fold(single), feeds(single, 5))
    wanted = expected(case.model(), feeds(case.model(), 5))
    first, second = wanted

    shape = found[first].mean.shape
    assert wanted[second].mean.shape != shape or not np.allclose(found[first].mean, wanted[second].mean, atol=1e-2)


def far_from_zero() -> onnx.ModelProto:
    """A kept layer whose output lies a thousand standard deviations from zero."""
    g = Graph()
    x = g.input(4, 6, 6)
    g.constant(np.ones(4), "bn.weight")
    g.constant(np.full(4, 1e3), "bn.bias")
    g.constant(np.zeros(4), "bn.running_mean")
    g.constant(np.ones(4), "bn.running_var")
    return g.model(g.op("Relu", g.bn(x, 4)), dtype=np.float32)


def test_a_large_mean_costs_no_digits_of_the_variance() -> None:
    source = far_from_zero()
    folded = fold(source)
    given = feeds(source, 8)
    observed = observe(folded.model, folded.norm_layers)
    assert variance_output("bn") in names(observed)

    rows = read(folded, given)["bn"]
    x = given["x"].astype(np.float64).reshape(8, 4, -1)
    z = x / np.sqrt(1 + 1e-3)
    np.testing.assert_allclose(rows.mean_square - rows.mean**2, z.var(axis=2), rtol=1e-3)

    y = (z + 1e3).astype(np.float32)
    naive = np.square(y).mean(axis=2) - np.square(y.mean(axis=2))
    assert not np.allclose(naive, z.var(axis=2), rtol=1e-3)
