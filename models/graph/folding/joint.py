"""Plans a joint change of basis: tensors are scaled and shifted per channel, and all weights around make up for it.

    x' = s x + t     the weights before x compute x', and every reader of x takes x = (x' - t) / s into its own weights
    a + b = c        where one of the three is scaled, all are; shifts add up

So a layer folds whose input others read too, and one on a branch that is added to another. A kept layer takes any map:
it is a scale and a shift itself. Of the layers that read one tensor in different ways, one can fold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import onnx

from models.graph.editor import GraphEditor
from models.graph.folding import backward, certainty, forward
from models.graph.folding.certainty import Certainty
from models.graph.folding.channel_map import ChannelMap, Refusal
from models.graph.folding.nonlinear import EVERY_NUMBER, bend_moves, reach, swaps_ends
from models.graph.folding.parts import Part, PartialMap, joined_parts, taken
from models.graph.folding.plan import Plan
from models.graph.folding.step import Step, rewrite, shape
from models.graph.folding.sums import is_read_once, is_sum_of_branches, sign
from models.graph.nodes import integer, is_standard, label


def plan(editor: GraphEditor, layer: Sequence[onnx.NodeProto], changes: Mapping[str, ChannelMap]) -> Plan:
    """The edits after which tensors are changed by these maps, and everything else computes what it did.

    Args:
        editor: of the graph, which is not changed yet.
        layer: nodes of the layer that is folded, which neither read nor compute any more.
        changes: from the old value of a tensor to the new one.

    Raises:
        Refusal: some node cannot make up for the change; the text is the reason.
    """
    basis = _Basis(editor, layer)
    for tensor, change in changes.items():
        basis.change(tensor, change, certainty.certain(change))
    return basis.complete()


class _Basis:
    """The tensors that change, and the edits of the nodes around them. Each node is edited once."""

    def __init__(self, editor: GraphEditor, layer: Sequence[onnx.NodeProto]) -> None:
        self._editor = editor
        self._plan = Plan()
        self._maps: dict[str, ChannelMap | None] = {}  # None: has to stay as it is
        self._certain: dict[str, Certainty] = {}
        self._settled = {node.name for node in layer}
        self._parts: dict[str, PartialMap] = {}
        self._computed: list[str] = []
        self._readers: list[onnx.NodeProto] = []

    def change(self, tensor: str, change: ChannelMap, certain: Certainty) -> None:
        """Have a tensor change, and the nodes around it make up for that.

        Raises:
            Refusal: it has to change in another way, or is an output of the graph.
        """
        if tensor in self._maps:
            self._require_same(tensor, change)
            return
        if change.is_identity:
            self._maps[tensor] = None
            return
        if self._editor.constant(tensor) is not None:
            raise Refusal(f"'{tensor}' is a constant")
        if tensor in self._editor.outputs:
            raise Refusal(f"'{tensor}' is also an output of the graph", proven=certainty.shows(certain, change))
        if not change.scale.all():
            raise Refusal(f"a scale of 0 would erase '{tensor}', which others read")
        self._maps[tensor], self._certain[tensor] = change, certain
        self._plan.changed.append((tensor, change))
        self._computed.append(tensor)
        self._readers += self._editor.value_users(tensor)

    def complete(self) -> Plan:
        """The edits. What comes before a tensor is settled first: only then all inputs of its readers are known."""
        while self._computed or self._parts or self._readers:
            if self._computed:
                self._change_producer(self._computed.pop())
            elif self._parts:
                last = max(self._parts, key=self._place)  # when all of its parts are known
                self.change(*self._parts.pop(last).whole())
            else:
                self._change_reader(self._readers.pop(0))
        return self._plan

    def _require_same(self, tensor: str, change: ChannelMap | None) -> None:
        known = self._maps[tensor]
        if known is None or change is None:
            is_same = known is None and (change is None or change.is_identity)
        else:
            is_same = known.is_same(change)
        if not is_same:
            raise Refusal(f"'{tensor}' would have to change in two ways")

    def _keep(self, tensors: Iterable[str]) -> None:
        """Have tensors stay as they are."""
        for tensor in tensors:
            if tensor and self._editor.constant(tensor) is None:
                if tensor in self._maps:
                    self._require_same(tensor, None)
                self._maps[tensor] = None

    def _change_part(self, tensor: str, change: ChannelMap, part: Part, certain: Certainty) -> None:
        """Have some channels of a tensor change. The others may be changed by other parts of it."""
        if tensor in self._maps:
            known = self._maps[tensor] or change.identity()
            if not known.is_same(change, part.mask(change)):
                raise Refusal(f"'{tensor}' would have to change in two ways")
            return
        self._parts.setdefault(tensor, PartialMap(tensor, change)).add(change, part, certain)

    def _place(self, tensor: str) -> int:
        """Where in the order of the graph a tensor is computed."""
        node = self._editor.producer(tensor)
        return -1 if node is None else next(at for at, other in enumerate(self._editor.nodes) if other is node)

    def _settle(self, node: onnx.NodeProto, step: Step) -> None:
        self._settled.add(node.name)
        self._plan.add(node, step.edits)

    def _change_producer(self, tensor: str) -> None:
        editor, change, certain = self._editor, self._maps[tensor], self._certain[tensor]
        node = editor.producer(tensor)
        if change is None or (node is not None and node.name in self._settled):
            return
        if node is None:
            raise Refusal(f"'{tensor}' is an input of the graph", proven=certainty.shows(certain, change))
        if is_sum_of_branches(editor, node):
            step = self._divide(node, change)
        else:
            try:
                step = backward.step(editor, node, tensor, change)
            except Refusal as refusal:
                is_proven = (certain == certainty.MAP).all() or (
                    refusal.is_of_sign and certainty.shows_negative_scale(certain, change)
                )
                raise Refusal(str(refusal), proven=refusal.proven and bool(is_proven)) from None
        part = taken(editor, node, tensor, step.onward[0][1].axes) if step.onward else None
        if part is not None:
            ((_, passed),) = step.onward
            certain = certainty.follow(certain, change, step, 0, partial(backward.step, editor, node, tensor))
            self._change_part(node.input[0], passed, part, certain)
            return
        self._settle(node, step)
        for slot, passed in step.onward:
            value = editor.constant(node.input[slot])
            if value is None:
                known = certainty.follow(certain, change, step, slot, partial(backward.step, editor, node, tensor))
                if is_sum_of_branches(editor, node):
                    known = certainty.of_sum(editor, node, known)
                self.change(node.input[slot], passed, known)
            else:
                scale, shift = passed.broadcast(value.ndim)
                self._plan.add(node, (rewrite(editor, node, slot, value * scale + shift),))
        passed_on = {slot for slot, _ in step.onward}
        self._keep(name for slot, name in enumerate(node.input) if slot not in passed_on)
        self._keep(name for name in node.output if name != tensor)

    def _change_reader(self, node: onnx.NodeProto) -> None:
        if node.name in self._settled:
            return
        changed = [slot for slot, name in enumerate(node.input) if self._maps.get(name) is not None]
        if is_standard(node, "Concat"):
            self._settled.add(node.name)
            self._join(node)
        elif is_standard(node, "Where") and changed == [1, 2]:
            self._settled.add(node.name)
            self._pass_alike(node, changed)
        elif is_sum_of_branches(self._editor, node):
            self._settled.add(node.name)
            self._add(node, changed)
        elif len(changed) != 1:
            raise Refusal(f"{label(node)} reads several tensors that would change, or one in a subgraph")
        else:
            self._make_up(node, changed[0])

    def _make_up(self, node: onnx.NodeProto, slot: int) -> None:
        """A node with one input that changes takes the change back."""
        editor, tensor = self._editor, node.input[slot]
        change, certain = self._maps[tensor], self._certain[tensor]
        if change is None:
            return
        given = change.inverse()
        try:
            step = forward.step(editor, node, slot, given)
        except Refusal as refusal:
            evidence = None
            if reach(editor, tensor) == EVERY_NUMBER:
                shown = replace(given, scale=np.where(certain == certainty.MAP, given.scale, 0))
                negative = (certain >= certainty.SCALE) & (given.scale < 0)
                evidence = bend_moves(editor, tensor, node, shown, EVERY_NUMBER)
                evidence = evidence or swaps_ends(editor, tensor, node, negative)
            if evidence is not None:
                raise Refusal(f"'{tensor}' is also used by {label(node)}: {evidence}", proven=True) from None
            is_proven = refusal.proven and bool((certain == certainty.MAP).all())
            raise Refusal(f"'{tensor}' is also used by {label(node)}: {refusal}", proven=is_proven) from None
        self._settle(node, step)
        for index, passed in step.onward:
            known = certainty.follow(certain, given, step, index, partial(forward.step, editor, node, slot))
            self.change(node.output[index], passed.inverse(), known)
        passed_on = {index for index, _ in step.onward}
        self._keep(name for index, name in enumerate(node.input) if index != slot)
        self._keep(name for index, name in enumerate(node.output) if index not in passed_on)

    def _join(self, node: onnx.NodeProto) -> None:
        """The channels of each input of a Concat keep their maps."""
        axis = integer(node, "axis", 1) % len(shape(self._editor, node.output[0]))
        if all((change := self._maps.get(name)) is not None and axis not in change.axes for name in node.input):
            self._pass_alike(node, range(len(node.input)))
            return
        known = next(change for name in node.input if (change := self._maps.get(name)) is not None)
        scale, shift, certain = [], [], []
        for name, place in zip(node.input, joined_parts(self._editor, node), strict=True):
            part = self._maps.get(name)
            if part is None:
                self._keep([name])
                part = known.identity(axis, len(place.indices))
            if part.axes != known.axes or axis not in part.axes:
                raise Refusal(f"{label(node)} puts other values beside those of each channel")
            scale.append(part.scale)
            shift.append(part.shift)
            certain.append(self._certain.get(name, certainty.certain(part)))
        along = known.axes.index(axis)
        joined = replace(known, scale=np.concatenate(scale, along), shift=np.concatenate(shift, along))
        self.change(node.output[0], joined, np.concatenate(certain, along))

    def _pass_alike(self, node: onnx.NodeProto, slots: Iterable[int]) -> None:
        """A node whose result has values of several tensors passes the map that all of them have."""
        names = [node.input[slot] for slot in slots]
        maps = [change for name in names if (change := self._maps[name]) is not None]
        ranks = {len(shape(self._editor, name)) for name in (*names, *node.output)}
        if len(ranks) > 1 or not all(maps[0].is_same(other) for other in maps):
            raise Refusal(f"{label(node)} puts other values beside those of each channel")
        self._keep(name for name in node.input if name not in names)
        self.change(node.output[0], maps[0], np.minimum.reduce([self._certain[name] for name in names]))

    def _add(self, node: onnx.NodeProto, changed: Sequence[int]) -> None:
        """All of a sum takes one scale; shifts add up, or cancel in a branch that nothing else reads."""
        maps = {slot: change for slot in changed if (change := self._maps[node.input[slot]]) is not None}
        shift = sum((sign(node, slot) * change.shift for slot, change in maps.items()), np.zeros(()))
        first = next(iter(maps.values()))
        known = np.minimum.reduce([self._certain[node.input[slot]] for slot in maps])
        certain = certainty.of_sum(self._editor, node, known)
        for slot in {0, 1} - set(maps):
            is_alone = len(self._editor.value_users(node.input[slot])) == 1 and node.input[slot] not in self._maps
            taken_back = sign(node, slot) * shift if is_alone else 0 * shift
            self.change(node.input[slot], replace(first, shift=-taken_back), certain)
            shift = shift - sign(node, slot) * taken_back
        for name in node.input:
            change = self._maps[name]
            own = np.zeros_like(first.shift) if change is None else change.shift
            self._require_same(name, replace(first, shift=own))
        self.change(node.output[0], replace(first, shift=shift), certain)

    def _divide(self, node: onnx.NodeProto, change: ChannelMap) -> Step:
        """Both branches of a sum take the scale, and one takes the shift: best one that nothing else reads."""
        alone = [is_read_once(self._editor, name) for name in node.input]
        slot = 1 if alone == [False, True] else 0
        shifted = replace(change, shift=change.shift * sign(node, slot))
        return Step(onward=((slot, shifted), (1 - slot, change.scaling())), is_choice=True)
