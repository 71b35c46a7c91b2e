"""The normalisation layers of a bundle or an ONNX file, in text. Works without torch."""

from pathlib import Path

from models.errors import InvalidInput
from models.graph.fold import fold
from models.graph.load import parse
from models.manifest import Manifest
from models.repository import bundle
from training import report


def describe(path: Path) -> str:
    """The layers of a bundle, with facts about it, or those of an ONNX file as it would be folded.

    Args:
        path: the folder of a bundle, or the file.

    Raises:
        InvalidInput: neither exists.
        BundleError: the folder is not a bundle, or a damaged one.
        GraphError: the file cannot be folded.
    """
    if path.is_dir():
        manifest = bundle.read(path).manifest
        return "\n".join([*_facts(manifest), report.layers(manifest.norm_layers), report.parity(manifest.parity)])
    if path.is_file():
        return report.layers(fold(parse(path.read_bytes())).norm_layers)
    raise InvalidInput(f"there is no bundle or file {path}")


def _facts(manifest: Manifest) -> list[str]:
    facts = [f"{manifest.model}: {manifest.lineage.origin} {manifest.lineage.created_at:%Y-%m-%d}"]
    facts += [f"{spec.name}: {spec.datatype} {list(spec.shape)}" for spec in (*manifest.inputs, *manifest.outputs)]
    if manifest.training is not None:
        facts += [f"{name}: {value:.4f}" for name, value in manifest.training.metrics.items()]
    return facts
