"""What can be done with a version besides predicting, as far as its manifest decides it."""

from models.errors import InvalidInput
from models.manifest import Capability, Manifest

_NO_BATCH_AXIS = "the model has no batch axis, so its tensors are not made of independent rows"
_NO_LAYERS = "the model has no layers that can be observed"
_NO_BATCH_NORM = "the model has no batch-normalisation layers"


def unavailable(manifest: Manifest) -> dict[Capability, str]:
    """The capabilities that a version does not have, and why."""
    reasons: dict[Capability, str] = dict(manifest.limits)

    def add(reason: str, *capabilities: Capability) -> None:
        for capability in capabilities:
            reasons.setdefault(capability, reason)

    if not manifest.norm_layers:
        add(_NO_BATCH_NORM, "folding")
    if not manifest.is_batchable:
        no_rows = reasons.get("batching", _NO_BATCH_AXIS)
        add(no_rows, "batching", "watching", "layer_statistics", "reference", "recalibration")
    elif all(layer.unwatched is not None for layer in manifest.layers):
        add(reasons.get("watching", _NO_LAYERS), "watching", "layer_statistics", "reference")
    elif manifest.drift is None:
        add("the version has no held-out rows to compare with", "layer_statistics")
    if not manifest.norm_layers:
        add(_NO_BATCH_NORM, "recalibration")
    if any(spec.datatype == "BYTES" for spec in manifest.inputs):
        add("the model takes text, which has no statistics", "recalibration", "reference")
    for capability, reason in (_no_predict(manifest) | _no_generation(manifest)).items():
        add(reason, capability)
    return reasons


def _no_predict(manifest: Manifest) -> dict[Capability, str]:
    """What `/predict` does not take, and why."""
    if manifest.labels is None:
        reason = "the manifest has no labels: send tensors to /infer"
        return {"images": reason, "text": reason}
    if manifest.tokenization is not None:
        return {"images": "the model takes texts"}
    if manifest.preprocessing is not None:
        return {"text": "the model takes images"}
    reason = "the manifest has no {}: send tensors to /infer"
    return {"images": reason.format("preprocessing"), "text": reason.format("tokenization")}


def _no_generation(manifest: Manifest) -> dict[Capability, str]:
    """Why `/generate` does not draw images from the model."""
    if manifest.generation is not None:
        return {}
    return {"generation": "its manifest does not say how images are drawn from it"}


def require(manifest: Manifest, capability: Capability) -> None:
    """Check that a version has a capability.

    Raises:
        InvalidInput: it has not; the message says why.
    """
    if reason := unavailable(manifest).get(capability):
        raise InvalidInput(f"'{manifest.model}' has no {capability.replace('_', ' ')}: {reason}", "model")
