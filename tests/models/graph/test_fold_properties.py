"""Folding holds over the whole range of an operator's options, not only for the examples."""

from math import prod

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.graph.fold import fold
from models.graph.folding.channel_map import ChannelMap, Refusal
from models.graph.folding.parts import Part
from models.graph.nodes import Dim
from tests.models.graph.cases import Graph
from tests.models.graph.oracle import feeds, reference
from tests.models.graph.test_fold import EXACT, worst_error

few = settings(max_examples=40, deadline=None, derandomize=True)
sizes = st.integers(1, 3)
epsilons = st.sampled_from([1e-12, 1e-5, 1e-3, 1.0])
factors = st.sampled_from([-2.0, 0.0, 0.5, 1.0])
flags = st.booleans()


def assert_folds(source: onnx.ModelProto, kind: str, rows: int = 3) -> None:
    folded = fold(source)

    assert [layer.placement.kind for layer in folded.norm_layers] == [kind]
    assert worst_error(source, folded, reference, source, rows) < EXACT


@few
@given(
    rank=st.integers(1, 3), group=sizes, fan_in=sizes, fan_out=sizes, kernel=sizes, stride=sizes, dilation=sizes,
    padding=st.integers(0, 2), bias=flags, eps=epsilons, seed=st.integers(0, 99),
)  # fmt: skip
def test_conv(
    rank: int, group: int, fan_in: int, fan_out: int, kernel: int, stride: int, dilation: int, padding: int,
    bias: bool, eps: float, seed: int,
) -> None:  # fmt: skip
    graph = Graph(seed)
    x = graph.input(group * fan_in, *[dilation * (kernel - 1) + 2] * rank)
    weights = [graph.weight(group * fan_out, fan_in, *[kernel] * rank)]
    weights += [graph.weight(group * fan_out)] if bias else []
    options = {"strides": [stride] * rank, "dilations": [dilation] * rank, "pads": [padding] * (2 * rank)}
    conv = graph.op("Conv", x, *weights, group=group, **options)

    assert_folds(graph.model(graph.bn(conv, group * fan_out, epsilon=eps)), "folded_back")


@few
@given(
    rank=st.integers(1, 3), group=sizes, fan_in=sizes, fan_out=sizes, kernel=sizes, stride=sizes, dilation=sizes,
    bias=flags, eps=epsilons, seed=st.integers(0, 99),
)  # fmt: skip
def test_conv_transpose(
    rank: int, group: int, fan_in: int, fan_out: int, kernel: int, stride: int, dilation: int, bias: bool, eps: float,
    seed: int,
) -> None:  # fmt: skip
    graph = Graph(seed)
    weights = [graph.weight(group * fan_in, fan_out, *[kernel] * rank)]
    weights += [graph.weight(group * fan_out)] if bias else []
    options = {"strides": [stride] * rank, "dilations": [dilation] * rank}
    conv = graph.op("ConvTranspose", graph.input(group * fan_in, *[2] * rank), *weights, group=group, **options)

    assert_folds(graph.model(graph.bn(conv, group * fan_out, epsilon=eps)), "folded_back")


@few
@given(
    group=sizes, fan_in=sizes, fan_out=sizes, kernel=sizes, stride=sizes, dilation=sizes, bias=flags,
    seed=st.integers(0, 99),
)  # fmt: skip
def test_unpadded_conv_after_the_layer(
    group: int, fan_in: int, fan_out: int, kernel: int, stride: int, dilation: int, bias: bool, seed: int
) -> None:
    graph = Graph(seed)
    x = graph.bn(graph.op("Relu", graph.input(group * fan_in, *[dilation * (kernel - 1) + 2] * 2)), group * fan_in)
    weights = [graph.weight(group * fan_out, fan_in, kernel, kernel)]
    weights += [graph.weight(group * fan_out)] if bias else []
    conv = graph.op("Conv", x, *weights, group=group, strides=[stride] * 2, dilations=[dilation] * 2, pads=[0] * 4)

    assert_folds(graph.model(conv), "folded_forward")


@few
@given(
    transA=flags, transB=flags, alpha=factors, beta=factors, bias=flags, columns=sizes, forward=flags, eps=epsilons,
    seed=st.integers(0, 99),
)  # fmt: skip
def test_gemm(
    transA: bool,
    transB: bool,
    alpha: float,
    beta: float,
    bias: bool,
    columns: int,
    forward: bool,
    eps: float,
    seed: int,
) -> None:
    graph = Graph(seed, batch=4)
    x = graph.op("Relu", graph.input(4))
    x = graph.bn(x, 4, epsilon=eps) if forward else x
    x = graph.op("Transpose", x) if transA else x
    weights = [graph.weight(columns, 4) if transB else graph.weight(4, columns)]
    weights += [graph.weight(columns)] if bias else []
    y = graph.op("Gemm", x, *weights, alpha=alpha, beta=beta, transA=int(transA), transB=int(transB))
    y = graph.op("Sum", y, graph.constant(1.0)) if forward else graph.bn(y, columns, epsilon=eps)

    assert_folds(graph.model(y), "folded_forward" if forward else "folded_back", rows=4)


@few
@given(stack=st.lists(sizes, max_size=2), inner=sizes, columns=sizes, left=flags, seed=st.integers(0, 99))
def test_mat_mul(stack: list[int], inner: int, columns: int, left: bool, seed: int) -> None:
    graph = Graph(seed)
    if left:
        x = graph.op("MatMul", graph.weight(*stack[1:], columns, inner), graph.input(*stack[:1], inner, 2))
        axis = len(stack[:1]) + 1
    else:
        x = graph.op("MatMul", graph.input(*stack, inner), graph.weight(inner, columns))
        axis = len(stack) + 1
    rank = axis + 2 if left else axis + 1
    x = graph.op("Transpose", x, perm=[0, axis, *(other for other in range(1, rank) if other != axis)])

    assert_folds(graph.model(graph.bn(x, columns)), "folded_back")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data(), uniform=flags)
def test_a_map_survives_every_reshape(data: st.DataObject, uniform: bool) -> None:
    """Against numpy: map then reshape is the same as reshape then map, along as many axes as that takes."""
    before = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    axis = data.draw(st.integers(0, len(before) - 1))
    after: list[int] = []
    while prod(after) < prod(before) or len(after) < 1:
        left = prod(before) // prod(after)
        after.append(data.draw(st.sampled_from([n for n in range(1 + (left > 1), left + 1) if left % n == 0])))
    random = np.random.default_rng(0)
    scale, shift = random.normal(size=(2, before[axis]))
    if uniform:
        scale[:], shift[:] = scale[0], shift[0]
    known = ChannelMap.on(axis, scale, shift)
    x = random.normal(size=before)

    def apply(to: ChannelMap, value: np.ndarray) -> np.ndarray:
        s, t = to.broadcast(value.ndim)
        return s * value + t

    node = onnx.NodeProto(op_type="Reshape", name="r")
    moved = known.regroup(node, before, after)
    np.testing.assert_array_equal(apply(moved, x.reshape(after)), apply(known, x).reshape(after))
    back = moved.regroup(node, after, before)
    np.testing.assert_array_equal(apply(back, x), apply(known, x))
    assert uniform or back.axes == (axis,) or before[axis] == 1


@few
@given(heads=sizes, values=sizes, positions=sizes, rows=sizes)
def test_a_map_repeats_itself_where_rows_and_heads_are_counted_together(
    heads: int, values: int, positions: int, rows: int
) -> None:
    node = onnx.NodeProto(op_type="Reshape", name="r")
    random = np.random.default_rng(0)
    known = ChannelMap.on(1, *random.normal(size=(2, heads * values)))
    apart, together = ["rows", heads * values, positions], [None, values, positions]
    moved = known.regroup(node, apart, together)

    assert moved.repeating == (0 if heads > 1 else None)
    assert moved.regroup(node, together, apart).is_same(known) or heads * values == 1
    x = random.normal(size=(rows, heads * values, positions))
    expected = (known.scale[:, None] * x + known.shift[:, None]).reshape(rows * heads, values, positions)
    if heads * values > 1:
        present = [size if axis in moved.axes else 1 for axis, size in enumerate((heads, values, positions))]
        scale, shift = (
            np.tile(part.reshape(present), (rows if heads > 1 else 1, 1, 1)) for part in (moved.scale, moved.shift)
        )
        np.testing.assert_array_equal(scale * x.reshape(expected.shape) + shift, expected)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["batch", 3], [None, 1, None]),
        (["batch", 3, "length"], ["batch", "features"]),
        (["batch", 3, None], ["batch", 3, None]),
    ],
)
def test_a_map_stops_at_sizes_that_are_not_known(before: list[Dim], after: list[Dim]) -> None:
    known = ChannelMap.on(1, np.arange(3.0), np.arange(3.0))

    with pytest.raises(Refusal):
        known.regroup(onnx.NodeProto(op_type="Reshape", name="r"), before, after)


@few
@given(seed=st.integers(0, 999), depth=st.integers(2, 5))
def test_any_chain_of_layers_stays_readable(seed: int, depth: int) -> None:
    """Random operators between layers: whatever folds where, every layer's output can be read."""
    graph = Graph(seed)
    choose = graph.random.integers
    x = graph.input(3, 6, 6)
    for step in range(depth):
        x = [
            lambda x: graph.conv(x, 3, 3, kernel=1),
            lambda x: graph.conv(x, 3, 3, kernel=2),
            lambda x: graph.conv(x, 3, 3, pads=[1, 1, 1, 1]),
            lambda x: graph.op("Relu", x),
            lambda x: graph.op("AveragePool", x, kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
            lambda x: graph.op("MaxPool", x, kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
            lambda x: graph.op("Add", graph.conv(x, 3, 3, kernel=1), graph.conv(x, 3, 3, kernel=1)),
            lambda x: graph.op("Mul", x, graph.weight(3, 1, 1)),
            lambda x: graph.op("Add", x, graph.weight(3, 1, 1)),
            lambda x: x,
        ][choose(10)](x)
        if choose(3):
            x = graph.bn(x, 3, f"bn{step}", sign=int(choose(2)))
    x = graph.op("Flatten", graph.op("GlobalAveragePool", x)) if choose(2) else graph.op("Identity", x)
    source = graph.model(x)
    folded = fold(source)

    assert worst_error(source, folded, reference, source, 3) < EXACT


def test_feeds_are_the_same_every_time() -> None:
    graph = Graph()
    source = graph.model(graph.op("Relu", graph.input(3)))

    np.testing.assert_array_equal(feeds(source, 3)["x"], feeds(source, 3)["x"])


def test_a_map_of_too_many_positions_is_refused() -> None:
    """A hostile graph could ask for any amount of memory."""
    node = onnx.NodeProto(op_type="Reshape", name="r")
    known = ChannelMap.on(1, np.arange(8.0), np.arange(8.0))

    with pytest.raises(Refusal, match="of at most"):
        known.regroup(node, ["rows", 8, 1 << 40], ["rows", 1 << 43])
    with pytest.raises(Refusal, match="of at most"):
        Part(2, 1 << 40, np.arange(3)).of_input(node, known)
