"""Graphs that compute in half precision. The oracle is the float32 graph, whose values are rounded."""

import onnx
import pytest

from models.errors import GraphError
from models.parity.changes import AnswerChanges
from models.runtime.float16 import to_float16
from models.runtime.load import load
from tests.bundles import image_bundle, tiny_bundle


@pytest.mark.parametrize("bundle", [tiny_bundle(), image_bundle()], ids=["tiny", "images"])
def test_the_answers_are_those_of_float32_up_to_rounding(bundle) -> None:  # type: ignore[no-untyped-def]
    half = to_float16(bundle.folded)

    exact, rounded = load(bundle.folded, optimize=True), load(half, optimize=True)
    changes = AnswerChanges.between(exact, rounded, bundle.manifest, None)

    changes.validate(min_agreement=0.9)
    assert 1e-5 < changes.largest.relative < 1e-2  # float32 would differ by less
    model = onnx.load_from_string(half)
    types = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    assert types == {onnx.TensorProto.FLOAT}
    assert any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(GraphError):
        to_float16(b"no graph")
