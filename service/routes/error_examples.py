"""An example of each error that an operation describes, for the docs page: what the service answers, word for word."""

from collections.abc import Iterator
from typing import Any

from service.errors import INTERNAL
from service.routes import operation_ids

_PREDICT = "inputs[0].shape: got [1, 783], input 'input' expects [-1, 784] (-1 is any size)"
_UNKNOWN_LABEL = "no version of model 'mlp' has the label 'stabel'"

_NOT_FOUND = {
    "{model}": ("model", "Request for unknown model: 'mpl' is not found; models: convnet, mlp"),
    "{version}": ("version", "Request for unknown model: 'mlp' version 9 is not found; versions: 1"),
    "{layer}": ("layer", "Model 'mlp' has no normalisation layer 'hidden.9.norm'; layers: hidden.0.norm"),
    "/labels/{label}": ("label", _UNKNOWN_LABEL),
    "/rollout/labels/{label}": ("label", "no version has the label 'stabel'"),
    "/recalibrations/{job}": ("job", "model 'mlp' has no re-calibration '0123456789abcdef'"),
    "/reference/{job}": ("job", "model 'mlp' has no job of a reference '0123456789abcdef'"),
    "/quantizations/{job}": ("job", "model 'mlp' has no quantisation '0123456789abcdef'"),
}
"""What is not there, by the part of the path that names it; the longest part counts."""

_INVALID = {
    "list_versions": "redy: unknown field, did you mean 'ready'?",
    "load_model": "parameters: configurations and files cannot be sent: publish a bundle instead",
    "unload_model": "parametres: unknown field, did you mean 'parameters'?",
    "load_version": "path.version: got 'latest', expected a whole number",
    "unload_version": "version: 1 is the default, the canary or the shadow, has a domain or a label, or is needed by "
    "auto mode",
    "prune_model": "body.keep: got 0, expected greater than or equal to 1",
    "set_canary": "body.share: got 2, expected less than or equal to 1",
    "set_shadow": "version: 1 is the default version: the shadow must be another",
    "set_domains": "versions: version 1 was not re-calibrated from version 1, which is the default: only such versions "
    "have statistics that the same rows can be compared with",
    "promote_version": "version: model 'mlp' has no canary or shadow to promote: name a version",
    "roll_back": "rollback: there is no earlier default to go back to",
    "set_label": "label: 'canary' follows from the rollout: promote a version, or set the canary",
    "start_recalibration": "collect: got 5, expected at least 64: with fewer nothing is published, unless "
    "'parameters.force' is true",
    "start_reference": "collect: got 5, expected an integer from 80 to 5000",
    "start_quantization": "colect: unknown field, did you mean 'collect'?",
    "begin_baseline": "body.rows: got 'many', expected a valid integer",
    "start_auto": "body.rows: got 5, expected greater than or equal to 64",
    "infer": _PREDICT,
    "predict": "instances.shape: got [1, 783], input 'input' expects [-1, 784] (-1 is any size)",
    "classify": "examples[0]: got ['pixels'], expected exactly ['input']",
    "regress": "model: output 'logits' is not one number a row: send the request to :predict",
    "predict_labels": "body: expected a PNG or JPEG image; this is another format, or damaged or truncated",
    "generate_images": "model: 'mlp' has no generation: its manifest does not say how images are drawn from it",
    "normalize_with_layer": "data: got 2 channels on axis 1, layer 'hidden.0.norm' expects 64",
    "normalize": "data: got lists that differ in length or kind at depth 1, expected lists of one length and kind",
    "get_live_model": "query.window: got '1w', expected '1m', '1h', '1d', '30d' or 'start'",
    "get_live_layer": "windw: unknown query parameter, did you mean 'window'?",
    "get_channel_history": "query.channel: got 64, layer 'hidden.0.norm' has channels 0 to 63",
    "get_drift_overview": "windw: unknown query parameter, did you mean 'window'?",
    "get_drift": "query.window: got '1w', expected '1m', '1h', '1d', '30d', 'start' or 'last'",
    "get_drift_history": "query.window: got '1w', expected '1m', '1h', '1d' or '30d'",
    "send_labels": "body.labels: got {}, expected a list",
}
"""By the id of the operation, or of the one that it is a form of."""

_NOT_READY = "model 'mlp' is not ready: it is not loaded"
_BUSY = "256 requests are waiting already, and this one has less right to a place: try again later"
_WAITING = "list the repository: 32 calls wait for a disk or a lock already: try again later"
_UNAVAILABLE = {
    "list_versions": _WAITING,
    "get_overview": _WAITING,
    "get_readiness": "a model could not be loaded: POST /v2/repository/index lists which one, and why",
    "stream_events": "64 clients subscribe to events already: try again later",
}

_BY_TAG = {
    "repository": "the repository cannot be written: No space left on device",
    "rollout": "the repository cannot be written: No space left on device",
    "recalibration": "4 jobs are open already",
    "predict": "256 requests are waiting already, and this one has less right to a place: try again later",
}

_BY_STATUS = {
    "413": ("too large", "body: 99999999 bytes, at most 67108864 are read"),
    "415": ("encoding", "Content-Encoding: got 'br', expected gzip, deflate or identity"),
    "default": ("internal", INTERNAL.message),
}


def add_error_examples(described: dict[str, Any]) -> None:
    """Add them to the description of the API."""
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                examples = {
                    name: {"value": {"error": message}} for name, message in _errors(path, method, operation, status)
                }
                if examples:
                    response["content"]["application/json"]["examples"] = examples


def _not_found(path: str, method: str) -> Iterator[tuple[str, str]]:
    """What each parameter of a path may name that does not exist. A label that is put need not; a job has an id."""
    named = [part for part in _NOT_FOUND if part in path and not (method == "put" and "label" in part)]
    if "{job}" in path:
        named.remove("{model}")
    yield from (_NOT_FOUND[part] for part in named if not any(part != other and part in other for other in named))


def _errors(path: str, method: str, operation: dict[str, Any], status: str) -> Iterator[tuple[str, str]]:
    """Name and message of the errors with this status."""
    name = operation["operationId"]
    match status:
        case "400":
            yield "invalid", operation_ids.find(_INVALID, name) or "Host: sent more than once"
        case "401" if "admin_token" in str(operation["security"]):
            yield "no token", "this needs the admin token: send it as 'Authorization: Bearer <token>'"
        case "401":
            yield "no key", "predictions need an API key: send it as 'Authorization: Bearer <token>'"
        case "403":
            yield "API key", "this needs the admin token; an API key is for predictions only"
        case "404":
            yield from _not_found(path, method)
        case "503" if (message := operation_ids.find(_UNAVAILABLE, name)) is not None:
            yield "busy", message
        case "503":
            if method != "get" and operation["tags"][0] in _BY_TAG:
                yield "busy", _BY_TAG[operation["tags"][0]]
            yield "not ready", "model 'mlp' is not ready: it is not loaded"
        case _ if status in _BY_STATUS:
            yield _BY_STATUS[status]
