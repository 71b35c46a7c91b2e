"""One version of a model, ready to run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from models.errors import LayerNotFound
from models.generation import LatentSampler
from models.manifest import Manifest, WatchedLayer
from models.rows import count_rows
from models.runtime.engine import Engine
from models.tokenization import Tokenizer
from service.wire.grpc_decoder import GrpcDecoder
from service.wire.image_reader import ImageReader
from service.wire.v2_decoder import V2Decoder


@dataclass(frozen=True)
class ServedVersion:
    """A loaded version: its manifest, its engine, and what requests need of the manifest, computed once.

    Attributes:
        model, version: its name and number.
        manifest: as published.
        engine: runs the folded graph.
        decoder: decodes V2 requests.
        grpc_decoder: decodes V2 requests in protobuf.
        image_reader: reads image files; None if the model takes none, or has other inputs as well.
        tokenizer: turns texts into rows; None if the model takes none.
        sampler: draws rows of a generator's input; None if the model is none.
        layers: by name.
        is_batchable: whether the first axis of every tensor is the batch, so that requests may share a run.
    """

    model: str
    version: int
    manifest: Manifest
    engine: Engine
    decoder: V2Decoder = field(init=False, compare=False)
    grpc_decoder: GrpcDecoder = field(init=False, compare=False)
    image_reader: ImageReader | None = field(init=False, compare=False)
    tokenizer: Tokenizer | None = field(init=False, compare=False)
    sampler: LatentSampler | None = field(init=False, compare=False)
    layers: Mapping[str, WatchedLayer] = field(init=False, compare=False)
    is_batchable: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        layers = {layer.name: layer for layer in self.manifest.layers}
        is_batchable = self.manifest.is_batchable
        tensors = self.manifest.inputs, self.manifest.outputs
        object.__setattr__(self, "decoder", V2Decoder(*tensors, batched=is_batchable))
        object.__setattr__(self, "grpc_decoder", GrpcDecoder(*tensors, batched=is_batchable))
        inputs, preprocessing = self.manifest.inputs, self.manifest.preprocessing
        reader = ImageReader(inputs[0], preprocessing) if preprocessing is not None and len(inputs) == 1 else None
        object.__setattr__(self, "image_reader", reader)
        tokenization = self.manifest.tokenization
        object.__setattr__(self, "tokenizer", None if tokenization is None else Tokenizer(tokenization))
        generation = self.manifest.generation
        object.__setattr__(self, "sampler", None if generation is None else LatentSampler(generation, inputs[0]))
        object.__setattr__(self, "layers", MappingProxyType(layers))
        object.__setattr__(self, "is_batchable", is_batchable)

    def count_rows(self, inputs: Mapping[str, NDArray[Any]]) -> int:
        """Number of rows in a request's inputs; 1 for a model without a batch axis."""
        return count_rows(inputs) if self.is_batchable else 1

    def layer(self, name: str) -> WatchedLayer:
        """A layer by name.

        Raises:
            LayerNotFound: the version has no layer of this name.
        """
        try:
            return self.layers[name]
        except KeyError:
            raise LayerNotFound(self.model, name, list(self.layers)) from None
