"""The errors of the domain. No status codes: `service.errors` maps these to HTTP.

DengeError
├── InvalidInput              something in the request or file is wrong; `field` names it
│   ├── TooLarge              ... or larger than is allowed
│   └── UnsupportedEncoding   ... or in an encoding that is not supported
├── Unauthenticated           a valid token is required
├── Forbidden                 authenticated, but not permitted
├── NotFound
│   ├── ModelNotFound
│   ├── VersionNotFound
│   └── LayerNotFound
├── BundleError
│   ├── ForeignBundle         not a bundle, or of a schema that this release does not read
│   └── DamagedBundle         a file is missing, unexpected, or does not match its digest
├── GraphError                an ONNX graph that cannot be loaded, folded, run or served
│   ├── TrainingModeGraph     its predictions would depend on the other rows of the batch
│   ├── MissingStatistics     a normalisation layer has no stored running statistics
│   ├── ExternalData          tensors are kept outside the file, which is never followed
│   └── ParityError           two graphs that should compute the same do not
├── VersionRefused      a re-calibrated version did not pass its gates
├── ProviderUnavailable       onnxruntime cannot use the requested execution provider
├── NotSupported              a part of the protocol that this service does not have
├── NotReady                  the model or service exists, but cannot answer now
│   └── StorageError          ... because a disk or a lock does not let it
├── Overloaded                too many requests are waiting
├── ClientDisconnected        the client closed the connection before the response
├── RunTooLong                a run of a model was ended because it took too long
└── InferenceFailed           onnxruntime failed; the details belong in the log
"""

from collections.abc import Sequence

_MAX_LISTED = 8
"""Names that a message lists."""


class DengeError(Exception):
    """Base of every error that Denge raises on purpose."""


class InvalidInput(DengeError):
    """Something in the request or file is wrong.

    Args:
        message: what is wrong, readable on its own.
        field: where, as a path into the request or file, e.g. ``inputs[0].shape``; empty when it is the whole.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class TooLarge(InvalidInput):
    """Something is larger than is allowed."""


class UnsupportedEncoding(InvalidInput):
    """The body is in an encoding that is not supported."""


class Unauthenticated(DengeError):
    """A valid token is required.

    Args:
        message: which token.
        presented: whether the request has a token that is not valid.
    """

    def __init__(self, message: str, *, presented: bool = False) -> None:
        super().__init__(message)
        self.presented = presented


class Forbidden(DengeError):
    """The client is authenticated, but not permitted to do this."""


class NotFound(DengeError):
    """Nothing of this name exists."""


class ModelNotFound(NotFound):
    """No model of this name.

    Args:
        model: the name.
        known: names that there are, for the message.
    """

    def __init__(self, model: str, known: Sequence[str] = ()) -> None:
        super().__init__(f"Request for unknown model: '{model}' is not found{_list('models', known)}")
        self.model = model


class VersionNotFound(NotFound):
    """The model exists, this version of it does not.

    Args:
        model: the name.
        version: the number.
        known: versions that there are, for the message.
    """

    def __init__(self, model: str, version: int | str, known: Sequence[int] = ()) -> None:
        super().__init__(
            f"Request for unknown model: '{model}' version {version} is not found{_list('versions', known)}"
        )
        self.model = model
        self.version = version


class LayerNotFound(NotFound):
    """The model has no normalisation layer of this name.

    Args:
        model: its name.
        layer: the name.
        known: layers that there are, for the message.
    """

    def __init__(self, model: str, layer: str, known: Sequence[str] = ()) -> None:
        super().__init__(f"Model '{model}' has no normalisation layer '{layer}'{_list('layers', known)}")
        self.model = model
        self.layer = layer


class BundleError(DengeError):
    """A bundle that cannot be used."""


class ForeignBundle(BundleError):
    """Not a bundle, or one of a schema that this release does not read."""


class DamagedBundle(BundleError):
    """A file is missing, unexpected, or does not match its digest."""


class GraphError(DengeError):
    """An ONNX graph that cannot be loaded, folded, run or served."""


class TrainingModeGraph(GraphError):
    """A graph whose predictions would depend on the other rows of the batch."""


class MissingStatistics(GraphError):
    """A normalisation layer without stored running statistics."""


class ExternalData(GraphError):
    """Tensors kept outside the ONNX file, which is never followed."""


class ParityError(GraphError):
    """Two graphs that should compute the same do not."""


class VersionRefused(DengeError):
    """A version that was made from another one did not pass its gates, and publishing was not forced."""


class ProviderUnavailable(DengeError):
    """onnxruntime cannot use the requested execution provider."""


class NotSupported(DengeError):
    """A part of the protocol that this service does not have."""


class NotReady(DengeError):
    """The model or the service exists, but cannot answer now."""


class StorageError(NotReady):
    """A disk refuses or does not answer, or something is locked elsewhere; a retry may succeed."""


class Overloaded(DengeError):
    """Too much waits already; a retry may succeed.

    Args:
        message: what there is too much of.
        retry_after: seconds after which a retry may succeed.
    """

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClientDisconnected(DengeError):
    """The client closed the connection before the response."""


class RunTooLong(DengeError):
    """A run of a model was ended because it took too long."""


class InferenceFailed(DengeError):
    """onnxruntime failed. The details belong in the log, not in the response."""


def _list(what: str, known: Sequence[object]) -> str:
    if not known:
        return ""
    more = f" and {len(known) - _MAX_LISTED} more" if len(known) > _MAX_LISTED else ""
    return f"; {what}: {', '.join(map(str, known[:_MAX_LISTED]))}{more}"
