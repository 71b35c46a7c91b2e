"""What can go wrong, in the words of the domain. No status codes: `service.errors` maps these to HTTP.

DengeError
├── InvalidInput              the caller sent something wrong; `field` names it
│   ├── TooLarge              ... more of it than is allowed
│   └── UnsupportedEncoding   ... in an encoding that is not read
├── Unauthenticated           the caller has not shown a token that is needed
├── Forbidden                 the caller is not the one who may do this
├── NotFound
│   ├── ModelNotFound
│   ├── VersionNotFound
│   └── LayerNotFound
├── BundleError
│   ├── ForeignBundle         not a bundle, or of a schema this release does not read
│   └── DamagedBundle         a file is missing, extra or does not match its digest
├── GraphError                an ONNX graph that cannot be what it should be
│   ├── TrainingModeGraph     its predictions would depend on the other rows of the batch
│   ├── MissingStatistics     a normalisation layer without stored running statistics
│   ├── ExternalData          tensors kept outside the file are never followed
│   └── ParityError           two graphs that should agree do not
├── RecalibrationRefused      the new statistics did not pass a gate
├── ProviderUnavailable       the execution provider asked for is not the one that runs
├── NotReady                  the model is known but cannot answer now
├── Overloaded                too many requests wait already
├── ClientDisconnected                nobody waits for the answer any more
└── InferenceFailed           the runtime refused or broke; details belong in the log
"""


class DengeError(Exception):
    """Base of every error that Denge raises on purpose."""


class InvalidInput(DengeError):
    """The caller sent something wrong.

    Args:
        message: what is wrong, readable on its own.
        field: where, as a path into the request or file, e.g. ``inputs[0].shape``; empty when it is the whole.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class TooLarge(InvalidInput):
    """The caller sent more than is allowed."""


class UnsupportedEncoding(InvalidInput):
    """The caller's encoding of the body is not one that is read."""


class Unauthenticated(DengeError):
    """The caller has not shown a token that is needed.

    Args:
        message: what is needed.
        presented: whether the caller has shown another one.
    """

    def __init__(self, message: str, *, presented: bool = False) -> None:
        super().__init__(message)
        self.presented = presented


class Forbidden(DengeError):
    """The caller is not the one who may do this."""


class NotFound(DengeError):
    """A name that leads nowhere."""


class ModelNotFound(NotFound):
    """No model of this name."""

    def __init__(self, model: str) -> None:
        super().__init__(f"Request for unknown model: '{model}' is not found")
        self.model = model


class VersionNotFound(NotFound):
    """The model exists, this version of it does not."""

    def __init__(self, model: str, version: int | str) -> None:
        super().__init__(f"Request for unknown model: '{model}' version {version} is not found")
        self.model = model
        self.version = version


class LayerNotFound(NotFound):
    """The model has no normalisation layer of this name."""

    def __init__(self, model: str, layer: str) -> None:
        super().__init__(f"Model '{model}' has no normalisation layer '{layer}'")
        self.model = model
        self.layer = layer


class BundleError(DengeError):
    """A bundle that cannot be used."""


class ForeignBundle(BundleError):
    """Not a bundle, or one of a schema that this release does not read."""


class DamagedBundle(BundleError):
    """A file is missing, unexpected, or does not match its digest."""


class GraphError(DengeError):
    """An ONNX graph that cannot be what it should be."""


class TrainingModeGraph(GraphError):
    """A graph whose predictions would depend on the other rows of the batch."""


class MissingStatistics(GraphError):
    """A normalisation layer without stored running statistics."""


class ExternalData(GraphError):
    """Tensors kept outside the ONNX file, which are never followed."""


class ParityError(GraphError):
    """Two graphs that should compute the same do not."""


class RecalibrationRefused(DengeError):
    """A re-calibrated version did not pass its gates, and nobody insisted."""


class ProviderUnavailable(DengeError):
    """The execution provider that was asked for is not the one that would run."""


class NotReady(DengeError):
    """The model or the service is known but cannot answer now."""


class Overloaded(DengeError):
    """Too many requests wait already; another try may succeed."""


class ClientDisconnected(DengeError):
    """Nobody waits for the answer any more."""


class InferenceFailed(DengeError):
    """The runtime refused or broke. The details belong in the log, not in the answer."""
