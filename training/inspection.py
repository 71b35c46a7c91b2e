"""The normalisation layers of a bundle or an ONNX file, in text or JSON. Works without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.errors import InvalidInput
from models.graph.fold import fold
from models.graph.load import parse
from models.manifest import Manifest, NormLayer
from models.repository import bundle
from models.repository.listing import list_model, list_models
from models.repository.location import parse_location
from training import report
from training.bucket_urls import resolve
from training.output import manifest_fields


class Found(Protocol):
    """What there is at a place."""

    def to_text(self) -> str:
        """For people."""

    def to_json(self) -> object:
        """For programs: values that JSON has."""


@dataclass(frozen=True)
class FoundBundle:
    """One version."""

    manifest: Manifest

    def to_text(self) -> str:
        """Facts, layers and parity."""
        layers = [report.layers(self.manifest.norm_layers), *report.watched(self.manifest.watched_layers)]
        return "\n".join([*_facts(self.manifest), *layers, report.parity(self.manifest.parity)])

    def to_json(self) -> object:
        """The manifest."""
        return manifest_fields(self.manifest)


@dataclass(frozen=True)
class FoundFile:
    """An ONNX file, as it would be folded."""

    norm_layers: Sequence[NormLayer]

    def to_text(self) -> str:
        """The layers."""
        return report.layers(self.norm_layers)

    def to_json(self) -> object:
        """The layers."""
        return {"norm_layers": [layer.model_dump(mode="json", exclude_none=True) for layer in self.norm_layers]}


@dataclass(frozen=True)
class FoundBundles:
    """A model with its versions, or a repository with the newest version of each model."""

    places: Sequence[str]

    def to_text(self) -> str:
        """Each, to be inspected."""
        return "\n".join(["inspect one of these:", *(f"  {place}" for place in self.places)])

    def to_json(self) -> object:
        """Each, to be inspected."""
        return {"bundles": [*self.places]}


def find(text: str) -> Found:
    """Read what there is at a place.

    Args:
        text: folder or URL of a bundle, of a model or of a repository; or path of an ONNX file.

    Raises:
        InvalidInput: nothing of this kind exists.
        BundleError: the bundle is damaged.
        GraphError: the file cannot be folded.
    """
    path = parse_location(text)
    if isinstance(path, str):
        return _find_at_url(path)
    if path.is_dir() and not (path / bundle.DIGESTS).is_file():
        return _contents(path)
    if path.is_dir():
        return FoundBundle(bundle.read(path).manifest)
    if path.is_file():
        return FoundFile(fold(parse(path.read_bytes())).norm_layers)
    raise InvalidInput(f"there is no bundle or file {path}")


def _find_at_url(url: str) -> Found:
    repository, model, version = resolve(url)
    if model is None:
        return _list(url, [f"{url}/{name}/{repository.versions(name)[-1]}" for name in repository.models()])
    if version is None:
        return _list(url, [f"{url}/{number}" for number in repository.versions(model)])
    return FoundBundle(repository.read(model, version).manifest)


def _contents(path: Path) -> FoundBundles:
    """The versions of a model, or the models of a repository."""
    versions = list_model(path).versions
    folders = [path / str(version) for version in versions]
    if not folders:
        models = {name: listing.versions for name, listing in list_models(path).items() if listing.versions}
        folders = [path / name / str(versions[-1]) for name, versions in models.items()]
    return _list(str(path), [str(folder) for folder in folders])


def _list(place: str, bundles: Sequence[str]) -> FoundBundles:
    if not bundles:
        raise InvalidInput(f"{place} is not a bundle, a model or a repository: there is no version in it")
    return FoundBundles(bundles)


def _facts(manifest: Manifest) -> list[str]:
    facts = [f"{manifest.model}: {manifest.lineage.origin} {manifest.lineage.created_at:%Y-%m-%d}"]
    facts += [f"{spec.name}: {spec.datatype} {list(spec.shape)}" for spec in (*manifest.inputs, *manifest.outputs)]
    if manifest.training is not None:
        facts += [f"{name}: {value:.4f}" for name, value in manifest.training.metrics.items()]
    return facts
