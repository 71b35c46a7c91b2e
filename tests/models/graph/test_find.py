"""Layers are found with their numbers and names, and those that cannot be served are refused with a remedy."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from models.batchnorm import normalize
from models.errors import GraphError, MissingStatistics, TrainingModeGraph
from models.graph.find import find
from models.graph.load import parse
from tests.models.graph.cases import Graph
from tests.models.graph.oracle import error, feeds, reference

KEYS = ("weight", "bias", "running_mean", "running_var")


def named_layer(*names: str, node: str = "node") -> onnx.ModelProto:
    """A graph of one layer whose parameters have these names."""
    graph = Graph()
    parameters = [graph.positive(3, name=name) for name in names]
    return graph.model(graph.op("BatchNormalization", graph.input(3), *parameters, name=node))


def test_a_layer_is_found_with_its_numbers() -> None:
    graph = Graph()
    source = graph.model(graph.bn(graph.input(3, 4), 3, epsilon=0.25, momentum=0.75))
    (layer,) = find(source)
    given = feeds(source, 5)
    expected = reference(source, given, ["bn_0_out"])["bn_0_out"]

    assert (layer.name, layer.input, layer.output, layer.eps, layer.momentum) == ("bn", "x", "bn_0_out", 0.25, 0.75)
    assert error(expected, normalize(given["x"], layer.mean, layer.var, layer.gamma, layer.beta, layer.eps)) < 1e-12
    for key, value in zip(KEYS, (layer.gamma, layer.beta, layer.mean, layer.var), strict=True):
        np.testing.assert_array_equal(graph.constants[f"bn.{key}"], value)


@pytest.mark.parametrize(
    ("names", "node", "expected"),
    [
        ([f"layer1.0.bn1.{key}" for key in KEYS], "node", "layer1.0.bn1"),
        (["val_3", "val_4", "bn.running_mean", "bn.running_var"], "node", "bn"),
        (["stem/bn/gamma", "stem/bn/beta", "stem/bn/moving_mean", "stem/bn/moving_variance"], "node", "stem.bn"),
        (["bn1_gamma", "bn1_beta", "bn1_moving_mean", "bn1_moving_var"], "node", "bn1"),
        (["val_6", "val_7", "val_8", "val_9"], "/features/3/BatchNormalization", "features.3.BatchNormalization"),
        (["onnx::Mul_5", "onnx::Mul_6", "onnx::Mul_7", "onnx::Mul_8"], "norm", "norm"),
        (["scale", "B", "mean", "var"], "", "BatchNormalization"),
    ],
)
def test_a_layer_is_called_what_its_parameters_share(names: list[str], node: str, expected: str) -> None:
    source = named_layer(*names, node=node)
    source.graph.node[0].name = node

    assert [expected] == [layer.name for layer in find(source)]


def test_a_layer_that_runs_twice_is_found_twice() -> None:
    graph = Graph()
    once = graph.op("Relu", graph.bn(graph.input(3), 3))
    source = graph.model(graph.bn(graph.op("Relu", graph.bn(once, 3)), 3))

    assert [layer.name for layer in find(source)] == ["bn", "bn#2", "bn#3"]


def test_parameters_may_be_constant_nodes_and_identities() -> None:
    graph = Graph()
    values = {key: np.full(3, value) for key, value in zip(KEYS, (1.0, 2.0, 3.0, 4.0), strict=True)}
    parameters = [
        graph.op("Identity", graph.op("Constant", value=numpy_helper.from_array(value))) for value in values.values()
    ]
    source = graph.model(graph.op("BatchNormalization", graph.input(3), *parameters, name="norm"))
    (layer,) = find(source)

    assert layer.name == "norm"
    assert [value[0] for value in (layer.gamma, layer.beta, layer.mean, layer.var)] == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("opset", [12, 20])
def test_training_mode_is_refused(opset: int) -> None:
    graph = Graph()
    extra = {"training_mode": 1} if opset == 20 else {}
    source = graph.model(graph.bn(graph.input(3), 3, outputs=3 if opset == 20 else 5, **extra), opset=opset)

    with pytest.raises(TrainingModeGraph, match=r"layer 'bn' is in training mode.*model\.eval\(\)"):
        find(source)


def test_batch_statistics_are_refused() -> None:
    """What torch exports for track_running_stats=False: the mean is computed from the rows of the batch."""
    graph = Graph()
    x = graph.input(3)
    mean = graph.op("ReduceMean", x, graph.constant([0]), keepdims=0, name="batch_mean")
    parameters = [graph.weight(3, name="bn.weight"), graph.weight(3, name="bn.bias"), mean, graph.positive(3)]
    source = graph.model(graph.op("BatchNormalization", x, *parameters, name="bn"))

    with pytest.raises(
        MissingStatistics,
        match=r"layer 'bn': the running mean is computed by ReduceMean 'batch_mean'.*track_running_stats=True",
    ):
        find(source)


def test_a_computed_scale_is_refused() -> None:
    graph = Graph()
    scale = graph.op("Sin", graph.weight(3), name="sin")
    parameters = [scale, *(graph.positive(3, name=f"bn.{key}") for key in KEYS[1:])]
    source = graph.model(graph.op("BatchNormalization", graph.input(3), *parameters))

    with pytest.raises(GraphError, match="layer 'bn': the scale is computed by Sin 'sin', not stored"):
        find(source)


def test_statistics_that_callers_may_replace_are_refused() -> None:
    """Before IR version 4 every initializer was also an input of the graph."""
    graph = Graph()
    source = graph.model(graph.bn(graph.input(3), 3), ir_version=3, opset=8)
    for name in graph.constants:
        source.graph.input.append(helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, [3]))
    parse(source.SerializeToString())

    with pytest.raises(GraphError, match="layer 'bn': the scale is an input of the graph, not stored"):
        find(source)


def test_a_missing_initializer_is_refused() -> None:
    source = named_layer(*[f"bn.{key}" for key in KEYS])
    del source.graph.initializer[3]

    with pytest.raises(MissingStatistics, match="the running variance is missing"):
        find(source)


def spoil(index: int, value: float, size: int = 3) -> Callable[[onnx.ModelProto], None]:
    def change(source: onnx.ModelProto) -> None:
        tensor = source.graph.initializer[index]
        tensor.CopyFrom(numpy_helper.from_array(np.full(size, value), tensor.name))

    return change


def set_attribute(name: str, value: float) -> Callable[[onnx.ModelProto], None]:
    def change(source: onnx.ModelProto) -> None:
        source.graph.node[0].attribute.append(helper.make_attribute(name, value))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil(2, np.nan), "layer 'bn': the running mean has a value that is not finite"),
        (spoil(3, -1.0), "layer 'bn': epsilon must be positive and no variance negative"),
        (spoil(1, 1.0, size=2), r"layer 'bn': its parameters have \[3, 2, 3, 3\] channels"),
        (lambda source: [spoil(index, 1.0, size=0)(source) for index in range(4)], "layer 'bn' has no channels"),
        (set_attribute("epsilon", 0.0), "layer 'bn': epsilon must be positive"),
        (set_attribute("spatial", 0), "layer 'bn' keeps statistics per position"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(change: Callable[[onnx.ModelProto], None], message: str) -> None:
    source = named_layer(*[f"bn.{key}" for key in KEYS])
    change(source)

    with pytest.raises(GraphError, match=message):
        find(source)


def test_a_layer_in_a_subgraph_is_refused() -> None:
    inner = named_layer(*[f"bn.{key}" for key in KEYS], node="inner").graph
    del inner.input[:]
    graph = Graph()
    graph.input(3)
    condition = graph.constant(np.array(1, dtype=bool))
    source = graph.model(graph.op("If", condition, then_branch=inner, else_branch=inner, name="choose"))

    with pytest.raises(
        GraphError, match="BatchNormalization 'inner' is inside If 'choose': subgraphs are not supported"
    ):
        find(source)


def test_a_layer_in_a_function_is_refused() -> None:
    graph = Graph()
    source = graph.model(graph.op("Relu", graph.input(3)))
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], name="inner")
    opset = [helper.make_opsetid("", 20)]
    source.functions.append(helper.make_function("local", "Block", ["x", "s", "b", "m", "v"], ["y"], [node], opset))

    with pytest.raises(GraphError, match="BatchNormalization 'inner' is inside function 'Block' of the file"):
        find(source)


def test_a_namesake_from_a_custom_domain_is_no_layer() -> None:
    source = named_layer(*[f"bn.{key}" for key in KEYS])
    source.graph.node[0].domain = "com.example"
    relu = helper.make_node("Relu", ["x"], ["y"])
    source.functions.append(helper.make_function("local", "Plain", ["x"], ["y"], [relu], source.opset_import))

    assert find(source) == ()
