"""Operators of other frameworks in ONNX files."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.errors import GraphError
from models.graph.load import serialize
from models.importing.onnx import import_graph, read
from models.model_info import ModelInfo
from models.runtime.load import load


def write(path: Path, *op_types: str) -> Path:
    names = [f"t{number}" for number in range(len(op_types) + 1)]
    nodes = [helper.make_node(one, [names[at]], [names[at + 1]], one) for at, one in enumerate(op_types)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 3]) for name in (names[0], names[-1])]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:])
    onnx.save(helper.make_model(graph, producer_name="tf2onnx", opset_imports=[helper.make_opsetid("", 15)]), path)
    return path


def test_erfc_is_one_minus_erf(tmp_path: Path) -> None:
    """Keras' GELU has it, and tf2onnx leaves it as it is."""
    from scipy.special import erfc  # noqa: PLC0415 - an oracle of one test

    source, weights = read(write(tmp_path / "gelu.onnx", "Neg", "Erfc"))
    bundle = import_graph(source, ModelInfo("gelu"), weights=weights)
    rows = np.linspace(-3, 3, 12, dtype=np.float32).reshape(4, 3)

    for graph in (bundle.folded, serialize(source)):
        (actual,) = load(graph, optimize=False)({"t0": rows}).values()
        np.testing.assert_allclose(actual, erfc(-rows), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("op_types", "message"),
    [
        (("StatefulPartitionedCall", "Relu"), "StatefulPartitionedCall. .*KERAS_BACKEND=torch"),
        (("Relu", "StatelessRandomUniformV2"), "StatelessRandomUniformV2. .*without its layers for augmentation"),
    ],
)
def test_others_are_refused_with_their_names_and_a_way_out(tmp_path: Path, op_types: tuple[str], message: str) -> None:
    with pytest.raises(GraphError, match=f"operators that ONNX does not have: {message}"):
        read(write(tmp_path / "foreign.onnx", *op_types))


def test_text_is_made_lower_case_on_a_machine_without_the_locale_of_another(tmp_path: Path) -> None:
    """scikit-learn's text vectorizers state none, and onnxruntime's default is in few containers."""
    node = helper.make_node("StringNormalizer", ["text"], ["lower"], case_change_action="LOWER")
    text, lower = (helper.make_tensor_value_info(name, TensorProto.STRING, ["rows"]) for name in ("text", "lower"))
    graph = helper.make_graph([node], "graph", [text], [lower])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)]), tmp_path / "text.onnx")

    source, weights = read(tmp_path / "text.onnx")
    bundle = import_graph(source, ModelInfo("text"), weights=weights)

    rows = np.array(["ÜBER Çağ", "ΑΒΓ", "good Film"], object)
    (actual,) = load(bundle.folded, optimize=True)({"text": rows}).values()
    assert actual.tolist() == ["über çağ", "αβγ", "good film"]
