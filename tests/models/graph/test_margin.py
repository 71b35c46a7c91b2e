"""How sure a network is: margins of its logits, against numpy."""

import numpy as np
import onnx
import pytest
from onnx import parser

from models.classification import ScoreKind
from models.graph.editor import GraphEditor
from models.graph.margin import MAX_MARGIN, choose_margin
from models.graph.observe import observe
from models.manifest import TensorSpec
from models.observation import mean_output
from tests.models.graph.oracle import Array, runtime


def network(last: str = "y = Identity(z)") -> onnx.ModelProto:
    """Logits, twice the input, and what is made of them."""
    model = parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 18]>
        logits (float[N, 5] x) => (float[N, 5] y)
        <float two = {{2.0}}>
        {{ z = Mul(x, two)  {last} }}
    """)
    onnx.checker.check_model(model, full_check=True)
    return model


def margins(model: onnx.ModelProto, rows: Array, scores: ScoreKind) -> Array:
    layer = choose_margin(GraphEditor(model), TensorSpec(name="y", datatype="FP32", shape=(-1, 5)), scores)
    assert layer is not None
    assert layer.num_features == 1
    (found,) = runtime(observe(model, [layer]), {"x": rows}, [mean_output(layer.name)]).values()
    return found


@pytest.mark.parametrize(
    ("last", "scores"), [("y = Identity(z)", "logits"), ("y = Softmax <axis = 1> (z)", "probabilities")]
)
def test_the_margin_is_that_of_the_two_largest_logits(last: str, scores: ScoreKind) -> None:
    rows = np.random.default_rng(0).normal(scale=3, size=(200, 5)).astype(np.float32)
    largest = np.sort(2 * rows.astype(np.float64), axis=1)
    expected = np.minimum(largest[:, -1] - largest[:, -2], MAX_MARGIN)
    assert 0 < np.mean(expected == MAX_MARGIN) < 1

    found = margins(network(last), rows, scores)

    np.testing.assert_allclose(found, expected[:, None], rtol=0, atol=1e-5)
    assert np.abs(found[:, 0] - (largest[:, -1] - largest[:, 0])).max() > 1  # those of other logits differ


def test_a_row_that_is_infinite_is_sure_and_equal_logits_have_no_margin() -> None:
    rows = np.array([[np.inf, 0, 0, 0, 0], [3, 3, 1, 0, 0]], np.float32)

    np.testing.assert_array_equal(margins(network(), rows, "logits"), [[MAX_MARGIN], [0]])


@pytest.mark.parametrize(("shape", "scores"), [((-1, 5), "probabilities"), ((-1, 1), "logits"), ((-1, 5, 2), "logits")])
def test_there_is_none_without_logits_of_classes(shape: tuple[int, ...], scores: ScoreKind) -> None:
    spec = TensorSpec(name="y", datatype="FP32", shape=shape)

    assert choose_margin(GraphEditor(network()), spec, scores) is None
