"""A graph in which rows reach each other is found out when it is loaded."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from models.datatypes import Datatype
from models.manifest import TensorSpec
from models.runtime import engine as engine_module
from models.runtime.engine import MOST_ROWS, Engine
from models.runtime.session import run_session

SPECS = (TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),)


def graph(*nodes: onnx.NodeProto, initializers: dict[str, np.ndarray] | None = None, datatype: int = 1) -> bytes:
    """A graph from x, shape (N, 4), to y."""
    x = helper.make_tensor_value_info("x", datatype, ["N", 4])
    y = helper.make_tensor_value_info("y", datatype, None)
    constants = [numpy_helper.from_array(array, name) for name, array in (initializers or {}).items()]
    made = helper.make_graph(list(nodes), "test", [x], [y], constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def node(operator: str, *inputs: str, output: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], **attributes)


WEIGHT = {"w": np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)}
AXIS = {"axis": np.array(0, np.int64)}
ROW_WISE = {
    "product": graph(node("MatMul", "x", "w"), initializers=WEIGHT),
    "softmax of a row": graph(node("Softmax", "x", axis=1)),
    "cumulative sum in a row": graph(node("CumSum", "x", "axis"), initializers={"axis": np.array(1, np.int64)}),
    "NaN": graph(node("Sqrt", "x")),
}
NOT_ROW_WISE = {
    "softmax over rows": graph(node("Softmax", "x", axis=0)),
    "mean over rows": graph(node("ReduceMean", "x", axes=[0], keepdims=1)),
    "centred": graph(node("ReduceMean", "x", output="m", axes=[0], keepdims=1), node("Sub", "x", "m")),
    "from the first row on": graph(node("CumSum", "x", "axis"), initializers=AXIS),
    "from the last row on": graph(node("CumSum", "x", "axis", reverse=1), initializers=AXIS),
    "random": graph(node("RandomNormalLike", "x")),
}


@pytest.mark.parametrize("made", ROW_WISE.values(), ids=ROW_WISE.keys())
def test_rows_that_know_nothing_of_each_other_may_share_a_run(made: bytes) -> None:
    assert Engine(made, SPECS).is_row_wise


@pytest.mark.parametrize("made", NOT_ROW_WISE.values(), ids=NOT_ROW_WISE.keys())
def test_rows_that_change_each_other_may_not(made: bytes) -> None:
    assert not Engine(made, SPECS).is_row_wise


@pytest.mark.parametrize("datatype", ["INT64", "BOOL", "FP64"])
def test_other_types_are_tried_as_well(datatype: Datatype) -> None:
    kind = {"INT64": TensorProto.INT64, "BOOL": TensorProto.BOOL, "FP64": TensorProto.DOUBLE}[datatype]
    made = graph(node("Identity", "x"), datatype=kind)

    assert Engine(made, (TensorSpec(name="x", datatype=datatype, shape=(-1, 4)),)).is_row_wise


def test_without_a_batch_axis_nothing_is_joined() -> None:
    assert not Engine(ROW_WISE["product"], SPECS, batched=False).is_row_wise


@pytest.mark.parametrize(
    ("made", "sizes"),
    [(ROW_WISE["product"], [128, 128, 44]), (NOT_ROW_WISE["softmax over rows"], [300])],
    ids=["row-wise", "not row-wise"],
)
def test_many_rows_run_in_parts_where_rows_know_nothing_of_each_other(
    monkeypatch: pytest.MonkeyPatch, made: bytes, sizes: list[int]
) -> None:
    engine = Engine(made, SPECS)
    x = np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
    (expected,) = ReferenceEvaluator(onnx.load_from_string(made)).run(None, {"x": x})
    met: list[int] = []

    def spy(session: Any, names: Any, inputs: Any, options: Any) -> Any:
        met.append(len(inputs["x"]))
        return run_session(session, names, inputs, options)

    monkeypatch.setattr(engine_module, "run_session", spy)
    found = engine.run({"x": x})["y"]

    assert (met, MOST_ROWS) == (sizes, 128)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
