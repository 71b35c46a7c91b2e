"""What the bundles that benchmarks measure always have, though a bundle in general need not."""

from models.datatypes import Arrays
from models.manifest import DriftReference
from models.repository import held_out
from models.repository.bundle import Bundle
from models.stored_graph import StoredGraph


def held_out_rows(bundle: Bundle) -> Arrays:
    """The rows that a bundle keeps, by input."""
    if bundle.held_out is None:
        raise ValueError(f"{bundle.manifest.model} keeps no held-out rows")
    return held_out.unpack(bundle.held_out, bundle.manifest.inputs)


def reference(bundle: Bundle) -> DriftReference:
    """What is expected of its layers."""
    if bundle.manifest.drift is None:
        raise ValueError(f"{bundle.manifest.model} has no reference")
    return bundle.manifest.drift


def observed(bundle: Bundle) -> bytes | StoredGraph:
    """The graph that watches its layers."""
    if bundle.observed is None:
        raise ValueError(f"{bundle.manifest.model} has no layers to watch")
    return bundle.observed
