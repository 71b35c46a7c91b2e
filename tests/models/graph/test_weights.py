"""Weights in files that graphs share: `models.graph.weights`."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.errors import ExternalData, GraphError
from models.graph.load import parse, serialize
from models.graph.weights import WeightFiles, change, share_in, split_model
from models.runtime.load import load
from models.stored_graph import StoredGraph

RNG = np.random.default_rng(0)
FIRST = RNG.normal(size=(32, 16)).astype(np.float32)
SECOND = RNG.normal(size=(16, 32)).astype(np.float32)
X = {"x": RNG.normal(size=(3, 32)).astype(np.float32)}


def model(first: np.ndarray = FIRST, second: np.ndarray = SECOND) -> onnx.ModelProto:
    """``y = x @ first @ second + bias``."""
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["inner"]),
        helper.make_node("MatMul", ["inner", "second"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["y"]),
    ]
    weights = {"first": first, "second": second, "bias": np.ones(32, np.float32)}
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 32])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def stored(graph: onnx.ModelProto | None = None) -> StoredGraph:
    found = WeightFiles().store(graph or model(), "a.weights")
    assert isinstance(found, StoredGraph)
    return found


def located(location: str, **entries: str) -> StoredGraph:
    """A stored graph, one of whose tensors names another file."""

    def edit(graph: onnx.ModelProto) -> onnx.ModelProto:
        tensor = next(tensor for tensor in graph.graph.initializer if tensor.name == "first")
        for entry in tensor.external_data:
            entry.value = {"location": location, **entries}.get(entry.key, entry.value)
        return graph

    found = change(stored(), edit)
    assert isinstance(found, StoredGraph)
    return found


def test_a_stored_graph_has_its_large_weights_in_a_file_and_computes_the_same() -> None:
    graph = stored()

    assert len(graph.weights["a.weights"]) == FIRST.nbytes + SECOND.nbytes
    assert len(graph.model) < 1000
    for optimize in (False, True):
        expected = X["x"].astype(np.float64) @ FIRST @ SECOND + 1
        np.testing.assert_allclose(load(graph, optimize=optimize)(X)["y"], expected, rtol=1e-4, atol=1e-4)
    assert parse(graph) == parse(serialize(model()))


def test_a_weight_of_two_graphs_is_stored_once() -> None:
    files = WeightFiles()
    one = files.store(model(), "one.weights")
    other = files.store(model(first=-FIRST), "other.weights")
    again = files.store(model(), "again.weights")

    assert isinstance(one, StoredGraph)
    assert isinstance(other, StoredGraph)
    assert {name: len(data) for name, data in other.weights.items()} == {
        "one.weights": FIRST.nbytes + SECOND.nbytes,
        "other.weights": FIRST.nbytes,
    }
    assert again == one
    np.testing.assert_allclose(load(other, optimize=True)(X)["y"], X["x"] @ -FIRST @ SECOND + 1, rtol=1e-4, atol=1e-4)


def test_a_graph_that_is_kept_apart_has_copies_of_the_weights_of_that_file_only() -> None:
    files = WeightFiles()
    files.store(model(), "one.weights")
    files.store(model(first=-FIRST), "other.weights")
    shared, _ = split_model(files.store(model(first=-FIRST), "none.weights"))

    apart = files.store(shared, "apart.weights", apart_from="one.weights")
    again = files.store(model(), "again.weights", apart_from="one.weights")

    assert (share_in("one.weights", shared), share_in("apart.weights", shared)) == (
        pytest.approx(SECOND.nbytes / (FIRST.nbytes + SECOND.nbytes), abs=0.02),
        0.0,
    )
    assert isinstance(apart, StoredGraph)
    assert {name: len(data) for name, data in apart.weights.items()} == {
        "other.weights": FIRST.nbytes,
        "apart.weights": SECOND.nbytes,
    }
    np.testing.assert_allclose(load(apart, optimize=True)(X)["y"], X["x"] @ -FIRST @ SECOND + 1, rtol=1e-4, atol=1e-4)
    assert isinstance(again, StoredGraph)
    assert again.weights.keys() == {"again.weights", "apart.weights"}
    assert parse(again) == parse(serialize(model()))


def test_numbers_that_are_not_raw_bytes_are_stored_as_such() -> None:
    graph = model()
    graph.graph.initializer[0].CopyFrom(
        helper.make_tensor("first", TensorProto.FLOAT, FIRST.shape, FIRST.ravel().tolist())
    )

    assert stored(graph) == stored()


def test_a_graph_of_small_tensors_is_complete_as_it_is() -> None:
    small = model(FIRST[:, :4], SECOND[:4])

    assert WeightFiles().store(small, "a.weights") == serialize(small)


def test_a_stored_graph_can_be_opened_as_an_onnx_file_beside_its_weights(tmp_path: Path) -> None:
    graph = stored()
    (tmp_path / "a.onnx").write_bytes(graph.model)
    (tmp_path / "a.weights").write_bytes(graph.weights["a.weights"])

    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])

    np.testing.assert_array_equal(session.run(None, X)[0], load(graph, optimize=True)(X)["y"])


@pytest.mark.parametrize("is_link", [False, True])
def test_no_file_is_read_but_those_of_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_link: bool
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    outside = tmp_path / "secret"
    outside.write_bytes(FIRST.tobytes() * 2)
    if is_link:
        (inside / "link").symlink_to(outside)
    else:
        (inside / "link").write_bytes(outside.read_bytes())
    monkeypatch.chdir(inside)
    for location in ("link", "../secret", str(outside), "x/../a.weights", "", "\\\\a.weights"):
        with pytest.raises(ExternalData, match="does not belong to the graph"):
            parse(located(location))
        for optimize in (False, True):
            with pytest.raises(GraphError):
                load(located(location), optimize=optimize)


@pytest.mark.parametrize(
    "entries", [{"offset": "4096"}, {"offset": "-64"}, {"length": "9999999999"}, {"length": "4"}, {"offset": "x"}]
)
def test_a_place_that_is_not_in_the_file_is_refused(entries: dict[str, str]) -> None:
    with pytest.raises(GraphError):
        parse(located("a.weights", **entries))
    with pytest.raises(GraphError):
        load(located("a.weights", **entries), optimize=False)
