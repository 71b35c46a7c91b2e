"""Folding keeps the function, empties the graph of layers, and leaves each layer's output readable."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from models.errors import GraphError
from models.graph.find import find
from models.graph.fold import Folded, fold
from models.graph.folding import backward, forward
from models.graph.folding.passing import PASSING
from models.graph.load import serialize
from models.manifest import Placement
from tests.models.graph.cases import CASES, Case, Graph
from tests.models.graph.oracle import Array, error, feeds, reference, runtime

EXACT = 1e-10
SINGLE = 1e-5
Run = Callable[[onnx.ModelProto, Mapping[str, Array], Sequence[str]], dict[str, Array]]

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def layer_output(placement: Placement, tensors: Mapping[str, Array]) -> Array:
    """The layer's output, as a reader of the manifest computes it."""
    value = tensors[placement.tensor].astype(np.float64)
    if placement.scale is None:
        return value
    shape = [1] * value.ndim
    shape[placement.axis] = -1
    return np.reshape(placement.scale, shape) * value + np.reshape(placement.shift, shape)


def worst_error(source: onnx.ModelProto, folded: Folded, run: Run, oracle: onnx.ModelProto, rows: int) -> float:
    """Over the outputs of the graph and those of every layer, the folded graph against the oracle's source graph."""
    given = feeds(source, rows)
    outputs = [value.name for value in source.graph.output]
    layers = find(source)
    expected = reference(oracle, given, outputs + [layer.output for layer in layers])
    placements = [layer.placement for layer in folded.norm_layers]
    actual = run(folded.model, given, outputs + [placement.tensor for placement in placements])
    errors = [error(expected[name], actual[name]) for name in outputs]
    for layer, placement in zip(layers, placements, strict=True):
        errors.append(error(expected[layer.output], layer_output(placement, actual)))
    return max(errors)


@every_case
def test_the_folded_graph_computes_the_same_in_float64(case: Case) -> None:
    source = case.model()
    folded = fold(source)

    for rows in (1, 3, 17):
        assert worst_error(source, folded, reference, source, rows) < EXACT


@every_case
def test_the_folded_graph_computes_the_same_in_float32(case: Case) -> None:
    source = case.model(np.float32)

    assert worst_error(source, fold(source), runtime, case.model(), 3) < SINGLE


@every_case
def test_no_layer_is_left_and_each_says_where_it_went(case: Case) -> None:
    source = case.model()
    before = serialize(source)
    folded = fold(source)

    assert serialize(source) == before
    assert not [node for node in folded.model.graph.node if node.op_type == "BatchNormalization"]
    assert case.kinds == tuple(layer.placement.kind for layer in folded.norm_layers)
    assert list(source.graph.input) == list(folded.model.graph.input)
    assert list(source.graph.output) == list(folded.model.graph.output)
    onnx.checker.check_model(folded.model, full_check=True)
    used = {name for node in folded.model.graph.node for name in node.input}
    assert {tensor.name for tensor in folded.model.graph.initializer} <= used
    names = {node.name for node in folded.model.graph.node}
    for layer in folded.norm_layers:
        assert names.issuperset(layer.placement.into)
        assert bool(layer.placement.into) == (layer.placement.kind != "kept")
    reasons = [layer.placement.reason for layer in folded.norm_layers if layer.placement.reason]
    assert case.reason in "".join(reasons[:1])
    assert bool(case.reason) == bool(reasons)


def perturbed(folded: Folded, change: Callable[[Array], Array], kind: str) -> Folded:
    """A fold gone wrong: the weights (`kind` is 'weight') or biases of the folded graph are changed."""
    model = onnx.ModelProto()
    model.CopyFrom(folded.model)
    for tensor in model.graph.initializer:
        if (len(tensor.dims) > 1) == (kind == "weight"):
            tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))
    return Folded(model, folded.norm_layers)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("weight", lambda value: 0 * value),
        ("weight", lambda value: value + 1e-8),
        ("bias", lambda value: 0 * value),
    ],
)
@pytest.mark.parametrize("name", ["conv2d", "conv_transpose_grouped", "gemm", "bn_gemm"])
def test_the_comparison_notices_a_wrong_fold(name: str, kind: str, change: Callable[[Array], Array]) -> None:
    source = CASES[name].model()

    assert worst_error(source, perturbed(fold(source), change, kind), reference, source, 3) > EXACT


def test_the_comparison_notices_a_layer_read_wrongly() -> None:
    source = CASES["bn_pool_bn"].model()
    folded = fold(source)
    first, second = folded.norm_layers
    assert first.placement.scale is not None
    wrong = Folded(folded.model, (first.model_copy(update={"placement": second.placement}), second))

    assert worst_error(source, wrong, reference, source, 3) > EXACT


def test_a_graph_without_layers_comes_back_as_it_is() -> None:
    graph = Graph()
    source = graph.model(graph.op("Relu", graph.conv(graph.input(3, 5, 5), 3, 4)))

    folded = fold(source)

    assert (serialize(source), ()) == (serialize(folded.model), folded.norm_layers)


def test_two_folds_into_one_weight_round_once() -> None:
    """Scales of 1/3 and 3 cancel: the weight comes back bit by bit, which two roundings would not give."""
    graph = Graph()
    third = {"weight": 1 / 3, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
    for name, gamma in (("first", 1 / 3), ("second", 3.0)):
        for key, value in {**third, "weight": gamma}.items():
            graph.constant(np.full(64, value, np.float64), f"{name}.{key}")
    conv = graph.op("Conv", graph.input(8, 5, 5), graph.weight(64, 8, 3, 3, name="w"))
    output = graph.bn(graph.bn(conv, 64, "first", epsilon=1e-30), 64, "second", epsilon=1e-30)
    folded = fold(graph.model(output, dtype=np.float32))

    weight = next(tensor for tensor in folded.model.graph.initializer if tensor.name == "w")
    exact = graph.constants["w"].astype(np.float32) * np.float64(np.float32(1 / 3)) * 3
    np.testing.assert_array_equal(numpy_helper.to_array(weight), exact.astype(np.float32))


def test_a_shared_weight_is_copied_and_a_private_one_keeps_its_name() -> None:
    shared = fold(CASES["shared_conv"].model()).model.graph
    private = fold(CASES["conv2d_bias"].model()).model.graph

    # the first layer gets a copy, after which the second is the only one left to use the original
    assert {shared.node[0].input[1], shared.node[1].input[1]} == {"c0", "c0_folded"}
    assert {tensor.name for tensor in private.initializer} == {"c0", "c1"}


def test_a_new_bias_is_named_after_its_weight() -> None:
    graph = Graph()
    conv = graph.op("Conv", graph.input(3, 5, 5), graph.weight(4, 3, 3, 3, name="stem.weight"))
    folded = fold(graph.model(graph.bn(conv, 4)))

    assert list(folded.model.graph.node[0].input) == ["x", "stem.weight", "stem.bias"]


def test_numbers_are_recorded_with_the_digits_of_the_graph() -> None:
    graph = Graph()
    for key in ("weight", "bias", "running_mean", "running_var"):
        graph.constant(np.array([0.1, 0.2]), f"bn.{key}")
    source = graph.model(graph.bn(graph.input(2), 2, epsilon=1e-5, momentum=0.9), dtype=np.float32)
    (layer,) = fold(source).norm_layers

    assert layer.running_var == (0.1, 0.2)
    assert (layer.eps, layer.momentum) == (1e-5, 0.9)


@pytest.mark.parametrize(("var", "operators"), [(1e-6, ["Sub", "Mul", "Add"]), (1.0, ["Mul", "Add"])])
def test_float16_that_would_overflow_is_kept(var: float, operators: list[str]) -> None:
    graph = Graph()
    values = {"weight": 5.0, "bias": 0.0, "running_mean": 500.0, "running_var": var}
    for key, value in values.items():
        graph.constant(np.full(2, value), f"bn.{key}")
    conv = graph.op("Conv", graph.input(2, 3, 3), graph.constant(np.full((2, 2, 1, 1), 3e4)))
    folded = fold(graph.model(graph.op("Relu", graph.bn(conv, 2)), dtype=np.float16))

    (layer,) = folded.norm_layers
    assert layer.placement.reason is not None
    assert "would overflow its type" in layer.placement.reason
    assert ["Conv", *operators, "Relu"] == [node.op_type for node in folded.model.graph.node]


def test_a_scale_that_no_float16_can_hold_is_refused() -> None:
    graph = Graph()
    values = {"weight": 6e4, "bias": 0.0, "running_mean": 0.0, "running_var": 0.1}
    for key, value in values.items():
        graph.constant(np.full(2, value), f"bn.{key}")

    with pytest.raises(GraphError, match=r"layer 'bn': 1\.89e\+05 overflows the type of the graph"):
        fold(graph.model(graph.bn(graph.input(2), 2), dtype=np.float16))


def test_a_subgraph_that_reads_the_tensor_counts_as_a_user() -> None:
    graph = Graph()
    conv = graph.conv(graph.input(3, 5, 5), 3, 4)
    branch = helper.make_graph(
        [helper.make_node("Neg", [conv], ["negative"])],
        "branch",
        [],
        [helper.make_tensor_value_info("negative", onnx.TensorProto.DOUBLE, None)],
    )
    condition = graph.constant(np.array(1, dtype=bool))
    chosen = graph.op("If", condition, then_branch=branch, else_branch=branch, name="choose")
    output = graph.op("Add", graph.bn(conv, 4), chosen)
    (layer,) = fold(graph.model(output)).norm_layers

    assert layer.placement.reason is not None
    assert f"'{conv}' is also used by If 'choose'" in layer.placement.reason


def test_a_rank_that_cannot_be_inferred_is_refused() -> None:
    graph = Graph()
    source = graph.model(graph.op("Relu", graph.bn(graph.op("Relu", graph.input(3)), 3)))
    source.graph.input[0].type.tensor_type.ClearField("shape")
    source.graph.output[0].type.tensor_type.ClearField("shape")

    with pytest.raises(GraphError, match="layer 'bn': the rank of its input 'relu0_out' cannot be inferred"):
        fold(source)


@pytest.mark.parametrize("turned", [False, True])
def test_shapes_that_cannot_be_inferred_are_a_reason_to_keep(*, turned: bool) -> None:
    graph = Graph()
    x = graph.input(3, 5, 5)
    axes = graph.op("Max", graph.constant([2, 3]))
    mean = graph.op("ReduceMean", graph.conv(x, 3, 4), axes, keepdims=1, name="mean")
    mean = graph.op("Transpose", mean, perm=[0, 1, 3, 2]) if turned else mean
    source = graph.model(graph.bn(mean, 4))
    source.graph.output[0].type.tensor_type.shape.CopyFrom(source.graph.input[0].type.tensor_type.shape)
    (layer,) = fold(source).norm_layers

    expected = "the shape of 'mean_out' is not known" if turned else "the axes of ReduceMean 'mean' are computed"
    assert layer.placement.reason is not None
    assert expected in layer.placement.reason


def test_weights_may_come_through_identities_and_constant_nodes() -> None:
    graph = Graph()
    x = graph.input(3, 5, 5)
    weight = graph.op("Identity", graph.weight(4, 3, 3, 3))
    bias = graph.op("Constant", value=numpy_helper.from_array(np.ones(4)))
    graph.constant(np.zeros(1), f"{bias}_folded")
    output = graph.op("Add", graph.bn(graph.op("Conv", x, weight, bias), 4), f"{bias}_folded")
    source = graph.model(output)
    folded = fold(source)

    assert [node.op_type for node in folded.model.graph.node] == ["Conv", "Add"]
    assert worst_error(source, folded, reference, source, 3) < EXACT


def test_every_operator_that_a_layer_folds_into_or_through_has_a_case() -> None:
    cases = {node.op_type for case in CASES.values() for node in case.model().graph.node}
    with_rules = {*PASSING, *backward.ABSORBING, *forward.ABSORBING}

    assert with_rules - cases == {"Cast"}  # below: a case runs in two types, a cast names one


@pytest.mark.parametrize(
    ("between", "kind"), [(onnx.TensorProto.DOUBLE, "folded_back"), (onnx.TensorProto.FLOAT, "kept")]
)
def test_a_cast_passes_only_if_it_changes_nothing(between: int, kind: str) -> None:
    graph = Graph()
    cast = graph.op("Cast", graph.conv(graph.input(3, 5, 5), 3, 4), to=between, name="cast")
    source = graph.model(graph.bn(graph.op("Cast", cast, to=onnx.TensorProto.DOUBLE), 4))
    (layer,) = fold(source).norm_layers

    assert kind == layer.placement.kind
    assert layer.placement.reason is None or "changes the type" in layer.placement.reason


def test_axes_may_be_an_attribute() -> None:
    """As before opset 18."""
    graph = Graph()
    mean = graph.op("ReduceMean", graph.conv(graph.input(3, 5, 5), 3, 4), axes=[2, 3], keepdims=1)
    source = graph.model(graph.bn(mean, 4), opset=14)
    folded = fold(source)

    assert [layer.placement.kind for layer in folded.norm_layers] == ["folded_back"]
    assert worst_error(source, folded, reference, source, 3) < EXACT


@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 4), (5, 4), (5, 1)])
@pytest.mark.parametrize("forward", [False, True])
def test_the_third_input_of_gemm_may_have_any_shape_that_broadcasts(shape: tuple[int, ...], *, forward: bool) -> None:
    graph = Graph(batch=5)
    x = graph.op("Relu", graph.input(3))
    x = graph.bn(x, 3) if forward else x
    y = graph.op("Gemm", x, graph.weight(3, 4), graph.weight(*shape), beta=0.5)
    source = graph.model(y if forward else graph.bn(y, 4))
    folded = fold(source)

    assert [layer.placement.kind for layer in folded.norm_layers] == ["folded_forward" if forward else "folded_back"]
    assert worst_error(source, folded, reference, source, 5) < EXACT


def test_a_gemm_of_transposed_rows_takes_a_layer_from_before() -> None:
    """With transA the channels of x are rows of A', so only a layer whose channels lie there can go in."""
    graph = Graph(batch=5)
    x = graph.op("Transpose", graph.bn(graph.op("Relu", graph.input(3)), 3))
    source = graph.model(graph.op("Gemm", x, graph.weight(3, 4), graph.weight(4), transA=1))
    folded = fold(source)

    assert [layer.placement.kind for layer in folded.norm_layers] == ["folded_forward"]
    assert worst_error(source, folded, reference, source, 5) < EXACT


def test_a_layer_that_is_left_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.graph.fold.find", lambda source, *others: find(source, *others)[1:])

    with pytest.raises(GraphError, match="a BatchNormalization node is left after folding"):
        fold(CASES["bn_conv_bn"].model())
