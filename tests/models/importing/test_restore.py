"""Layers that an exporter merged or decomposed, put back as nodes."""

import numpy as np
import onnx
import pytest

from models.datatypes import Array
from models.graph.find import FoundLayer, find
from models.graph.fold import fold
from models.graph.load import serialize
from models.importing.restore import restore
from models.importing.trained import TrainedLayer, TrainedParameters
from models.runtime.load import load
from tests.models.importing.trained_network import EPS, Graph, layer, scale_shift, trained, weight

BN = layer("block.bn", 4, seed=1)
SCALE, SHIFT = scale_shift(BN)


def restored(model: onnx.ModelProto, parameters: TrainedParameters) -> tuple[onnx.ModelProto, tuple[FoundLayer, ...]]:
    """The graph with its layers, which computes the same."""
    found = restore(model, parameters)
    onnx.checker.check_model(found.model, full_check=True)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    rows = {"x": np.random.default_rng(5).normal(size=(3, *shape)).astype(np.float32)}
    expected, actual = (load(serialize(graph), optimize=False)(rows)["y"] for graph in (model, found.model))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    return found.model, find(found.model)


def assert_is(found: FoundLayer, expected: TrainedLayer) -> None:
    for name in ("gamma", "beta", "mean", "var"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert (found.name, np.float32(found.eps), round(found.momentum, 6)) == (expected.name, np.float32(EPS), 0.99)


def column(values: Array, rank: int = 4) -> Array:
    return values.reshape(1, -1, *[1] * (rank - 2))


MEAN, BETA = BN.mean.astype(np.float32), BN.beta.astype(np.float32)
ARITHMETIC = {
    "Sub, Mul, Add, channels first": (
        (4, 5, 5),
        [("Sub", column(MEAN)), ("Mul", column(SCALE)), ("Add", column(BETA))],
    ),
    "Sub, Mul, Add, channels last": ((5, 5, 4), [("Sub", MEAN), ("Mul", SCALE), ("Add", BETA)]),
    "Mul, Add of features": ((4,), [("Mul", SCALE), ("Add", SHIFT)]),
    "Mul, Sub": ((4,), [("Mul", SCALE), ("Sub", -SHIFT)]),
    "Sub, Div, Add": ((3, 4), [("Sub", MEAN), ("Div", 1 / SCALE), ("Add", BETA)]),
}


@pytest.mark.parametrize("case", ARITHMETIC)
def test_arithmetic_per_channel_becomes_a_node(case: str) -> None:
    shape, steps = ARITHMETIC[case]
    graph = Graph(shape)
    for op_type, constant in steps:
        graph.op(op_type, constant)

    model, layers = restored(graph.model(), trained(BN))

    assert_is(layers[0], BN)
    kinds = [node.op_type for node in model.graph.node]
    assert not {"Sub", "Mul", "Add", "Div"} & set(kinds)
    assert ("Transpose" in kinds) == (shape[0] != 4)


def test_casts_between_the_steps_are_passed() -> None:
    graph = Graph((4,)).op("Sub", MEAN).op("Cast", to=1).op("Mul", SCALE).op("Add", BETA)

    assert_is(restored(graph.model(), trained(BN))[1][0], BN)


@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_in_the_weights_of_a_convolution_is_taken_out_with_the_original_bits(bias: bool) -> None:
    original, before = weight(4, 3, 3, 3), weight(4, seed=2) if bias else np.zeros(4, np.float32)
    merged = Graph((3, 6, 6)).op("Conv", original * SCALE[:, None, None, None], before * SCALE + SHIFT).op("Relu")
    parameters = trained(BN, **{"block.conv.weight": (original, before) if bias else original})

    model, layers = restored(merged.model(), parameters)

    assert_is(layers[0], BN)
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    np.testing.assert_array_equal(stored["c0"], original)
    assert [found.placement.kind for found in fold(model).norm_layers] == ["folded_back"]


def test_a_shift_that_is_added_behind_a_transpose_is_taken_out_too() -> None:
    """TensorFlow merges the scale into the kernel, and tf2onnx may leave the shift in an Add on the last axis."""
    original = weight(4, 3, 3, 3)
    graph = Graph((3, 6, 6)).op("Conv", original * SCALE[:, None, None, None])
    graph.op("Transpose", perm=[0, 2, 3, 1]).op("Add", SHIFT).op("Relu")

    model, layers = restored(graph.model(), trained(BN, weight=original))

    assert_is(layers[0], BN)
    assert "Add" not in {node.op_type for node in model.graph.node}
    assert [found.placement.kind for found in fold(model).norm_layers] == ["folded_back"]


def test_linear_and_transposed_layers_too() -> None:
    linear, transposed = weight(4, 6), weight(6, 2, 3, 3, seed=3)  # two groups of two output channels
    merged = {
        "Gemm": Graph((6,)).op("Gemm", (linear * SCALE[:, None]).T, SHIFT),
        "Gemm, transB": Graph((6,)).op("Gemm", linear * SCALE[:, None], SHIFT, transB=1),
        "ConvTranspose": Graph((6, 4, 4)).op(
            "ConvTranspose",
            (transposed.reshape(2, 3, 2, 3, 3) * SCALE.reshape(2, 1, 2, 1, 1)).reshape(transposed.shape),
            SHIFT,
            group=2,
        ),
    }

    for graph in merged.values():
        _, layers = restored(graph.model(), trained(BN, linear=linear, transposed=transposed))
        assert_is(layers[0], BN)


@pytest.mark.parametrize("eps", [1e-5, 1e-3, 2e-3])
def test_an_epsilon_that_the_file_does_not_have_is_found(eps: float) -> None:
    unknown = layer("bn", 8, seed=4, eps=None)
    graph = Graph((8,))
    for op_type, constant in zip(("Mul", "Add"), scale_shift(unknown, eps), strict=True):
        graph.op(op_type, constant)

    assert np.float32(restored(graph.model(), trained(unknown))[1][0].eps) == np.float32(eps)


def test_layers_are_told_apart_by_their_numbers() -> None:
    other = layer("block.other", 4, seed=9)
    graph = Graph((4,)).op("Mul", scale_shift(other)[0]).op("Add", scale_shift(other)[1])
    graph.op("Relu").op("Mul", SCALE).op("Add", SHIFT)

    assert [found.name for found in restored(graph.model(), trained(BN, other))[1]] == ["block.other", "block.bn"]


def test_of_equal_layers_each_is_used_once_near_the_weight_of_its_name() -> None:
    fresh = [TrainedLayer(f"block.bn{n}", np.ones(4), np.zeros(4), np.zeros(4), np.ones(4), eps=0.5) for n in (1, 2)]
    scale = np.float32(1 / np.sqrt(1.5))
    kernels = {f"block.conv{n}.weight": weight(4, 4, 1, 1, seed=n) for n in (1, 2)}
    graph = Graph((4, 2, 2)).op("Conv", kernels["block.conv2.weight"] * scale).op("Relu")
    graph.op("Conv", kernels["block.conv1.weight"] * scale)

    layers = restored(graph.model(), trained(*fresh, **kernels))[1]

    assert [found.name for found in layers] == ["block.bn2", "block.bn1"]


def test_a_layer_that_is_used_twice_is_put_back_twice() -> None:
    graph = Graph((4,)).op("Mul", SCALE).op("Add", SHIFT).op("Relu").op("Mul", SCALE).op("Add", SHIFT)

    layers = restored(graph.model(), trained(BN))[1]

    assert [found.name for found in layers] == ["block.bn", "block.bn#2"]


def test_a_layer_that_is_in_the_graph_already_is_left_and_one_that_is_nowhere_is_missing() -> None:
    lost = layer("lost", 4, seed=9)
    graph = Graph((4,)).op("BatchNormalization", BN.gamma, BN.beta, BN.mean, BN.var, epsilon=EPS).op("Relu")

    found = restore(graph.model(), trained(BN, lost))

    assert (found.layers, found.missing) == ((), ("lost",))


@pytest.mark.parametrize("factor", [1 + 1e-4, 1.5])
def test_other_numbers_are_not_recognised(factor: float) -> None:
    """The negative control: a weight, a scale or a shift that differs by a ten-thousandth is of another network."""
    original = weight(4, 3, 3, 3)
    wrong = original * SCALE[:, None, None, None]
    wrong[1, 2, 0, 1] *= factor
    for graph in (
        Graph((3, 6, 6)).op("Conv", wrong, SHIFT),
        Graph((3, 6, 6)).op("Conv", original * SCALE[:, None, None, None], SHIFT * factor),
        Graph((4,)).op("Mul", SCALE * factor).op("Add", SHIFT),
        Graph((4,)).op("Mul", SCALE).op("Add", SHIFT * factor),
    ):
        assert restore(graph.model(), trained(BN, weight=original)).missing == ("block.bn",)
