"""What is known of a model besides its graph."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.classification import ScoreKind
from models.manifest import Batching, Generation, ImagePreprocessing, Manifest, Tokenization


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model besides its graph: fields of the manifest.

    Attributes:
        scores: by default, "probabilities" if the first output comes from a Softmax node.
        watch_image: whether the pixels of the input are watched as well, if it is an image (`models.graph.image`).
        watch_margin: whether it is also watched how sure the network is of its class (`models.graph.margin`).
        half_weights: whether the weights are stored in half precision (`models.half_weights`). A version that is made
            from another one stores those that it changes as they are.
    """

    model: str
    description: str = ""
    labels: Sequence[str] | None = None
    scores: ScoreKind | None = None
    preprocessing: ImagePreprocessing | None = None
    tokenization: Tokenization | None = None
    generation: Generation | None = None
    batching: Batching | None = None
    watch_image: bool = False
    watch_margin: bool = False
    half_weights: bool = False

    @classmethod
    def of(cls, manifest: Manifest) -> "ModelInfo":
        """The info of a version, for versions made from it."""
        return cls(
            model=manifest.model,
            description=manifest.description,
            labels=manifest.labels,
            scores=manifest.scores,
            preprocessing=manifest.preprocessing,
            tokenization=manifest.tokenization,
            generation=manifest.generation,
            batching=manifest.batching,
            watch_image=any(layer.kind == "image" for layer in manifest.watched_layers),
            watch_margin=any(layer.kind == "margin" for layer in manifest.watched_layers),
        )
