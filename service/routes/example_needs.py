"""What the example of an operation needs before it runs as it stands, for the docs page of a service that is new."""

from typing import Any

from service.routes import operation_ids

_SECOND = "a second version of the model: re-calibrate it, or publish one"
_COLLECTING = "that no other job collects rows of this version"
_NEEDS = {
    "generate_images": "a generator, such as `dcgan`",
    "regress": "a model that gives one number a row",
    "start_recalibration": _COLLECTING,
    "start_reference": _COLLECTING,
    "set_canary": _SECOND,
    "set_shadow": _SECOND,
    "set_domains": "a version 2 that was re-calibrated from the default version",
    "roll_back": "a version that was promoted",
    "unload_version": "a version that is loaded, and has no part in the rollout",
} | {
    f"{verb}_{kind}": f"the id of a job, which `POST /v2/models/{{model}}/{path}` returns"
    for kind, path in (
        ("recalibration", "recalibrations"),
        ("reference", "reference"),
        ("quantization", "quantizations"),
    )
    for verb in ("get", "cancel")
}
"""By the id of the operation, or of the one that it is a form of."""


def add_needs(described: dict[str, Any]) -> None:
    """Add them to the descriptions of the operations."""
    for operations in described["paths"].values():
        for operation in operations.values():
            if needed := operation_ids.find(_NEEDS, operation["operationId"]):
                operation["description"] += f"\n\nThe example needs {needed}."
