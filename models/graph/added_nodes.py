"""Nodes that are added to a graph, with names that it does not have."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.graph.editor import GraphEditor


class AddedNodes:
    """Nodes in the order in which they compute.

    Args:
        editor: of the graph that they are added to.
        prefix: of the names of nodes and of tensors between them.

    Attributes:
        nodes: made so far.
    """

    def __init__(self, editor: GraphEditor, prefix: str) -> None:
        self._editor = editor
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []

    def add(
        self, op_type: str, *inputs: str, output: str = "", unread: int = 0, **attributes: int | Sequence[int]
    ) -> str:
        """Add a node. Returns the name of its first output.

        Args:
            op_type: of the node.
            inputs: names of tensors.
            output: name of its first output; a new one by default.
            unread: further outputs, which nothing reads.
            attributes: of the node.
        """
        others = [self._fresh_output(op_type) for _ in range(unread)]
        return self._append([output or self._fresh_output(op_type), *others], op_type, inputs, **attributes)

    def integers(self, *values: int) -> str:
        """Add a constant of shape (n,), int64. Returns its name."""
        return self.constant(np.array(values, np.int64))

    def constant(self, value: NDArray[np.int64] | NDArray[np.float32]) -> str:
        """Add a constant. Returns its name."""
        return self._append([self._fresh_output("Constant")], "Constant", (), value=numpy_helper.from_array(value))

    def _append(self, outputs: Sequence[str], op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = self._editor.fresh(f"{self._prefix}.{op_type}.node")
        self.nodes.append(helper.make_node(op_type, inputs, outputs, name, **attributes))
        return outputs[0]

    def _fresh_output(self, part: str) -> str:
        return self._editor.fresh(f"{self._prefix}.{part}")
