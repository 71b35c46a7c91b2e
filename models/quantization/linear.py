"""The nodes that multiply by constant weights, in one form: a matrix of output channels by input channels."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from models.batchnorm import Float64
from models.graph.editor import GraphEditor
from models.graph.nodes import integer, is_standard, number


@dataclass(frozen=True)
class LinearNode:
    """A Conv, Gemm or MatMul with constant weights.

    Attributes:
        node: of the graph.
        weight: as the node has it, float64.
        bias: shape (O,); zeros where there is none.
        axis: of the weight that counts output channels.
        groups: of a convolution; 1 for the others.
    """

    node: onnx.NodeProto
    weight: Float64
    bias: Float64
    axis: int
    groups: int

    @classmethod
    def read(cls, editor: GraphEditor, node: onnx.NodeProto) -> "LinearNode | None":
        """The node, or None where it is another one, or its weights are computed or not of float32."""
        if not is_standard(node, "Conv", "Gemm", "MatMul") or editor.element_type(node.output[0]) != TensorProto.FLOAT:
            return None
        weight = editor.constant(node.input[1])
        bias = editor.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(())
        if weight is None or bias is None:
            return None
        axis = 0
        if node.op_type != "Conv":
            shape = editor.shape(node.input[0])
            scaled = number(node, "alpha", 1.0) != 1 or number(node, "beta", 1.0) != 1 or integer(node, "transA", 0)
            if scaled or weight.ndim != 2 or shape is None or len(shape) != 2:
                return None
            axis = 0 if integer(node, "transB", 0) else 1
        outputs = weight.shape[axis]
        if bias.size not in (1, outputs):
            return None
        return cls(node, weight, np.broadcast_to(bias.reshape(-1), (outputs,)), axis, integer(node, "group", 1))

    @property
    def takes_bias(self) -> bool:
        """Whether the operator has an input for a bias."""
        return bool(self.node.op_type != "MatMul")

    @property
    def num_inputs(self) -> int:
        """Channels of the input."""
        return int(self.rows(self.weight).shape[1]) * self.groups

    def rows(self, weight: Float64) -> Float64:
        """Weights in the form (output channels, input channels of a group, positions of the kernel)."""
        by_output = np.moveaxis(weight, self.axis, 0)
        return by_output.reshape(*by_output.shape[:2], -1)

    def per_output(self, values: Float64) -> Float64:
        """One number for each output channel, in a shape that broadcasts against the weight."""
        return values.reshape([-1 if axis == self.axis else 1 for axis in range(self.weight.ndim)])

    def per_input(self, values: Float64) -> Float64:
        """One number for each input channel, in a shape that broadcasts against the weight; for one group."""
        return values.reshape([-1 if axis == 1 - self.axis else 1 for axis in range(self.weight.ndim)])

    def expected_output(self, mean: Float64, weight: Float64 | None = None) -> Float64 | None:
        """The mean of the output for an input of this mean, shape (C,); None if that is of other channels.

        Args:
            mean: of the input, shape (C,). The padding of a convolution is left out.
            weight: other weights, without a bias.
        """
        total = self._apply(self.weight if weight is None else weight, mean)
        return total if total is None or weight is not None else total + self.bias

    def squared_weights(self, var: Float64) -> Float64 | None:
        """The variance of the output for independent values of this variance, shape (C,)."""
        return self._apply(self.weight**2, var)

    def _apply(self, weight: Float64, values: Float64) -> Float64 | None:
        if len(values) != self.num_inputs:
            return None
        by_output = self.rows(weight).sum(axis=2)
        by_group = np.repeat(values.reshape(self.groups, -1), len(by_output) // self.groups, axis=0)
        return np.asarray((by_output * by_group).sum(axis=1))
