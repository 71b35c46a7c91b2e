"""The normalisation layers of a bundle or an ONNX file, in text. Works without torch."""

from pathlib import Path

from models.errors import InvalidInput
from models.graph.fold import fold
from models.graph.load import parse
from models.manifest import Manifest
from models.repository import bundle
from models.repository.listing import list_model, list_models
from training import report


def describe(path: Path) -> str:
    """The layers of a bundle, with facts about it, or those of an ONNX file as it would be folded.

    Args:
        path: the folder of a bundle, of a model or of a repository, whose bundles are listed; or the file.

    Raises:
        InvalidInput: nothing of this kind exists.
        BundleError: the bundle is damaged.
        GraphError: the file cannot be folded.
    """
    if path.is_dir() and not (path / bundle.DIGESTS).is_file():
        return _contents(path)
    if path.is_dir():
        manifest = bundle.read(path).manifest
        layers = [report.layers(manifest.norm_layers), *report.watched(manifest.watched_layers)]
        return "\n".join([*_facts(manifest), *layers, report.parity(manifest.parity)])
    if path.is_file():
        return report.layers(fold(parse(path.read_bytes())).norm_layers)
    raise InvalidInput(f"there is no bundle or file {path}")


def _contents(path: Path) -> str:
    """The versions of a model, or the models of a repository, each with the folder to inspect."""
    versions = list_model(path).versions
    folders = [path / str(version) for version in versions]
    if not folders:
        models = {name: listing.versions for name, listing in list_models(path).items() if listing.versions}
        folders = [path / name / str(versions[-1]) for name, versions in models.items()]
    if not folders:
        raise InvalidInput(f"{path} is not a bundle, a model or a repository: there is no version in it")
    return "\n".join(["inspect one of these:", *(f"  {folder}" for folder in folders)])


def _facts(manifest: Manifest) -> list[str]:
    facts = [f"{manifest.model}: {manifest.lineage.origin} {manifest.lineage.created_at:%Y-%m-%d}"]
    facts += [f"{spec.name}: {spec.datatype} {list(spec.shape)}" for spec in (*manifest.inputs, *manifest.outputs)]
    if manifest.training is not None:
        facts += [f"{name}: {value:.4f}" for name, value in manifest.training.metrics.items()]
    return facts
