"""How sure a network is of its class: the margin of each row, as one more layer to watch.

Where rows are turned or partly covered, the moments of the layers hardly move, but the network is less sure. The layer
`margin` has one channel, the difference of the two largest logits of a row, which is the log odds of the first class
against the second. A margin counts as 10 at most, so that rows of which the network is surer do not decide the mean.
"""

import numpy as np

from models.classification import ScoreKind
from models.graph.added_nodes import AddedNodes
from models.graph.editor import GraphEditor
from models.manifest import Placement, TensorSpec, WatchedLayer

MAX_MARGIN = 10.0
"""In nats."""


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
    name = f"{output.name}.margin"
    return WatchedLayer(name=name, kind="margin", num_features=1, placement=Placement.outside(logits))


def add_margin(nodes: AddedNodes, tensor: str, output: str) -> None:
    """Add the nodes that compute the margins, shape (rows, 1).

    Args:
        nodes: of the layer so far.
        tensor: the logits, as float32, shape (rows, K).
        output: name of the result.
    """
    two = nodes.add("TopK", tensor, nodes.integers(2), unread=1, axis=-1)
    margin = nodes.add("MatMul", two, nodes.constant(np.array([[1], [-1]], np.float32)))
    nodes.add("Min", margin, nodes.constant(np.array(MAX_MARGIN, np.float32)), output=output)
