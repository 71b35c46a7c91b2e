"""Folds batch normalisation into the layers around it, exactly, and records where each layer went.

A layer in inference mode is one affine map per channel (Ioffe & Szegedy 2015, algorithm 2, step 11). It goes backward
into the weights before it; else forward into those after it; else into all weights around it, by a joint change of
basis; else it stays, as one scale and one shift, with a reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import helper

from models.batchnorm import Float64
from models.errors import GraphError
from models.graph.editor import GraphEditor
from models.graph.find import OP_TYPE, FoundLayer, find
from models.graph.folding import backward, forward, joint
from models.graph.folding.channel_map import ChannelMap, Refusal
from models.graph.folding.magnitudes import LARGEST_SCALE, require_divisible, require_recoverable
from models.graph.folding.plan import Plan
from models.graph.folding.sequences import take_parts_directly
from models.graph.folding.whole_slices import remove_whole_slices
from models.graph.nodes import is_standard
from models.graph.reshapes import state_reshaped_sizes
from models.manifest import Channels, NormLayer, Placement, channels
from models.stored_graph import NO_WEIGHTS, Weights


@dataclass(frozen=True)
class Folded:
    """A graph without BatchNormalization nodes, and the layers that it had."""

    model: onnx.ModelProto
    norm_layers: tuple[NormLayer, ...]


def fold(source: onnx.ModelProto, weights: Weights = NO_WEIGHTS) -> Folded:
    """Fold every layer of a graph in inference mode; `source` is not changed.

    The result computes the same function, up to one rounding of the weights to their own type, and has the same inputs
    and outputs. A graph without such layers comes back as it is.

    Args:
        source: the graph.
        weights: files that tensors of the graph are in. Those that do not change stay there.

    Raises:
        TrainingModeGraph, MissingStatistics, GraphError: as `models.graph.find.find`; GraphError also when shapes or
            the rank of a layer's input cannot be inferred, or the layer's own numbers overflow the type of the graph.
    """
    layers = find(source, weights)
    if not layers:
        unchanged = onnx.ModelProto()
        unchanged.CopyFrom(source)
        return Folded(unchanged, ())
    folding = _Folding(source, weights)
    folding.editor.store_computed_constants()
    state_reshaped_sizes(folding.editor)
    take_parts_directly(folding.editor)
    remove_whole_slices(folding.editor)
    for layer in layers:
        folding.fold(layer)
    folding.fold_jointly()
    model = folding.editor.finish()
    if any(is_standard(node, OP_TYPE) for node in model.graph.node):
        raise GraphError(f"a {OP_TYPE} node is left after folding: this is a defect of Denge")
    return Folded(model, tuple(_record(layer, folding.places[layer.name]) for layer in layers))


@dataclass
class _Place:
    """A mutable `Placement`: ``y = scale * tensor + shift`` on axis 1."""

    kind: Literal["folded_back", "folded_forward", "kept"]
    tensor: str
    scale: Float64
    shift: Float64
    into: tuple[str, ...] = ()
    reason: str | None = None
    proven: bool = False

    def restate(self, change: ChannelMap) -> None:
        """Account for a change of the tensor.

        From y = a * old + b and new = s * old + t follows y = a/s * new + (b - a/s * t).
        """
        self.scale = self.scale / change.scale
        self.shift = self.shift - self.scale * change.shift


@dataclass(frozen=True)
class _Kept:
    """A layer that neither side takes alone, as a scale and a shift, and the reasons for both sides."""

    layer: FoundLayer
    scale: onnx.NodeProto
    shift: onnx.NodeProto
    not_back: Refusal
    not_forward: Refusal


class _Folding:
    """The graph while its layers are folded, and the place of each layer that was."""

    def __init__(self, source: onnx.ModelProto, weights: Weights) -> None:
        self.editor = GraphEditor(source, weights)
        self.places: dict[str, _Place] = {}
        self._kept: list[_Kept] = []

    def fold(self, layer: FoundLayer) -> None:
        """Fold one layer, after those before it in the graph."""
        node = self.editor.producer(layer.output)
        if node is None:
            raise GraphError(f"layer '{layer.name}': no node computes '{layer.output}'")
        affine = ChannelMap.on(1, *layer.scale_shift)
        largest = np.abs(affine.scale).max()
        if largest > LARGEST_SCALE:
            self._keep(layer, node, affine, f"its scale of {largest:.3g} is beyond {LARGEST_SCALE:g}")
            return
        try:
            self._fold_back(layer, node, backward.plan(self.editor, node, 0, affine))
        except Refusal as not_back:
            try:
                self._fold_forward(layer, node, affine, forward.plan(self.editor, layer.output, affine))
            except Refusal as not_forward:
                nodes = self._keep(layer, node, affine, _reason(not_back, not_forward))
                self.places[layer.name].proven = not_back.proven and not_forward.proven
                if len(nodes) == 2:
                    self._kept.append(_Kept(layer, nodes[0], nodes[1], not_back, not_forward))

    def fold_jointly(self) -> None:
        """Fold those kept layers for which everything around them can make up, the last first.

        Layers that read a part of what a later one reads are restated by its fold, not the other way round.
        """
        for kept in reversed(self._kept):
            nodes, place = (kept.scale, kept.shift), self.places[kept.layer.name]
            given, result = kept.scale.input[0], kept.shift.output[0]
            affine = ChannelMap.on(1, *(self._constant(node).reshape(-1) for node in nodes))
            reasons = []
            for alone, tensor, change in ((kept.not_back, given, affine), (kept.not_forward, result, affine)):
                try:
                    if tensor == given:
                        require_recoverable(kept.layer.gamma, kept.layer.beta)
                    else:
                        require_divisible(kept.layer.gamma)
                    plan = joint.plan(self.editor, nodes, {tensor: change if tensor == given else change.inverse()})
                    self._take_out(nodes, given, result, plan, keep_name=tensor == given)
                except Refusal as refusal:
                    reasons.append(refusal if refusal.proven and not alone.proven else alone)
                    continue
                place.kind = "folded_back" if tensor == given else "folded_forward"
                place.into, place.reason, place.proven = tuple(plan.into), None, False
                break
            else:
                place.reason, place.proven = _reason(*reasons), all(reason.proven for reason in reasons)
        present = {node.name for node in self.editor.nodes}  # not those of kept layers that made up for others first
        for place in self.places.values():
            place.into = tuple(name for name in place.into if name in present)

    def _constant(self, node: onnx.NodeProto) -> Float64:
        value = self.editor.constant(node.input[1])
        if value is None:
            raise GraphError(f"node '{node.name}': its constant is gone: this is a defect of Denge")
        return value

    def _fold_back(self, layer: FoundLayer, node: onnx.NodeProto, plan: Plan) -> None:
        """Apply the plan. The tensor before the layer becomes the layer's output, and takes its name."""
        self._take_out([node], node.input[0], layer.output, plan, keep_name=True)
        one = np.ones_like(layer.gamma)
        self.places[layer.name] = _Place("folded_back", layer.output, one, 0 * one, tuple(plan.into))

    def _take_out(
        self, nodes: Sequence[onnx.NodeProto], given: str, result: str, plan: Plan, *, keep_name: bool
    ) -> None:
        """Apply the plan, and have `given` take the place of what nodes compute of it.

        Args:
            nodes: of a layer.
            given, result: what they read and compute.
            plan: after which both are equal.
            keep_name: whether the tensor that is left has the name of `result`.

        Raises:
            Refusal: another layer could not be read any more. Nothing is changed then.
        """
        restated = [
            (place, self._readable_change(tensor, change, name))
            for tensor, change in plan.changed
            for name, place in self.places.items()
            if place.tensor == tensor
        ]
        plan.apply()
        for place, change in restated:
            place.restate(change)
        for node in nodes:
            self.editor.replace(node, [])
        old, new = (given, result) if keep_name else (result, given)
        self.editor.redirect(old, new)  # forward: all users; backward: what reads its shape, and other users
        if keep_name:
            self.editor.rename_output(old, new)
        for place in self.places.values():
            if place.tensor == old:
                place.tensor = new

    def _readable_change(self, tensor: str, change: ChannelMap, name: str) -> ChannelMap:
        """The change on axis 1, after which layer `name` can still be read at the tensor."""
        if not change.scale.all():
            raise Refusal(f"a scale of 0 would erase layer '{name}', which is read at '{tensor}'")
        return change.along(1, len(self.places[name].scale))

    def _fold_forward(self, layer: FoundLayer, node: onnx.NodeProto, affine: ChannelMap, plan: Plan) -> None:
        """Apply the plan. The layer's users read its input."""
        plan.apply()
        given = node.input[0]
        self.editor.replace(node, [])
        self.editor.redirect(layer.output, given)
        place = _Place("folded_forward", given, affine.scale, affine.shift, tuple(plan.into))
        self.places[layer.name] = place

    def _keep(self, layer: FoundLayer, node: onnx.NodeProto, affine: ChannelMap, reason: str) -> list[onnx.NodeProto]:
        """Replace the layer by Mul and Add, or by Sub, Mul and Add if its shift overflows the graph's type."""
        editor = self.editor
        dims = editor.shape(node.input[0]) or editor.shape(layer.output)
        if dims is None:
            raise GraphError(f"layer '{layer.name}': the rank of its input '{node.input[0]}' cannot be inferred")
        element_type = editor.element_type(layer.output)
        steps = [("Mul", affine.scale), ("Add", affine.shift)]
        if editor.overflows(affine.shift, element_type):
            steps = [("Sub", layer.mean), ("Mul", affine.scale), ("Add", layer.beta)]
        nodes, tensor = [], node.input[0]
        for op_type, value in steps:
            if editor.overflows(value, element_type):
                raise GraphError(f"layer '{layer.name}': {np.abs(value).max():.3g} overflows the type of the graph")
            per_channel = value.reshape(-1, *[1] * (len(dims) - 2))
            name = kept_name(layer.name, op_type)
            constant = editor.add_constant(f"{name}.constant", per_channel, element_type)
            result = layer.output if op_type == "Add" else editor.fresh(f"{name}.output")
            editor.declare(result, like=layer.output)
            nodes.append(helper.make_node(op_type, [tensor, constant], [result], editor.fresh(name)))
            tensor = result
        editor.replace(node, nodes)
        one = np.ones_like(layer.gamma)
        self.places[layer.name] = _Place("kept", layer.output, one, 0 * one, reason=reason)
        return nodes


def _reason(not_back: Refusal, not_forward: Refusal) -> str:
    return f"backward: {not_back}; forward: {not_forward}"


def kept_name(layer: str, op_type: str = "Add") -> str:
    """The name of a node that does the work of a layer that was kept."""
    return f"{layer}.{op_type.lower()}"


def _record(layer: FoundLayer, place: _Place) -> NormLayer:
    is_itself = bool((place.scale == 1).all() and (place.shift == 0).all())
    return NormLayer(
        name=layer.name,
        num_features=len(layer.gamma),
        running_mean=_shortest(layer.mean),
        running_var=_shortest(layer.var),
        gamma=_shortest(layer.gamma),
        beta=_shortest(layer.beta),
        eps=_shortest(np.array([layer.eps]))[0],
        momentum=_shortest(np.array([layer.momentum]))[0],
        placement=Placement(
            kind=place.kind,
            into=place.into,
            reason=place.reason,
            proven=place.proven,
            tensor=place.tensor,
            scale=None if is_itself else channels(place.scale),
            shift=None if is_itself else channels(place.shift),
        ),
    )


def _shortest(values: Float64) -> Channels:
    """As float32 if no bits are lost, so that the manifest has 0.1, not 0.10000000149011612."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    return channels(single if (single == values).all() else values)
