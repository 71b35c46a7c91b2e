"""Weights of Conv, ConvTranspose and Gemm nodes, by output channel."""

import numpy as np
import onnx

from models.batchnorm import Float64
from models.datatypes import Array
from models.graph.nodes import integer
from models.importing.trained import ROUNDINGS


def laid_out(node: onnx.NodeProto, weight: Array) -> Array:
    """A trained weight in the layout of the node's."""
    return weight.T if node.op_type == "Gemm" and not integer(node, "transB", 0) else weight


def rows(node: onnx.NodeProto, weight: Array) -> Float64:
    """The weight of a node with its output channels first: shape (O, all others)."""
    values = weight.astype(np.float64)
    if node.op_type == "Gemm":
        return values if integer(node, "transB", 0) else values.T
    if node.op_type == "ConvTranspose":
        group = integer(node, "group", 1)
        grouped = values.reshape(group, values.shape[0] // group, values.shape[1], -1)
        return grouped.transpose(0, 2, 1, 3).reshape(group * values.shape[1], -1)
    return values.reshape(len(values), -1)


def ratio(merged: Float64, original: Float64, unit: float) -> Float64 | None:
    """The factor of each channel, if the merged weight is the original one times a factor per channel: shape (O,)."""
    square = (original * original).sum(axis=1)
    if merged.shape != original.shape or not square.all():
        return None
    scale: Float64 = (merged * original).sum(axis=1) / square
    allowed = ROUNDINGS * unit * np.abs(scale[:, None] * original)
    return scale if (np.abs(merged - scale[:, None] * original) <= allowed).all() else None
