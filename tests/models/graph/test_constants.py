"""Constants that are computed in the graph are seen through where that is safe, and only there."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from models.errors import GraphError
from models.graph.editor import GraphEditor
from tests.models.graph.cases import Graph
from tests.models.graph.oracle import Array

FLOAT = onnx.TensorProto.FLOAT


def value_of(graph: Graph, tensor: str) -> Array | None:
    """The tensor as a graph in float32 has it."""
    return GraphEditor(graph.model(tensor, dtype=np.float32)).constant(tensor)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"value": numpy_helper.from_array(np.float32([1, 2]))}, [1.0, 2.0]),
        ({"value_float": 0.5}, 0.5),
        ({"value_floats": [0.5, 1.5]}, [0.5, 1.5]),
        ({"value_int": 3}, 3),
        ({"value_ints": [3, 4]}, [3, 4]),
        ({"value_string": "text"}, None),
    ],
)
def test_constant_nodes(attributes: dict[str, object], expected: object) -> None:
    graph = Graph()
    value = value_of(graph, graph.op("Constant", **attributes))

    assert expected == (None if value is None else value.tolist())


def test_floats_are_rounded_as_the_graph_rounds_them() -> None:
    graph = Graph()
    tenth = graph.op("Constant", value=numpy_helper.from_array(np.array(0.1)))

    assert value_of(graph, graph.op("Cast", tenth, to=FLOAT)) == np.float64(np.float32(0.1))


def test_integers_are_cast() -> None:
    graph = Graph()

    np.testing.assert_array_equal(value_of(graph, graph.op("Cast", graph.constant([1, 2]), to=FLOAT)), [1.0, 2.0])


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, None), ({"start": 1}, [3, 4]), ({"start": 1, "end": 2}, [3]), ({"start": -1}, [4]), ({"end": 1}, None)],
)
def test_a_shape_is_a_constant_where_it_is_not_free(options: dict[str, int], expected: object) -> None:
    graph = Graph()
    value = value_of(graph, graph.op("Shape", graph.input(3, 4), **options))

    assert expected == (None if value is None else value.tolist())


def test_the_shape_of_what_has_no_known_rank_is_not_a_constant() -> None:
    graph = Graph()
    model = graph.model(graph.op("Shape", graph.input(3), name="shape"))
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", FLOAT, None))

    assert GraphEditor(model).constant("shape_out") is None


def test_expansion_follows_broadcasting() -> None:
    graph = Graph()
    value = value_of(graph, graph.op("Expand", graph.constant([[1.0], [2.0]]), graph.constant([3, 1, 2])))

    assert value is not None
    np.testing.assert_array_equal(np.broadcast_to([[1.0], [2.0]], (3, 2, 2)), value)


def test_a_huge_expansion_is_not_carried_out() -> None:
    graph = Graph()

    assert value_of(graph, graph.op("Expand", graph.constant(1.0), graph.constant([1 << 40]))) is None


def test_a_type_that_is_not_known_leaves_no_constant() -> None:
    graph = Graph()
    like = graph.op("CastLike", graph.constant(1.0), graph.op("Relu", graph.input(3)), name="like")
    model = graph.model(like)
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    model.graph.output[0].type.tensor_type.elem_type = 0

    assert GraphEditor(model).constant(like) is None


def test_a_graph_that_uses_an_unknown_domain_is_refused() -> None:
    graph = Graph()
    model = graph.model(graph.op("Relu", graph.input(3), name="relu"))
    model.graph.node[0].domain = "com.example"

    with pytest.raises(GraphError, match=r"the shapes of the graph cannot be inferred: .*com\.example"):
        GraphEditor(model).shape("relu_out")


def test_what_depends_on_the_input_is_not_a_constant() -> None:
    graph = Graph()
    x = graph.input(3)

    assert value_of(graph, graph.op("Expand", graph.constant(1.0), graph.op("Shape", x))) is None
    assert value_of(graph, graph.op("Cast", x, to=FLOAT)) is None


def test_weights_that_are_computed_from_constants_are_constants() -> None:
    graph = Graph()
    weight = graph.weight(2, 3)
    turned = graph.op("Transpose", weight, perm=[1, 0])
    norm = graph.op("ReduceL2", turned, graph.constant([0]), keepdims=1)
    value = value_of(graph, graph.op("Div", turned, norm))

    expected = graph.constants[weight].T.astype(np.float32).astype(np.float64)
    assert value is not None
    np.testing.assert_allclose(value, expected / np.linalg.norm(expected, axis=0), rtol=1e-6)


def test_a_product_larger_than_its_factors_is_not_carried_out() -> None:
    graph = Graph()
    column, row = graph.constant(np.ones((2000, 1))), graph.constant(np.ones((1, 2000)))

    assert value_of(graph, graph.op("Mul", column, row)) is None
    assert value_of(graph, graph.op("Mul", column, graph.constant(np.ones((1, 2))))) is not None


def test_constants_that_follow_from_shapes_that_follow_from_constants_are_stored() -> None:
    """torch's older exporter cuts a tensor to the length of one that was cut in the same way."""
    graph = Graph()

    def cut(tensor: str, like: str) -> str:
        length = graph.op("Gather", graph.op("Shape", like), graph.constant(np.array([2])), axis=0)
        zero, axis = (graph.op("Unsqueeze", graph.constant(value), graph.constant(np.array([0]))) for value in (0, 2))
        return graph.op("Slice", tensor, zero, length, axis)

    x = graph.input(3, 9)
    shorter = cut(x, graph.conv(x, 3, 4, rank=1))
    editor = GraphEditor(graph.model(cut(x, graph.conv(shorter, 3, 4, rank=1))))
    editor.store_computed_constants()

    shapes = [editor.shape(node.output[0]) for node in editor.nodes if node.op_type == "Slice"]
    assert [shape and shape[1:] for shape in shapes] == [(3, 7), (3, 5)]
