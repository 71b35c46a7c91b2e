"""Maps beside nodes with two computed operands, whose axes are aligned from the right and broadcast.

c = a * b      s c + t = (s a) b + t
c = A B        s c + t = A (s B + t) where the rows of A add up to 1, and A (s B) + t elsewhere; likewise for A
"""

from collections.abc import Iterator

import numpy as np
import onnx

from models.graph.editor import GraphEditor
from models.graph.folding.channel_map import ChannelMap, Refusal
from models.graph.folding.nonlinear import EVERY_NUMBER, SHAPES, origin, reach
from models.graph.folding.passing import PASSING
from models.graph.folding.step import Step, add_after, shape
from models.graph.folding.weighted_means import takes_means
from models.graph.nodes import is_standard, label

_MOST_VALUES = 1 << 20
"""In the matrix whose rank is taken."""


def of_operand(editor: GraphEditor, node: onnx.NodeProto, slot: int, required: ChannelMap) -> ChannelMap:
    """The map at an operand, which has all axes of the map at the result.

    Raises:
        Refusal: it is broadcast over some of them.
    """
    dims = shape(editor, node.input[slot])
    moved = len(dims) - len(shape(editor, node.output[0]))
    for axis, size in zip(required.axes, required.scale.shape, strict=True):
        is_whole = axis + moved >= 0 and dims[axis + moved] == size
        if not is_whole and (axis != required.repeating or axis + moved < 0 or isinstance(dims[axis + moved], int)):
            raise Refusal(f"{label(node)} broadcasts '{node.input[slot]}' over the channels")
    return required.renumber(lambda axis: axis + moved)


def of_result(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> ChannelMap:
    """The map at the result, where that at an operand is given."""
    moved = len(shape(editor, node.output[0])) - len(shape(editor, node.input[slot]))
    return given.renumber(lambda axis: axis + moved)


def steps_back(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> list[Step]:
    """The ways in which one operand of a Mul, Div or MatMul takes a map; another reason than its weights stops none.

    Raises:
        Refusal: there is none.
    """
    found: list[Step] = []
    refusals: list[Refusal] = []
    for slot in (0,) if node.op_type == "Div" else (0, 1):
        try:
            operand = _of_factor(editor, node, slot, required)
            if not required.has_shift or (node.op_type == "MatMul" and takes_means(editor, node, slot)):
                found.append(Step((), ((slot, operand),), is_choice=True, is_factor=True))
            else:
                _, shift = required.broadcast(len(shape(editor, node.output[0])))
                edit = add_after(editor, node, shift)
                found.append(Step((edit,), ((slot, operand.scaling()),), is_choice=True, is_factor=True))
        except Refusal as refusal:
            refusals.append(refusal)
    if not found:
        raise refusals[0].because(exceeds_products(editor, node, required))
    return found


def step_forward(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    """How a MatMul of two computed tensors, or a Mul or Div, passes the map of one of them on.

    Raises:
        Refusal: it does not.
    """
    if node.op_type != "MatMul":
        is_passed = not given.has_shift and not (node.op_type == "Div" and slot == 1)
    else:
        contracted = len(shape(editor, node.input[slot])) - (1 if slot == 0 else 2)
        is_passed = contracted not in given.axes and (not given.has_shift or takes_means(editor, node, slot))
    if not is_passed:
        raise Refusal(f"{label(node)} is between the layer and the weights after it")
    return Step(onward=((0, of_result(editor, node, slot, given)),), is_choice=True, is_factor=True)


def exceeds_products(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> str | None:
    """Why products of computed matrices, and sums of them, cannot take a map, whatever computes the matrices.

    Heads that share a matrix B have all of their rows q B among the combinations of its K rows. Scaled in different
    ways they are combinations of more rows: those of B diag(s) for the s of each head. Rows q of every kind are taken
    to occur beside one B.

    Returns:
        The numbers of rows; None where they show nothing.
    """
    terms = list(_terms(editor, node, required.scaling()))
    roots = {root: inner for term in terms if term is not None for root, inner in [term[:2]]}
    if not terms or len(roots) == 0 or None in terms:
        return None
    scales = next(term[2] for term in terms if term is not None)
    inner = next(iter(roots.values()))
    if scales.size * inner > _MOST_VALUES:
        return None
    shared = np.random.default_rng(0).normal(size=(inner, scales.shape[-1]))
    needed = int(np.linalg.matrix_rank((shared * scales[:, None, :]).reshape(-1, scales.shape[-1])))
    there = sum(roots.values())
    if needed <= there:
        return None
    return f"its {len(scales)} heads share matrices of {there} rows, and would need {needed}, as their scales differ"


def _of_factor(editor: GraphEditor, node: onnx.NodeProto, slot: int, required: ChannelMap) -> ChannelMap:
    if node.op_type == "MatMul":
        rank = len(shape(editor, node.output[0]))
        if min(rank, *(len(shape(editor, name)) for name in node.input)) < 2:
            raise Refusal(f"{label(node)} multiplies by a vector")
        if (rank - 1 if slot == 0 else rank - 2) in required.axes:
            raise Refusal(f"{label(node)} multiplies two computed tensors, along axes of both of which the map differs")
    return of_operand(editor, node, slot, required)


def _terms(
    editor: GraphEditor, node: onnx.NodeProto | None, required: ChannelMap
) -> Iterator[tuple[str, int, np.ndarray] | None]:
    """The products that are added: what the rows come from, their length, and the scales by head and value.

    None stands for a term that is something else.
    """
    try:
        if node is not None and is_standard(node, "Add", "Sub"):
            for slot in (0, 1):
                yield from _terms(editor, editor.producer(node.input[slot]), of_operand(editor, node, slot, required))
        elif node is not None and is_standard(node, *SHAPES):
            passed = PASSING[node.op_type](editor, node, required, True)
            yield from _terms(editor, editor.producer(node.input[0]), passed)
        else:
            yield None if node is None or not is_standard(node, "MatMul") else _product(editor, node, required)
    except Refusal:
        yield None


def _product(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> tuple[str, int, np.ndarray] | None:
    rank, shared = len(shape(editor, node.output[0])), shape(editor, node.input[1])
    moved = len(shared) - rank
    heads = [axis for axis in required.axes if axis != rank - 1]
    is_shared = all(axis + moved < 0 or shared[axis + moved] == 1 for axis in heads)
    inner = shared[-2]
    is_free = all(reach(editor, name) == EVERY_NUMBER for name in node.input)
    if rank - 1 not in required.axes or rank - 2 in heads or not heads or not is_shared or not is_free:
        return None
    scales = required.scale.reshape(-1, required.scale.shape[-1])
    return (origin(editor, node.input[0]), inner, scales) if isinstance(inner, int) else None
