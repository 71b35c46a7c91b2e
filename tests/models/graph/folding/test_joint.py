"""Layers that fold into all weights around them, and proofs for those that do not; each has a control beside it."""

import numpy as np
import pytest

from models.graph.editor import GraphEditor
from models.graph.fold import fold
from models.graph.folding import certainty, joint
from models.graph.folding.channel_map import ChannelMap, Refusal
from models.graph.folding.step import Step
from models.manifest import Placement
from tests.models.graph.cases import CASES, Graph
from tests.models.graph.oracle import error, feeds, reference


def test_of_the_layers_that_read_a_stream_the_last_folds_and_the_others_have_a_proof() -> None:
    layers = {layer.name: layer.placement for layer in fold(CASES["dense_stream"].model()).norm_layers}

    assert layers["norm2"].kind == "folded_back"
    for name in ("norm0", "norm1"):
        assert layers[name].proven
        assert "'norm2_4_out' is also used by Relu" in str(layers[name].reason)


@pytest.mark.parametrize("is_same", [True, False])
def test_layers_that_read_a_stream_in_the_same_way_both_fold(*, is_same: bool) -> None:
    """Behind a Relu, maps that differ by a positive factor are the same. With other shifts, one of the two folds."""
    graph = Graph()
    x = graph.conv(graph.input(3, 6, 6), 3, 4)
    for name, factor, shift in (("one", 1.0, 0.5), ("other", 2.0, 1.0 if is_same else 0.7)):
        values = {"weight": factor, "bias": shift, "running_mean": 0.0, "running_var": 1.0 - 1e-3}
        for key, value in values.items():
            graph.constant(np.full(4, value), f"{name}.{key}")
    outputs = [graph.conv(graph.op("Relu", graph.bn(x, 4, name)), 4, 2) for name in ("one", "other")]
    source = graph.model(*outputs)
    folded = fold(source)

    kinds = [layer.placement.kind for layer in folded.norm_layers]
    assert kinds == (["folded_back", "folded_back"] if is_same else ["kept", "folded_back"])
    inputs = feeds(source, 3)
    expected, actual = (reference(model, inputs, outputs) for model in (source, folded.model))
    assert max(error(expected[name], actual[name]) for name in outputs) < 1e-12


@pytest.mark.parametrize("is_sum", [True, False])
def test_what_has_a_choice_proves_nothing(*, is_sum: bool) -> None:
    """Of two branches neither of which can take the shift, one would have to. That of one branch is taken as it is."""
    graph = Graph()
    x = graph.input(3, 6, 6)
    branches = [graph.conv(x, 3, 4) for _ in range(1 + is_sum)]
    values = {"weight": 1.0, "bias": 0.5, "running_mean": 0.0, "running_var": 1.0 - 1e-3}
    for key, value in values.items():
        graph.constant(np.full(4, value), f"bn.{key}")
    stream = graph.op("Add", *branches) if is_sum else branches[0]
    output = graph.conv(graph.op("Relu", graph.bn(stream, 4)), 4, 2)
    (layer,) = fold(graph.model(output, *(graph.op("Relu", branch) for branch in branches))).norm_layers

    assert layer.placement.kind == "kept"
    assert layer.placement.proven != is_sum


def test_a_shift_that_would_hide_what_others_read_is_refused() -> None:
    graph = Graph()
    x = graph.conv(graph.input(3, 6, 6), 3, 4)
    for name, beta in (("one", 0.1), ("other", 300.0)):
        values = {"weight": 1.0, "bias": beta, "running_mean": 0.0, "running_var": 1.0}
        for key, value in values.items():
            graph.constant(np.full(4, value), f"{name}.{key}")
    outputs = [graph.conv(graph.op("Relu", graph.bn(x, 4, name)), 4, 2) for name in ("one", "other")]

    kinds = [layer.placement.kind for layer in fold(graph.model(*outputs)).norm_layers]
    assert kinds == ["folded_back", "kept"]


def test_a_refused_change_leaves_the_graph_as_it_is() -> None:
    graph = Graph()
    x = graph.conv(graph.input(3, 6, 6), 3, 4)
    source = graph.model(graph.op("Tanh", x), graph.conv(x, 4, 2))
    editor = GraphEditor(source)

    with pytest.raises(Refusal, match="is also used by Tanh"):
        joint.plan(editor, [], {x: ChannelMap.on(1, np.full(4, 2.0), np.ones(4))})
    assert editor.finish().graph.node == source.graph.node


@pytest.mark.parametrize(("gamma", "kind"), [(0.5, "folded_forward"), (1e-3, "kept")])
def test_what_is_added_is_not_divided_by_almost_0(gamma: float, kind: str) -> None:
    graph = Graph()
    for key, value in {"weight": gamma, "bias": 0.1, "running_mean": 0.0, "running_var": 1.0}.items():
        graph.constant(np.full(4, value), f"inner.{key}")
    x = graph.bn(graph.op("Relu", graph.conv(graph.input(3, 6, 6), 3, 4)), 4, "stem")
    inner = graph.bn(graph.op("Relu", graph.conv(x, 4, 4, pads=[1, 1, 1, 1])), 4, "inner")
    layers = fold(graph.model(graph.conv(graph.op("Add", x, inner), 4, 3, kernel=1))).norm_layers

    assert {layer.name: layer.placement.kind for layer in layers}["inner"] == kind


def pre_activation(activation: str, sign: int, before: str = "Identity") -> dict[str, Placement]:
    """Where two layers before an activation go, which read a stream before and after a branch is added to it."""
    graph = Graph()
    stream = graph.op(
        before, graph.conv(graph.input(3, 6, 6), 3, 4), **({"kernel_shape": [2, 2]} if before == "MaxPool" else {})
    )
    for name, factor in (("one", sign), ("other", 1)):
        values = {"weight": 1.5 * factor, "bias": 0.3, "running_mean": 0.1, "running_var": 0.8}
        for key, value in values.items():
            graph.constant(np.full(4, value), f"{name}.{key}")
        branch = graph.op(activation, graph.bn(stream, 4, name))
        if name == "one":
            stream = graph.op("Add", stream, graph.conv(branch, 4, 4, pads=[1, 1, 1, 1]))
    return {layer.name: layer.placement for layer in fold(graph.model(graph.conv(branch, 4, 2))).norm_layers}


@pytest.mark.parametrize(
    ("before", "evidence"), [("Identity", "grows at one end only"), ("MaxPool", "would return minima")]
)
def test_behind_a_sum_the_sign_of_the_scale_is_certain(before: str, evidence: str) -> None:
    """Both layers would have to scale the whole stream, one by a negative number, the other by a positive one."""
    layers = pre_activation("Relu", -1, before)

    assert layers["other"].kind == "folded_back"
    assert layers["one"].kind == "kept"
    assert layers["one"].proven
    assert evidence in str(layers["one"].reason)


def test_with_one_sign_both_fold() -> None:
    assert {place.kind for place in pre_activation("Relu", 1).values()} == {"folded_back"}


@pytest.mark.parametrize("activation", ["Sigmoid", "LeakyRelu"])
def test_the_sign_proves_nothing_of_a_function_that_may_take_it(activation: str) -> None:
    """sigmoid(-x) = 1 - sigmoid(x); a leaky Relu grows at both ends."""
    layers = pre_activation(activation, -1)

    assert layers["one"].kind == "kept"
    assert not layers["one"].proven


def test_of_channels_of_which_nothing_is_certain_nothing_is_certain_on_another_axis() -> None:
    """A map that is the same in every channel may be stated on another axis, as behind a Reshape to heads."""
    change = ChannelMap.on(1, np.arange(1.0, 5.0), np.zeros(4))
    elsewhere = Step(onward=((0, ChannelMap.on(2, np.ones(2), np.zeros(2))),))

    found = certainty.follow(np.zeros(4, np.int8), change, Step(onward=((0, change),)), 0, lambda _: elsewhere)
    assert found.tolist() == [certainty.NOTHING] * 4


@pytest.mark.parametrize("branch", ["Slice", "Identity"])
def test_the_branch_that_nothing_else_reads_takes_the_shift(branch: str) -> None:
    """A stream that a padded convolution reads too, and of which the end is added to what comes of it (WaveNet)."""
    graph = Graph()
    bounds = [graph.constant(np.array([value])) for value in (-6, 2**31 - 1, 2)]
    stream = graph.conv(graph.input(3, 6), 3, 4, kernel=1, rank=1)
    inner = graph.op("Tanh", graph.conv(stream, 4, 4, rank=1, pads=[1, 1]))
    end = graph.op(branch, stream, *(bounds if branch == "Slice" else ()))
    output = graph.op("Relu", graph.bn(graph.op("Add", end, graph.conv(inner, 4, 4, kernel=1, rank=1)), 4))
    source = graph.model(output)
    folded = fold(source)

    assert [layer.placement.kind for layer in folded.norm_layers] == ["folded_back"]
    inputs = feeds(source, 3)
    assert error(*(reference(model, inputs, [output])[output] for model in (source, folded.model))) < 1e-12
