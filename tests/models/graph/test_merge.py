"""Parallel branches become one convolution that computes the same; what only looks parallel stays."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from models.graph.fold import fold
from models.graph.merge import merge
from tests.models.graph.cases import Graph

TOLERANCE = 1e-12  # everything is float64


def block(g: Graph, x: str, channels: int = 4, out: int = 4, *, identity: bool = True, **given: object) -> str:
    """The block of RepVGG: convolutions of 3 x 3 and 1 x 1 and the input itself, each with a layer of its own."""
    wide = g.bn(g.conv(x, channels, out, pads=[1, 1, 1, 1], **given), out, "wide")
    narrow = g.bn(g.conv(x, channels, out, kernel=1, **given), out, "narrow")
    total = g.op("Add", wide, narrow)
    return g.op("Relu", g.op("Add", total, g.bn(x, channels, "identity")) if identity else total)


def count(model: onnx.ModelProto) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in model.graph.node:
        found[node.op_type] = found.get(node.op_type, 0) + 1
    return found


def assert_it_computes_the_same(source: onnx.ModelProto, merged: onnx.ModelProto, rows: np.ndarray) -> None:
    expected, found = (ReferenceEvaluator(model).run(None, {"x": rows}) for model in (source, merged))
    for wanted, got in zip(expected, found, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=TOLERANCE, atol=TOLERANCE)


def rows(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape)


@pytest.mark.parametrize("group", [1, 2, 4])
def test_a_block_of_repvgg_becomes_one_convolution(group: int) -> None:
    g = Graph()
    source = g.model(block(g, block(g, g.op("Relu", g.input(4, 6, 5)), group=group), group=group))

    folded = fold(source)
    merged = merge(folded.model)

    assert count(merged.model) == {"Relu": 3, "Conv": 2}
    assert_it_computes_the_same(source, merged.model, rows(3, 4, 6, 5))
    kept = [layer.name for layer in folded.norm_layers if layer.placement.kind == "kept"]
    assert len(kept) == 2
    assert set(merged.into) >= {f"{name}.add" for name in kept}


def test_branches_with_a_stride_become_one_convolution() -> None:
    g = Graph()
    source = g.model(block(g, g.input(3, 7, 7), 3, 5, identity=False, strides=[2, 2]))

    merged = merge(fold(source).model).model

    assert count(merged) == {"Relu": 1, "Conv": 1}
    assert_it_computes_the_same(source, merged, rows(2, 3, 7, 7))


def test_the_sum_may_be_an_output_of_the_graph() -> None:
    g = Graph()
    x = g.input(3, 5, 5)
    source = g.model(g.op("Add", g.conv(x, 3, 4, pads=[1, 1, 1, 1]), g.conv(x, 3, 4, kernel=1)))

    merged = merge(source).model

    assert count(merged) == {"Conv": 1}
    assert_it_computes_the_same(source, merged, rows(2, 3, 5, 5))


def test_a_layer_after_the_sum_of_a_convolution_and_its_input_is_merged_too() -> None:
    g = Graph()
    x = g.op("Relu", g.input(4, 6, 6))
    total = g.op("Add", g.op("Add", g.conv(x, 4, 4, pads=[1, 1, 1, 1], group=4), x), g.constant(0.0))
    source = g.model(g.bn(total, 4))

    folded = fold(source)
    merged = merge(folded.model)

    assert [layer.placement.kind for layer in folded.norm_layers] == ["kept"]
    assert count(merged.model) == {"Relu": 1, "Conv": 1}
    assert f"{folded.norm_layers[0].name}.add" in merged.into
    assert_it_computes_the_same(source, merged.model, rows(2, 4, 6, 6))


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("has_layer", [False, True])
def test_a_difference_of_branches_becomes_one_convolution(*, is_reversed: bool, has_layer: bool) -> None:
    """As in FastViT, which mixes positions by ``x + scale * (convolutions of x - norm(x))``."""
    g = Graph()
    x = g.op("Relu", g.input(4, 6, 6))
    conv = g.conv(x, 4, 4, pads=[1, 1, 1, 1], group=4)
    other = g.bn(x, 4) if has_layer else g.conv(x, 4, 4, kernel=1, group=4)
    difference = g.op("Sub", *((other, conv) if is_reversed else (conv, other)))
    shifted = g.op("Sub", g.constant(0.5), g.op("Sub", difference, g.weight(4, 1, 1)))
    source = g.model(g.op("Add", x, g.op("Mul", shifted, g.weight(4, 1, 1))))

    folded = fold(source)
    merged = merge(folded.model)

    assert count(merged.model) == {"Relu": 1, "Conv": 1}
    assert_it_computes_the_same(source, merged.model, rows(3, 4, 6, 6))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda g, x: g.conv(g.op("Relu", x), 4, 4, kernel=1), id="of another tensor"),
        pytest.param(lambda g, x: g.conv(x, 4, 4, kernel=1, group=2), id="of other groups"),
        pytest.param(lambda g, x: g.conv(x, 4, 4, pads=[2, 2, 2, 2], dilations=[2, 2]), id="dilated"),
        pytest.param(lambda g, x: g.conv(x, 4, 4, pads=[2, 2, 0, 0]), id="shifted"),
        pytest.param(lambda g, x: g.op("Mul", x, g.constant(np.ones((6, 1)))), id="scaled by position"),
        pytest.param(lambda g, x: g.op("Mul", x, g.constant(np.ones((1, 1, 1, 1, 1)))), id="scaled into more axes"),
        pytest.param(lambda g, x: g.op("Mul", x, x), id="no convolution"),
    ],
)
def test_what_only_looks_parallel_stays(other) -> None:
    g = Graph()
    x = g.op("Relu", g.input(4, 6, 6))
    source = g.model(g.op("Add", g.conv(x, 4, 4, pads=[1, 1, 1, 1]), other(g, x)))

    merged = merge(source)

    assert merged.model is source
    assert merged.into == {}


def test_a_branch_that_is_read_elsewhere_stays() -> None:
    g = Graph()
    x = g.input(3, 5, 5)
    narrow = g.conv(x, 3, 4, kernel=1)
    source = g.model(g.op("Add", g.conv(x, 3, 4, pads=[1, 1, 1, 1]), narrow), g.op("Relu", narrow))

    assert merge(source).into == {}


def test_a_kernel_that_is_laid_into_the_wrong_place_is_found() -> None:
    g = Graph()
    x = g.input(3, 5, 5)
    source = g.model(g.op("Add", g.conv(x, 3, 4, pads=[1, 1, 1, 1]), g.conv(x, 3, 4, kernel=1)))
    merged = merge(source).model
    weight = merged.graph.initializer[0]
    moved = np.roll(onnx.numpy_helper.to_array(weight), 1, axis=-1)
    weight.CopyFrom(onnx.numpy_helper.from_array(moved, weight.name))

    with pytest.raises(AssertionError):
        assert_it_computes_the_same(source, merged, rows(2, 3, 5, 5))
