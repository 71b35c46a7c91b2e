"""What the service and the process that makes a twin send each other."""

from typing import IO, NamedTuple, Self

from models.accuracy.agreement_estimator import AgreementEstimator
from models.manifest import Manifest
from models.repository.bundle import Bundle
from models.stored_graph import SerializedGraph
from service.wire import arrays, graph_files
from service.wire.graph_files import as_array


class TwinOrder(NamedTuple):
    """The version whose twin is wanted: what a bundle has of it.

    Attributes:
        manifest: of the version.
        source: the serialized source graph, with its weights.
        held_out: held-out rows, as `models.repository.held_out.pack` wrote them.
    """

    manifest: Manifest
    source: SerializedGraph
    held_out: bytes

    @classmethod
    def of(cls, bundle: Bundle) -> Self | None:
        """The order for a bundle; None where its twin could tell nothing: it does not classify, or has no rows."""
        if bundle.held_out is None or bundle.manifest.num_classes is None:
            return None
        return cls(bundle.manifest, bundle.source, bundle.held_out)

    def to_bytes(self) -> bytes:
        """Encode for the process."""
        files = {"held_out": as_array(self.held_out), **graph_files.to_arrays(self.source)}
        return arrays.write({"manifest": self.manifest.model_dump_json()}, files)

    @classmethod
    def read(cls, file: IO[bytes]) -> Self:
        """Decode, and read not a byte more."""
        header, found = arrays.read(file)
        manifest = Manifest.model_validate_json(header["manifest"])
        return cls(manifest, graph_files.from_arrays(found), found["held_out"].tobytes())


class MadeTwin(NamedTuple):
    """A twin.

    Attributes:
        estimator: of the version's accuracy.
        graph: the serialized graph of the twin, with the inputs and outputs of the source graph.
    """

    estimator: AgreementEstimator
    graph: bytes

    def to_bytes(self) -> bytes:
        """Encode for the service."""
        return arrays.write({"estimator": self.estimator.to_json().decode()}, {"graph": as_array(self.graph)})

    @classmethod
    def read(cls, file: IO[bytes]) -> Self:
        """Decode.

        Raises:
            ValueError: it is something else, or nothing: no twin could be made.
        """
        header, found = arrays.read(file)
        return cls(AgreementEstimator.from_json(header["estimator"].encode()), found["graph"].tobytes())
