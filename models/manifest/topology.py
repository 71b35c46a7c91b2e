"""How the layers are connected."""

from typing import Literal

from pydantic import Field

from models.manifest.record import Record

TopologyNodeKind = Literal["input", "layer", "join", "output"]
"""What is at a node of the topology. At a join, an operator reads what several nodes compute."""


class TopologyNode(Record):
    """A layer, an input, an output, or an operator that joins several of them."""

    kind: TopologyNodeKind
    name: str = Field(description="of the layer, the input or the output; of a join, its operator, e.g. `Add`")
    sources: tuple[int, ...] = Field(
        description="nodes that it is computed from, with no other node in between: their places in the list, from 0"
    )
