"""The comparison of graphs, and above all that it fails when it should."""

import numpy as np
import pytest

from models.datatypes import Arrays, Run
from models.errors import GraphError, ParityError
from models.graph.fold import fold
from models.graph.load import serialize
from models.manifest import Parity
from models.parity.check import WatchedGraph, check
from models.runtime.load import load
from models.runtime.specs import specs
from tests.bundles import INPUT, OUTPUT, tiny_bundle
from tests.graphs import changed, linear_norm

SOURCE = linear_norm()
FOLDED = fold(SOURCE).model


def compared(source: bytes, folded: bytes, oracle: Run | None = None, real: Arrays | None = None) -> Parity:
    return check(WatchedGraph(source), folded, WatchedGraph(folded), specs(source)[0], oracle, real)


def zeros(inputs: Arrays) -> Arrays:
    return {"y": np.zeros((len(inputs["x"]), 3))}


def test_a_graph_and_its_fold_agree_within_float32_rounding() -> None:
    report = compared(serialize(SOURCE), serialize(FOLDED))

    assert [(comparison.reference, comparison.candidate) for comparison in report.comparisons] == [
        ("source, unoptimized", "source, unoptimized, beside other rows"),
        ("source, unoptimized", "folded, unoptimized"),
        ("folded, unoptimized", "folded, unoptimized, beside other rows"),
        ("source, unoptimized", "folded, optimized"),
        ("folded, optimized", "folded, optimized, beside other rows"),
        ("source, unoptimized", "observed, optimized"),
        ("observed, optimized", "observed, optimized, beside other rows"),
    ]
    assert max(comparison.max_relative for comparison in report.comparisons) < 2e-6
    assert report.rows == 1 + 3 + 17


def test_real_rows_are_compared_as_well() -> None:
    bundle = tiny_bundle()
    seen = []

    def oracle(inputs: Arrays) -> Arrays:
        seen.append(inputs[INPUT])
        return load(bundle.source, optimize=False)(inputs)

    real = np.random.default_rng(7).normal(size=(100, 4)).astype(np.float32)
    report = compared(bundle.source, bundle.folded, oracle, {INPUT: real})

    assert report.rows == 1 + 3 + 17 + 32
    np.testing.assert_array_equal(seen[-1], real[:32])
    assert report.comparisons[0].reference == "torch, float64"
    assert OUTPUT not in report.comparisons[0].candidate


def test_an_oracle_that_says_something_else_is_an_error_that_names_the_pair() -> None:
    with pytest.raises(ParityError, match=r"source, unoptimized differs from torch, float64: 'y' by"):
        compared(serialize(SOURCE), serialize(FOLDED), zeros)


@pytest.mark.parametrize("tensor", ["weight", "bias"])
@pytest.mark.parametrize("factor", [0.0, 1.001, 1.0001, float("nan"), float("inf")])
def test_a_wrong_weight_is_an_error(tensor: str, factor: float) -> None:
    name = next(t.name for t in FOLDED.graph.initializer if tensor in t.name)

    with pytest.raises(ParityError, match="folded, unoptimized differs from source, unoptimized"):
        compared(serialize(SOURCE), changed(FOLDED, name, factor))


def test_the_bias_before_the_fold_is_an_error() -> None:
    unfolded = fold(SOURCE).model
    bias = next(tensor for tensor in unfolded.graph.initializer if "bias" in tensor.name)
    bias.CopyFrom(next(tensor for tensor in SOURCE.graph.initializer if tensor.name == "bias"))
    bias.name = next(tensor.name for tensor in FOLDED.graph.initializer if "bias" in tensor.name)

    with pytest.raises(ParityError):
        compared(serialize(SOURCE), serialize(unfolded))


def test_a_graph_in_training_mode_is_an_error() -> None:
    training = serialize(linear_norm("training_mode = 1", outputs="y, new_mean, new_var"))

    with pytest.raises(ParityError):
        compared(training, training)


def test_rows_that_depend_on_each_other_are_an_error_even_where_all_graphs_agree() -> None:
    leaking = linear_norm(final="total = ReduceMean <keepdims = 1> (normalized, axes)  y = Sub(normalized, total)")
    leaking.graph.initializer.add(name="axes", data_type=7, dims=[1], int64_data=[0])

    with pytest.raises(ParityError, match="beside other rows differs from source, unoptimized"):
        compared(serialize(leaking), serialize(leaking))


def test_outputs_of_another_shape_are_an_error() -> None:
    summed = linear_norm(final="y = ReduceSum <keepdims = 1> (normalized, axes)")
    summed.graph.initializer.add(name="axes", data_type=7, dims=[1], int64_data=[1])
    summed.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1

    with pytest.raises(ParityError, match=r"shape \(1, 1\) where source, unoptimized has \(1, 3\)"):
        compared(serialize(SOURCE), serialize(summed))


def test_a_graph_that_cannot_run_on_other_batch_sizes_is_an_error() -> None:
    fixed = linear_norm(final="known_late = Identity(shape)  y = Reshape(normalized, known_late)")
    fixed.graph.initializer.add(name="shape", data_type=7, dims=[2], int64_data=[1, 3])

    with pytest.raises(GraphError, match="cannot run the graph on inputs of shapes"):
        compared(serialize(fixed), serialize(fixed))


@pytest.mark.parametrize(("takes", "gives"), [("bfloat16", "bfloat16"), ("string", "string"), ("string", "float")])
def test_a_difference_is_seen_in_any_type(takes: str, gives: str) -> None:
    source = linear_norm(takes=takes, gives=gives)

    with pytest.raises(ParityError, match="differs"):
        compared(serialize(source), changed(source, "gamma", 1.1))
    compared(serialize(source), serialize(source))
