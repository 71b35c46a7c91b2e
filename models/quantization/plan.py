"""Which nodes of a graph compute in 8 bits, and which of its tensors are quantised for that.

A convolution or linear layer does where its weights are constants and the range of its input is known. Sums, means and
concatenations do where all of their inputs are quantised anyway. What only moves values keeps the scale of its input.
An output of the network stays float.
"""

from dataclasses import dataclass, field

import onnx

from models.graph.editor import GraphEditor
from models.graph.nodes import is_standard, label
from models.quantization.linear import LinearNode
from models.quantization.tensor_statistics import Statistics

_JOINING = ("Add", "AveragePool", "Concat", "GlobalAveragePool")
_MOVING = ("Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose")


@dataclass
class Plan:
    """What is quantised.

    Attributes:
        linear: the nodes with weights.
        scales: tensors to quantise, each with the tensor whose range it has: itself, but for values that only move.
        left: the nodes with weights that stay float, by label, and why.
    """

    linear: list[LinearNode] = field(default_factory=list)
    scales: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, editor: GraphEditor, statistics: Statistics) -> "Plan":
        """For a graph whose nodes are in the order in which they run."""
        plan = cls()
        for node in editor.nodes:
            if is_standard(node, "Conv", "Gemm", "MatMul"):
                plan._add_linear(editor, node, statistics)
            elif is_standard(node, *_MOVING) and node.input[0] in plan.scales and _is_inner(editor, node.output[0]):
                plan.scales[node.output[0]] = plan.scales[node.input[0]]
            elif is_standard(node, *_JOINING) and all(name in plan.scales for name in node.input):
                plan._add_output(editor, node, statistics)
        return plan

    def _add_linear(self, editor: GraphEditor, node: onnx.NodeProto, statistics: Statistics) -> None:
        linear = LinearNode.read(editor, node)
        if linear is None:
            if any(editor.constant(name) is not None for name in node.input[:2]):
                self.left[label(node)] = "its weights are computed, not of float32, or not of a plain linear layer"
            return
        if node.input[0] not in statistics:
            self.left[label(node)] = f"the range of its input '{node.input[0]}' is not known"
        elif node.op_type == "Conv" and not self._output_of(editor, node, statistics):
            self.left[label(node)] = "the range of its output is not known, or it is an output of the network"
        else:
            self.linear.append(linear)
            self.scales.setdefault(node.input[0], node.input[0])
            self._add_output(editor, node, statistics)

    def _add_output(self, editor: GraphEditor, node: onnx.NodeProto, statistics: Statistics) -> None:
        for tensor in self._output_of(editor, node, statistics):
            self.scales[tensor] = tensor

    @staticmethod
    def _output_of(editor: GraphEditor, node: onnx.NodeProto, statistics: Statistics) -> list[str]:
        """The tensor at which the output of a node is quantised: behind a rectifier that follows."""
        tensor = node.output[0]
        users = editor.users(tensor)
        if len(users) == 1 and is_standard(users[0], "Relu", "Clip"):
            tensor = users[0].output[0]
        return [tensor] if tensor in statistics and _is_inner(editor, tensor) else []


def _is_inner(editor: GraphEditor, tensor: str) -> bool:
    return tensor not in editor.outputs
