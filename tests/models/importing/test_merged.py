"""What exporters leave behind of layers that they merged."""

import numpy as np
import onnx
import pytest

from models.importing.exporters import advice
from models.importing.merged import find_merged
from tests.models.importing.trained_network import Graph, weight

CONV = weight(4, 3, 3, 3)
BIAS = np.arange(4, dtype=np.float32)


def conv(producer: str = "pytorch") -> onnx.ModelProto:
    return Graph((3, 6, 6)).op("Conv", CONV, BIAS, name="node_Conv_1").op("Relu").model(producer)


def noted(model: onnx.ModelProto, **notes: str) -> onnx.ModelProto:
    for key, value in notes.items():
        model.graph.node[0].metadata_props.add(key=key.replace("__", "."), value=value)
    return model


def renamed(model: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    """The graph with other names of its first node's constants."""
    for tensor in model.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    inputs = [names.get(name, name) for name in model.graph.node[0].input]
    model.graph.node[0].ClearField("input")
    model.graph.node[0].input.extend(inputs)
    return model


def test_dynamo_notes_the_fusion_and_the_module() -> None:
    model = noted(
        conv(),
        pkg__onnxscript__rewriter__rule_name="FuseBatchNormIntoConv, RemoveOptionalBiasFromConv",
        pkg__torch__onnx__name_scopes="['', 'layer1.0.bn1', '_native_batch_norm']",
    )

    (found,) = find_merged(model)

    assert (found.name, found.certain, str(found)) == ("layer1.0.bn1", True, "layer1.0.bn1 in Conv 'node_Conv_1'")
    assert "dynamo=True, optimize=False, external_data=False" in advice(model)


def test_torchscript_invents_both_names() -> None:
    model = renamed(conv(), {"c0": "onnx::Conv_43", "c1": "onnx::Conv_44"})

    assert [found.certain for found in find_merged(model)] == [True]
    assert "dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False" in advice(model)


@pytest.mark.parametrize(
    "names", [{}, {"c0": "conv.weight", "c1": "conv.bias"}, {"c0": "onnx::Conv_43", "c1": "conv.bias"}]
)
def test_a_convolution_with_its_own_bias_is_none(names: dict[str, str]) -> None:
    """Weight normalisation, too, leaves an invented weight, but not an invented bias."""
    assert find_merged(renamed(conv(), names)) == ()


def test_tf2onnx_keeps_the_scope() -> None:
    model = renamed(conv("tf2onnx"), {"c1": "net/stem_bn/batchnorm/sub:0"})

    assert [found.name for found in find_merged(model)] == ["net/stem_bn"]
    assert "--state-dict model.keras" in advice(model)
    assert "del o._optimizers['remove_back_to_back']" in advice(model)


def test_tf2onnx_names_what_it_merges() -> None:
    model = renamed(conv("tf2onnx"), {"c0": "net/conv_weights_fused_bn", "c1": "net/conv_bias_fused_bn"})

    assert [found.certain for found in find_merged(model)] == [True]


def test_arithmetic_of_tf2onnx_is_one_layer() -> None:
    graph = Graph((4,)).op("Mul", BIAS, name="net/bn/batchnorm/mul_1").op("Add", BIAS, name="net/bn/batchnorm/add_1")

    assert [found.name for found in find_merged(graph.model("tf2onnx"))] == ["net/bn"]


def test_arithmetic_per_channel_may_be_a_layer() -> None:
    graph = Graph((4,)).op("Sub", BIAS).op("Mul", BIAS).op("Add", BIAS)

    assert [found.certain for found in find_merged(graph.model())] == [False]


@pytest.mark.parametrize("constant", [np.float32(2), np.ones((3, 4), np.float32)])
def test_other_arithmetic_is_none(constant: np.ndarray) -> None:
    graph = Graph((3, 4)).op("Sub", constant).op("Mul", constant).op("Add", constant)

    assert find_merged(graph.model()) == ()


def test_an_unknown_exporter_gets_both_calls() -> None:
    assert "dynamo=True" in advice(conv("theirs"))
    assert "dynamo=False" in advice(conv("theirs"))
    assert "publish(module" in advice(conv("theirs"))
