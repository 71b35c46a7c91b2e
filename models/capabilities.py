"""What can be done with a version besides predicting, as far as its manifest decides it."""

from typing import Literal

from models.errors import InvalidInput
from models.manifest import Manifest

Capability = Literal["batching", "watching", "layer_statistics", "recalibration", "images"]

_NO_BATCH_AXIS = "the model has no batch axis, so its tensors are not made of independent rows"
_NO_LAYERS = "the model has no normalisation layers"


def unavailable(manifest: Manifest) -> dict[Capability, str]:
    """The capabilities that a version does not have, and why."""
    reasons: dict[Capability, str] = {}
    if not manifest.is_batchable:
        reasons |= dict.fromkeys(("batching", "watching", "layer_statistics", "recalibration"), _NO_BATCH_AXIS)
    elif not manifest.norm_layers:
        reasons |= dict.fromkeys(("watching", "layer_statistics", "recalibration"), _NO_LAYERS)
    elif manifest.drift is None:
        reasons["layer_statistics"] = "the version has no held-out rows to compare with"
    if any(spec.datatype == "BYTES" for spec in manifest.inputs):
        reasons.setdefault("recalibration", "the model takes text, which has no statistics")
    if manifest.preprocessing is None or manifest.labels is None:
        reasons["images"] = "the manifest has no labels or no preprocessing: send tensors to /infer"
    return reasons


def require(manifest: Manifest, capability: Capability) -> None:
    """Check that a version has a capability.

    Raises:
        InvalidInput: it has not; the message says why.
    """
    if reason := unavailable(manifest).get(capability):
        raise InvalidInput(f"'{manifest.model}' has no {capability.replace('_', ' ')}: {reason}", "model")
