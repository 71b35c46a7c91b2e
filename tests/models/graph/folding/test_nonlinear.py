"""A kept layer's reason proves that neither side can take it, where numbers show that; each has a control beside it."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from scipy.special import erf

from models.graph.fold import fold
from models.manifest import Placement
from tests.models.graph.cases import CASES, Graph

Activation = Callable[[Graph, str], str]


def only_layer(source: onnx.ModelProto) -> Placement:
    (layer,) = fold(source).norm_layers
    return layer.placement


def swish(graph: Graph, x: str) -> str:
    return graph.op("Mul", x, graph.op("Sigmoid", x))


def gelu(graph: Graph, x: str) -> str:
    scaled = graph.op("Erf", graph.op("Div", x, graph.constant(2**0.5)))
    return graph.op("Mul", graph.op("Mul", x, graph.constant(0.5)), graph.op("Add", scaled, graph.constant(1.0)))


ACTIVATIONS: dict[str, tuple[Activation, Callable[[np.ndarray], np.ndarray]]] = {
    "relu": (lambda graph, x: graph.op("Relu", x), lambda x: np.maximum(x, 0)),
    "hard_swish": (lambda graph, x: graph.op("HardSwish", x), lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "sigmoid": (lambda graph, x: graph.op("Sigmoid", x), lambda x: 1 / (1 + np.exp(-x))),
    "swish, taken apart": (swish, lambda x: x / (1 + np.exp(-x))),
    "gelu, taken apart": (gelu, lambda x: x * (1 + erf(x / 2**0.5)) / 2),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_layer_between_an_activation_and_padding_has_a_proof(name: str) -> None:
    """The values that the proof names are those of the activation, by numpy."""
    activation, expected = ACTIVATIONS[name]
    graph = Graph()
    x = graph.bn(activation(graph, graph.conv(graph.input(3, 6, 6), 3, 4)), 4)
    placement = only_layer(graph.model(graph.conv(x, 4, 4, pads=[1, 1, 1, 1])))

    assert placement.proven
    lowest = expected(np.linspace(-30, 30, 100001)).min()
    assert f"its values are from {lowest:.3g} to" in str(placement.reason)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_layer_before_an_activation_has_a_proof_on_that_side(name: str) -> None:
    activation, _ = ACTIVATIONS[name]
    graph = Graph()
    conv = graph.conv(graph.input(3, 6, 6), 3, 4)
    placement = only_layer(graph.model(conv, activation(graph, graph.bn(conv, 4))))

    assert placement.proven
    assert "the best weights after it are wrong by" in str(placement.reason)


@pytest.mark.parametrize(
    ("scale", "shift", "is_proven"),
    [(2.0, 0.0, False), (2.0, 0.5, True), (-2.0, 0.0, True), (1.0, -0.5, True)],
)
def test_only_what_relu_does_not_let_pass_is_proven(scale: float, shift: float, *, is_proven: bool) -> None:
    """A positive scale without a shift passes, so that nothing is claimed of it. What stops it is the Sin behind."""
    graph = Graph()
    for key, value in {"weight": scale, "bias": shift, "running_mean": 0.0, "running_var": 1.0 - 1e-3}.items():
        graph.constant(np.full(4, value), f"bn.{key}")
    conv = graph.conv(graph.input(3, 6, 6), 3, 4)
    placement = only_layer(graph.model(conv, graph.op("Sin", graph.op("Relu", graph.bn(conv, 4)))))

    assert placement.proven == is_proven
    assert ("the best weights after it are wrong" in str(placement.reason)) == is_proven


def test_a_function_that_sees_a_part_of_its_domain_is_not_judged_by_the_rest() -> None:
    """Relu of values that are positive anyway bends nowhere: the layer could go on through it."""
    graph = Graph()
    for key, value in {"weight": 1.0, "bias": 0.5, "running_mean": 0.0, "running_var": 1.0 - 1e-3}.items():
        graph.constant(np.full(4, value), f"bn.{key}")
    x = graph.bn(graph.op("Relu", graph.conv(graph.input(3, 6, 6), 3, 4)), 4)
    placement = only_layer(graph.model(graph.conv(graph.op("Relu", x), 4, 2)))

    assert not placement.proven


@pytest.mark.parametrize("name", ["relu_negative_scale", "add_input", "bn_pad_zeros", "absurd_scale"])
def test_what_is_not_shown_is_not_claimed(name: str) -> None:
    """A convolution of what is added to it may take the map; another reader may be a layer that can take it back."""
    kept = [layer.placement for layer in fold(CASES[name].model()).norm_layers if layer.placement.kind == "kept"]

    assert not any(placement.proven for placement in kept)


def test_an_activation_that_cannot_be_evaluated_proves_nothing() -> None:
    """Gelu is an operator since opset 20. Runtimes may know it before, the reference does not."""
    graph = Graph()
    conv = graph.conv(graph.input(3, 6, 6), 3, 4)
    source = graph.model(conv, graph.op("Gelu", graph.bn(conv, 4)), opset=20)
    earlier = onnx.ModelProto()
    earlier.CopyFrom(source)
    earlier.opset_import[0].version = 17

    assert only_layer(source).proven
    assert not only_layer(earlier).proven


def test_no_folded_layer_claims_to_be_kept() -> None:
    for case in CASES.values():
        for layer in fold(case.model()).norm_layers:
            assert layer.placement.kind == "kept" or not layer.placement.proven


def rest(one: np.ndarray, other: np.ndarray) -> float:
    """What the best weights leave of `other`, computed from `one`, relative to its range."""
    design = np.stack([one, np.ones_like(one)], axis=1)
    weights = np.linalg.lstsq(design, other, rcond=None)[0]
    return float(np.abs(design @ weights - other).max() / np.ptp(other))


BENDS = {
    "relu": ACTIVATIONS["relu"][1],
    "leaky_relu": lambda x: np.where(x < 0, 0.1 * x, x),
    "hard_swish": ACTIVATIONS["hard_swish"][1],
    "swish": ACTIVATIONS["swish, taken apart"][1],
    "gelu": ACTIVATIONS["gelu, taken apart"][1],
}


@pytest.mark.parametrize("name", BENDS)
@pytest.mark.parametrize(("shift", "sign", "is_possible"), [(0.4, 1, False), (0.0, -1, False), (0.0, 1, True)])
def test_with_weights_on_both_sides_no_shift_passes_two_bends(
    name: str, shift: float, sign: int, *, is_possible: bool
) -> None:
    """docs/folding.md, "Both sides at once": x becomes c (s x + t) + d for one reader and c y + d for another."""
    y = np.linspace(-8, 8, 401)
    x = (y - shift) / (1.5 * sign)
    maps = [(c, d) for c in (*np.linspace(-3, 3, 25), 1 / 1.5) if c for d in np.linspace(-2, 2, 41)]
    bend = BENDS[name]
    rests = [max(rest(bend(c * y + d), bend(y)), rest(bend(c * y + d), bend(x))) for c, d in maps]

    homogeneous = name in ("relu", "leaky_relu")  # others have a width, which a scale changes
    assert (min(rests) < 1e-12) == (is_possible and homogeneous)
    assert min(rests) > 0.01 or is_possible
