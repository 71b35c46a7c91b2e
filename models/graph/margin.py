"""How sure a network is of its class: the margin of each row, as one more layer to watch.

Where rows are turned or partly covered, the moments of the layers hardly move, but the network is less sure. The layer
`margin` has one channel, the difference of the two largest logits of a row, which is the log odds of the first class
against the second. A margin counts as 10 at most, so that rows of which the network is surer do not decide the mean.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.classification import ScoreKind
from models.graph.editor import GraphEditor
from models.manifest import Placement, TensorSpec, WatchedLayer

MAX_MARGIN = 10.0
"""In nats."""

_REASON = "it is no layer of the network: there is nothing to fold or to re-calibrate"


def choose_margin(editor: GraphEditor, output: TensorSpec, scores: ScoreKind) -> WatchedLayer | None:
    """The layer of margins; None where the network does not classify, or has probabilities that no Softmax computes.

    Args:
        editor: of the folded graph.
        output: with the scores.
        scores: what they are.
    """
    if output.num_classes is None:
        return None
    producer, logits = editor.producer(output.name), output.name
    if producer is not None and producer.op_type == "Softmax":
        logits = producer.input[0]
    elif scores == "probabilities":
        return None
    placement = Placement(kind="kept", reason=_REASON, tensor=logits, axis=1)
    return WatchedLayer(name=f"{output.name}.margin", kind="margin", num_features=1, placement=placement)


def margin_nodes(editor: GraphEditor, tensor: str, output: str) -> Sequence[onnx.NodeProto]:
    """The nodes that compute the margins, shape (rows, 1).

    Args:
        editor: of the folded graph.
        tensor: the logits, as float32, shape (rows, K).
        output: name of the result.
    """
    names = {part: editor.fresh(f"{output}.{part}") for part in ("two", "signs", "most", "largest", "places", "margin")}
    constants: dict[str, NDArray[np.int64] | NDArray[np.float32]] = {
        names["two"]: np.array([2], np.int64),
        names["signs"]: np.array([[1], [-1]], np.float32),
        names["most"]: np.array(MAX_MARGIN, np.float32),
    }
    return [
        *(
            helper.make_node("Constant", [], [name], f"{name}.node", value=numpy_helper.from_array(value))
            for name, value in constants.items()
        ),
        helper.make_node(
            "TopK", [tensor, names["two"]], [names["largest"], names["places"]], f"{names['largest']}.node", axis=-1
        ),
        helper.make_node("MatMul", [names["largest"], names["signs"]], [names["margin"]], f"{names['margin']}.node"),
        helper.make_node("Min", [names["margin"], names["most"]], [output], f"{output}.node"),
    ]
