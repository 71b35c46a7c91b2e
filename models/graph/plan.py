"""A plan of edits, made while walking a graph and carried out only if the walk comes to a good end."""

from dataclasses import dataclass, field

import onnx

from models.graph.channel_map import ChannelMap, Edit


@dataclass
class Plan:
    """What folding one layer would change.

    Attributes:
        edits: in any order; each node is edited once.
        into: names of the nodes whose weights take up the layer.
        touched: tensors whose values change, with the map that takes the old value to the new.
    """

    edits: list[Edit] = field(default_factory=list)
    into: list[str] = field(default_factory=list)
    touched: list[tuple[str, ChannelMap]] = field(default_factory=list)

    def add(self, node: onnx.NodeProto, edits: tuple[Edit, ...]) -> None:
        """Note the edits of one node."""
        if edits:
            self.edits += edits
            self.into.append(node.name)

    def carry_out(self) -> None:
        """Change the graph."""
        for edit in self.edits:
            edit()
