"""The normalisation layers of a bundle or an ONNX file, in text. Works without torch."""

from collections.abc import Sequence
from pathlib import Path

from models.errors import InvalidInput
from models.graph.fold import fold
from models.graph.load import parse
from models.manifest import Manifest
from models.repository import bundle
from models.repository.listing import list_model, list_models
from models.repository.location import parse_location
from training import report
from training.bucket_urls import resolve


def describe(text: str) -> str:
    """The layers of a bundle, with facts about it, or those of an ONNX file as it would be folded.

    Args:
        text: folder or URL of a bundle, of a model or of a repository, whose bundles are listed; or path of the file.

    Raises:
        InvalidInput: nothing of this kind exists.
        BundleError: the bundle is damaged.
        GraphError: the file cannot be folded.
    """
    path = parse_location(text)
    if isinstance(path, str):
        return _describe_url(path)
    if path.is_dir() and not (path / bundle.DIGESTS).is_file():
        return _contents(path)
    if path.is_dir():
        return _describe_manifest(bundle.read(path).manifest)
    if path.is_file():
        return report.layers(fold(parse(path.read_bytes())).norm_layers)
    raise InvalidInput(f"there is no bundle or file {path}")


def _describe_manifest(manifest: Manifest) -> str:
    layers = [report.layers(manifest.norm_layers), *report.watched(manifest.watched_layers)]
    return "\n".join([*_facts(manifest), *layers, report.parity(manifest.parity)])


def _describe_url(url: str) -> str:
    repository, model, version = resolve(url)
    if model is None:
        return _list(url, [f"{url}/{name}/{repository.versions(name)[-1]}" for name in repository.models()])
    if version is None:
        return _list(url, [f"{url}/{number}" for number in repository.versions(model)])
    return _describe_manifest(repository.read(model, version).manifest)


def _contents(path: Path) -> str:
    """The versions of a model, or the models of a repository, each with the folder to inspect."""
    versions = list_model(path).versions
    folders = [path / str(version) for version in versions]
    if not folders:
        models = {name: listing.versions for name, listing in list_models(path).items() if listing.versions}
        folders = [path / name / str(versions[-1]) for name, versions in models.items()]
    return _list(str(path), [str(folder) for folder in folders])


def _list(place: str, bundles: Sequence[str]) -> str:
    if not bundles:
        raise InvalidInput(f"{place} is not a bundle, a model or a repository: there is no version in it")
    return "\n".join(["inspect one of these:", *(f"  {found}" for found in bundles)])


def _facts(manifest: Manifest) -> list[str]:
    facts = [f"{manifest.model}: {manifest.lineage.origin} {manifest.lineage.created_at:%Y-%m-%d}"]
    facts += [f"{spec.name}: {spec.datatype} {list(spec.shape)}" for spec in (*manifest.inputs, *manifest.outputs)]
    if manifest.training is not None:
        facts += [f"{name}: {value:.4f}" for name, value in manifest.training.metrics.items()]
    return facts
