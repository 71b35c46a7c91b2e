"""Chooses tensors to watch in a graph that has no normalisation layer: outputs of activations, or of linear layers."""

from models.graph.editor import GraphEditor
from models.graph.nodes import FLOATS
from models.manifest import Placement, WatchedLayer

MOST = 8
"""Tensors that are chosen, evenly over the depth of the graph."""

_ACTIVATIONS = frozenset(
    {"Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "FastGelu", "HardSwish", "HardSigmoid", "Swish"}
    | {"Mish", "Softplus", "Softsign", "ThresholdedRelu", "Tanh", "Sigmoid", "Clip", "Erf"}
)
_CHANNELS_ON_AXIS_1 = frozenset({"Conv", "ConvTranspose", "FusedConv"})
_LINEAR = _CHANNELS_ON_AXIS_1 | {"Gemm", "MatMul", "Linear", "Scaler"}
_REASON = "it is no normalisation layer: there is nothing to fold or to re-calibrate"


def choose_activations(editor: GraphEditor) -> tuple[WatchedLayer, ...]:
    """Up to `MOST` tensors whose channels are known; the graph's float inputs where there is none.

    Their z units come from reference rows.

    Args:
        editor: of the folded graph.
    """
    produced = [(node.op_type, name) for node in editor.nodes for name in node.output if name]
    for op_types in (_ACTIVATIONS, _LINEAR):
        if found := _watchable(editor, [name for op_type, name in produced if op_type in op_types]):
            count = min(MOST, len(found))
            return tuple(found[(2 * index + 1) * len(found) // (2 * count)] for index in range(count))
    return tuple(_watchable(editor, sorted(editor.inputs)))


def _watchable(editor: GraphEditor, tensors: list[str]) -> list[WatchedLayer]:
    return [layer for tensor in tensors if (layer := _layer(editor, tensor)) is not None]


def _layer(editor: GraphEditor, tensor: str) -> WatchedLayer | None:
    dims = editor.shape(tensor)
    if dims is None or len(dims) < 2 or editor.element_type(tensor) not in FLOATS:
        return None
    axis = 1 if len(dims) > 2 and _is_convolved(editor, tensor) else len(dims) - 1
    size = dims[axis]
    if not isinstance(size, int) or size < 1:
        return None
    placement = Placement(kind="kept", reason=_REASON, tensor=tensor, axis=axis)
    return WatchedLayer(name=tensor, kind="activation", num_features=size, placement=placement)


def _is_convolved(editor: GraphEditor, tensor: str) -> bool:
    """Whether a convolution is the next linear layer before a tensor, or the tensor is an image of the input."""
    while (node := editor.producer(tensor)) is not None:
        if node.op_type in _LINEAR:
            return node.op_type in _CHANNELS_ON_AXIS_1
        if node.op_type == "Transpose" or not node.input:
            return False
        tensor = node.input[0]
    return len(editor.shape(tensor) or ()) == 4
