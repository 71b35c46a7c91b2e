"""Layers that normalise each row by itself are found in their own operators and in decomposed forms."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from models.graph.activations import MOST, choose_activations
from models.graph.editor import GraphEditor
from models.graph.norms import find_norms
from models.manifest import WatchedLayer

GAMMA, BETA = np.array([1.0, 2.0, -0.5, 4.0], np.float32), np.array([0.0, 1.0, 2.0, -3.0], np.float32)
SMALL = {"eps": np.float32(1e-5), "two": np.float32(2), "half": np.float32(0.5), "one": np.float32(1)}

CENTRED = (
    "m = ReduceMean <axes = [-1]> (x) d = Sub(x, m) s = Mul(d, d) v = ReduceMean <axes = [-1]> (s) e = Add(v, eps) "
)
DECOMPOSED = CENTRED + "r = Sqrt(e) n = Div(d, r) a = Mul(n, w) y = Add(a, b)"
BY_POWER = CENTRED + "r = Pow(e, half) i = Div(one, r) n = Mul(d, i) a = Mul(w, n) y = Add(b, a)"
SCALED_FIRST = (
    CENTRED + "r = Sqrt(e) i = Reciprocal(r) g = Mul(i, w) a = Mul(x, g) c = Mul(m, g) h = Sub(b, c) y = Add(a, h)"
)
DECOMPOSED_RMS = (
    "s = Pow(x, two) v = ReduceMean <axes = [-1]> (s) e = Add(eps, v) r = Sqrt(e) i = Reciprocal(r) n = Mul(x, i) "
    "y = Mul(n, w)"
)
DECOMPOSED_INSTANCE = CENTRED.replace("[-1]", "[2, 3]") + "r = Sqrt(e) y = Div(d, r)"
GROUP_AS_INSTANCE = (
    "g = Reshape(x, to_groups) n = InstanceNormalization(g, ones, zeros) o = Reshape(n, back) "
    "a = Mul(o, w4) y = Add(a, b4)"
)


def text(nodes: str, opset: int = 13, shape: str = "N, 5, 4", **constants: Any) -> onnx.ModelProto:
    model = parser.parse_model(
        f'<ir_version: 9, opset_import: ["" : {opset}]> network (float[{shape}] x) => (float[{shape}] y) {{ {nodes} }}'
    )
    values = SMALL | constants
    used = {name for node in model.graph.node for name in node.input}
    tensors = (numpy_helper.from_array(np.asarray(values[name]), name) for name in sorted(values.keys() & used))
    model.graph.initializer.extend(tensors)
    return model


def only(model: onnx.ModelProto) -> WatchedLayer:
    (layer,) = find_norms(GraphEditor(model))
    return layer


def renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    """With parameters named as torch names them."""
    names = {"w": "norm.weight", "b": "norm.bias"}
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)
    for tensor in model.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    return model


@pytest.mark.parametrize(
    ("nodes", "opset", "kind", "has_shift"),
    [
        ("y = LayerNormalization <axis = -1> (x, w, b)", 17, "layer_norm", True),
        ("y = LayerNormalization <axis = 2> (x, w)", 17, "layer_norm", False),
        ("y = RMSNormalization <axis = -1> (x, w)", 23, "rms_norm", False),
        (DECOMPOSED, 13, "layer_norm", True),
        (BY_POWER, 13, "layer_norm", True),
        (SCALED_FIRST, 13, "layer_norm", True),
        (DECOMPOSED_RMS, 13, "rms_norm", False),
    ],
    ids=["native", "no shift", "RMS", "decomposed", "power", "scaled first", "decomposed RMS"],
)
def test_a_layer_over_the_last_axis_is_read_after_its_scale_and_shift(
    nodes: str, opset: int, kind: str, has_shift: bool
) -> None:
    layer = only(renamed(text(nodes, opset, w=GAMMA, b=BETA)))

    assert (layer.kind, layer.name, layer.num_features) == (kind, "norm", 4)
    assert (layer.placement.tensor, layer.placement.axis) == ("y", 2)
    assert layer.gamma == tuple(GAMMA.tolist())
    assert layer.beta == (tuple(BETA.tolist()) if has_shift else (0.0,) * 4)
    assert "no running statistics" in (layer.placement.reason or "")


@pytest.mark.parametrize(
    ("nodes", "opset", "kind"),
    [
        ("y = InstanceNormalization(x, w, b)", 17, "instance_norm"),
        ("y = GroupNormalization <num_groups = 2> (x, w, b)", 21, "group_norm"),
        (DECOMPOSED_INSTANCE, 13, "instance_norm"),
        (GROUP_AS_INSTANCE, 17, "group_norm"),
    ],
    ids=["instance", "group", "decomposed instance", "group as instance"],
)
def test_a_layer_whose_output_is_the_same_in_every_row_is_read_at_its_input(nodes: str, opset: int, kind: str) -> None:
    constants = {
        "w": GAMMA,
        "b": BETA,
        "w4": GAMMA.reshape(4, 1, 1),
        "b4": BETA.reshape(4, 1, 1),
        "to_groups": np.array([0, 2, -1]),
        "back": np.array([0, 4, 5, 5]),
        "ones": np.ones(2, np.float32),
        "zeros": np.zeros(2, np.float32),
    }

    layer = only(text(nodes, opset, "N, 4, 5, 5", **constants))

    assert (layer.kind, layer.num_features, layer.gamma, layer.beta) == (kind, 4, None, None)
    assert (layer.placement.tensor, layer.placement.axis) == ("x", 1)


def test_a_layer_over_the_channels_of_an_image_has_them_on_axis_1() -> None:
    nodes = CENTRED.replace("[-1]", "[1]") + " r = Sqrt(e) n = Div(d, r) a = Mul(n, w3) y = Add(a, b3)"

    layer = only(text(nodes, 13, "N, 4, 5, 5", w3=GAMMA.reshape(4, 1, 1), b3=BETA.reshape(4, 1, 1)))

    assert (layer.kind, layer.placement.axis, layer.gamma) == ("layer_norm", 1, tuple(GAMMA.tolist()))


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Relu(x)",
        "r = Sqrt(x) y = Div(x, r)",
        "s = Mul(x, x) v = ReduceMean <axes = [-1]> (s) e = Add(v, eps) y = Mul(x, e)",
        "s = Mul(x, x) v = ReduceMax <axes = [-1]> (s) e = Add(v, eps) r = Sqrt(e) y = Div(x, r)",
    ],
)
def test_what_normalises_nothing_is_no_layer(nodes: str) -> None:
    assert find_norms(GraphEditor(text(nodes))) == ()


def test_activations_are_chosen_over_the_whole_depth() -> None:
    names = [f"t{index}" for index in range(20)]
    nodes = " ".join(f"{new} = Relu({old})" for old, new in zip(["x", *names], names, strict=False))

    layers = choose_activations(GraphEditor(text(f"{nodes} y = Neg(t19)")))

    assert len(layers) == MOST
    assert {layer.kind for layer in layers} == {"activation"}
    positions = [names.index(layer.name) for layer in layers]
    assert positions == sorted(positions)
    assert positions[0] <= 2
    assert positions[-1] >= 17


def test_without_activations_linear_layers_and_then_inputs_are_chosen() -> None:
    square = np.eye(4, dtype=np.float32)

    (linear,) = choose_activations(GraphEditor(text("h = MatMul(x, w) y = Neg(h)", w=square)))
    (given,) = choose_activations(GraphEditor(text("y = Neg(x)")))

    assert (linear.name, linear.placement.axis) == ("h", 2)
    assert given.name == "x"


def test_images_have_their_channels_on_axis_1_until_they_are_transposed() -> None:
    kernel = np.zeros((4, 4, 1, 1), np.float32)
    nodes = "c = Conv(x, k) r = Relu(c) t = Transpose <perm = [0, 2, 3, 1]> (r) q = Relu(t) y = Neg(q)"

    first, second = choose_activations(GraphEditor(text(nodes, 13, "N, 4, 4, 4", k=kernel)))

    assert (first.placement.axis, second.placement.axis) == (1, 3)
