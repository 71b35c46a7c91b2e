"""The edits that fold one layer, collected before any of them is applied."""

from dataclasses import dataclass, field

import onnx

from models.graph.folding.channel_map import ChannelMap
from models.graph.folding.step import Edit


@dataclass
class Plan:
    """The edits that fold one layer.

    Attributes:
        edits: in any order; each node is edited once.
        into: names of the nodes whose weights change.
        changed: tensors whose values change, with the map from the old value to the new one.
    """

    edits: list[Edit] = field(default_factory=list)
    into: list[str] = field(default_factory=list)
    changed: list[tuple[str, ChannelMap]] = field(default_factory=list)

    def add(self, node: onnx.NodeProto, edits: tuple[Edit, ...]) -> None:
        """Add the edits of one node."""
        if edits:
            self.edits += edits
            self.into.append(node.name)

    def apply(self) -> None:
        """Change the graph."""
        for edit in self.edits:
            edit()
