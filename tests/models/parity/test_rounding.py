"""Tolerances follow from the network: deep ones pass, and faults of a single weight are found all the same."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from models.datatypes import Array
from models.errors import ParityError
from models.graph.fold import Folded, fold
from models.graph.load import serialize
from models.parity import rounding
from models.runtime.load import load
from tests.models.graph.cases import Graph
from tests.models.graph.oracle import reference
from tests.models.parity.watched import checked

DEPTH, WIDTH = 9, 24


def deep(dtype: type = np.float32) -> onnx.ModelProto:
    """A network whose layers amplify every difference: rounding in float32 grows far beyond 1e-5."""
    graph = Graph(seed=4)
    x = graph.input(WIDTH)
    for depth in range(DEPTH):
        x = graph.op("Gemm", x, graph.weight(WIDTH, WIDTH, name=f"w{depth}"), graph.weight(WIDTH, name=f"b{depth}"))
        graph.constant(graph.random.uniform(1.5, 2.5, WIDTH), f"bn{depth}.weight")
        graph.constant(graph.random.normal(size=WIDTH), f"bn{depth}.bias")
        graph.constant(graph.random.normal(size=WIDTH), f"bn{depth}.running_mean")
        graph.constant(np.full(WIDTH, 5.0), f"bn{depth}.running_var")
        x = graph.op("Tanh", graph.bn(x, WIDTH, f"bn{depth}"))
    return graph.model(x, dtype=dtype)


SOURCE = deep()
FOLDED = fold(SOURCE)


def faulty(tensor: str, change: Callable[[Array], None]) -> Folded:
    """The folded graph with a change in one of its tensors."""
    model = onnx.ModelProto()
    model.CopyFrom(FOLDED.model)
    found = next(each for each in model.graph.initializer if each.name == tensor)
    values = numpy_helper.to_array(found).copy()
    change(values)
    found.CopyFrom(numpy_helper.from_array(values, tensor))
    return Folded(model, FOLDED.norm_layers)


def flip_one(values: Array) -> None:
    values.flat[5] *= -1


def lose_one(values: Array) -> None:
    values.flat[7] = 0


def swap_channels(values: Array) -> None:
    values[..., [2, 3]] = values[..., [3, 2]]


def round_down(values: Array) -> None:
    values[...] = np.nextafter(values, -np.inf)


def test_a_deep_network_is_compared_within_its_own_rounding() -> None:
    parity = checked(SOURCE)

    assert parity.rounding is not None
    assert parity.rounding > 1e-5
    assert parity.tolerance == pytest.approx(rounding.FACTOR * parity.rounding)
    assert all(0 < (each.share_of_tolerance or 0) < 1 for each in parity.comparisons if "beside" not in each.candidate)
    with pytest.raises(ParityError, match="1e-05 is allowed"):
        checked(SOURCE, tolerance=1e-5)


def test_the_yardstick_is_the_error_of_the_source_graph_against_float64() -> None:
    rows = np.random.default_rng(8).normal(size=(64, WIDTH)).astype(np.float32)
    output = SOURCE.graph.output[0].name
    exact = reference(deep(np.float64), {"x": rows.astype(np.float64)}, [output])[output]
    run = load(serialize(SOURCE), optimize=False)
    own = np.abs(run({"x": rows})[output] - exact).max() / np.abs(exact).max()

    measured = rounding.measure([(run({"x": rows}), run(rounding.round_differently({"x": rows}, seed=0)))])[output]

    assert own / 5 < measured < own * 5


@pytest.mark.parametrize("depth", [0, DEPTH // 2, DEPTH - 1])
@pytest.mark.parametrize(
    ("kind", "fault"), [("w", flip_one), ("w", lose_one), ("w", swap_channels), ("b", lose_one), ("b", swap_channels)]
)
def test_a_fault_in_one_layer_is_found(depth: int, kind: str, fault: Callable[[Array], None]) -> None:
    with pytest.raises(ParityError, match="differs from source, unoptimized"):
        checked(SOURCE, faulty(f"{kind}{depth}", fault))


@pytest.mark.parametrize("depth", [0, DEPTH - 1])
def test_weights_that_round_differently_are_no_fault(depth: int) -> None:
    checked(SOURCE, faulty(f"w{depth}", round_down))


def test_a_fault_that_the_output_hides_is_found_at_its_layer() -> None:
    """Zeros after the layer: the network's output says nothing of it."""
    graph = Graph()
    hidden = graph.bn(graph.gemm(graph.input(4), 4, 3), 3)
    source = graph.model(graph.op("Gemm", hidden, graph.constant(np.zeros((3, 2)))), dtype=np.float32)
    folded = fold(source)
    model = onnx.ModelProto()
    model.CopyFrom(folded.model)
    tensor = next(each for each in model.graph.initializer if each.name == "c0")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.001), "c0"))

    with pytest.raises(ParityError, match="observed, unoptimized differs from source, unoptimized: 'moments of bn'"):
        checked(source, Folded(model, folded.norm_layers))
    checked(source)


def even_channels() -> onnx.ModelProto:
    """Channels with the same value at all of their positions, which onnxruntime adds up one after the other."""
    graph = Graph()
    pixels = graph.op("Conv", graph.input(8, 112, 112), graph.constant(np.zeros((16, 8, 1, 1)), "w"), graph.weight(16))
    return graph.model(graph.op("GlobalMaxPool", graph.bn(pixels, 16)), dtype=np.float32)


def test_the_sum_of_a_channel_of_equal_values_may_round_the_same_way_at_each_position() -> None:
    source = even_channels()

    checked(source)

    folded = fold(source)
    bias = next(each for each in folded.model.graph.initializer if list(each.dims) == [16])
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) * np.float32(1.0001), bias.name))
    with pytest.raises(ParityError, match="differs from source, unoptimized"):
        checked(source, folded)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_every_float_moves_to_its_neighbour(dtype: str) -> None:
    import ml_dtypes  # noqa: F401, PLC0415 - registers bfloat16

    values = np.ones(64, dtype)
    moved = rounding.round_differently({"x": values, "n": np.arange(3)}, seed=0)

    away = np.unique(np.abs(moved["x"].astype(np.float64) - 1))
    unit = float(np.nextafter(values[:1], np.full(1, np.inf, dtype)).astype(np.float64)[0] - 1)
    assert away.tolist() == [unit / 2, unit]  # below 1 numbers lie half as far apart
    assert moved["x"].dtype == values.dtype
    np.testing.assert_array_equal(moved["n"], np.arange(3))


@pytest.mark.parametrize(
    ("change", "bound"), [(0.0, 1e-5), (1e-7, 1e-5), (1e-4, 1e-3), (0.5, 0.1), (float("nan"), 1e-5)]
)
def test_a_tolerance_is_a_multiple_of_rounding_within_limits(change: float, bound: float) -> None:
    assert rounding.tolerance(change) == pytest.approx(bound)


def test_a_scalar_moves_as_well() -> None:
    moved = rounding.round_differently({"x": np.array(2.5, np.float32)}, 0)["x"]

    assert isinstance(moved, np.ndarray)
    assert (moved.shape, moved.dtype) == ((), np.float32)
    assert 0 < abs(float(moved) - 2.5) < 1e-6


def test_a_layer_may_have_several_rows_for_each_of_the_network() -> None:
    """As in levit: tokens of all rows are normalised as one batch."""
    graph = Graph()
    tokens = graph.op("MatMul", graph.input(6, 3), graph.weight(3, 4))
    normalized = graph.bn(graph.op("Reshape", tokens, graph.constant([-1, 4])), 4)
    rows = graph.op("Reshape", normalized, graph.constant([-1, 24]))

    checked(graph.model(graph.gemm(rows, 24, 2), dtype=np.float32))


@pytest.mark.parametrize(
    ("bound", "folded", "expected"), [(1e-5, 1e-7, 1e-5), (1e-5, 4e-6, 4e-5), (1e-5, 0.5, 1e-4), (1e-3, 0.5, 1e-3)]
)
def test_moments_may_differ_as_far_as_another_fold_moves_them(bound: float, folded: float, expected: float) -> None:
    assert rounding.moment_tolerance(bound, folded) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("between", "unit"),
    [(onnx.TensorProto.FLOAT16, 2.0**-10), (onnx.TensorProto.BFLOAT16, 2.0**-7), (onnx.TensorProto.DOUBLE, 0.0)],
)
def test_rows_move_as_far_as_the_narrowest_type_of_the_graph_shows(between: int, unit: float) -> None:
    """Keras' mixed precision: float32 outside, half precision inside. Neighbours in float32 would all be one there."""
    graph = Graph()
    x = graph.op("Cast", graph.input(4), to=between)
    model = graph.model(graph.op("Cast", x, to=onnx.TensorProto.FLOAT), dtype=np.float32)
    found = rounding.narrowest_unit(model)
    rows = {"x": np.linspace(1, 2, 64, dtype=np.float32)}
    moved = rounding.round_differently(rows, 0, found)["x"]

    assert found == unit
    assert moved.dtype == np.float32
    np.testing.assert_allclose(np.abs(moved / rows["x"] - 1), unit, rtol=0, atol=2.0**-22)
    assert (np.abs(moved - rows["x"]) >= np.spacing(rows["x"]) / 2).all()
