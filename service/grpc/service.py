"""The table of methods: who may call each, and what answers it."""

from collections.abc import Mapping

import grpc

from service.grpc import health, messages
from service.grpc.calls import Access, Calls, MethodHandler, Respond, not_served
from service.grpc.health import Health
from service.grpc.models import Models
from service.grpc.predictions import Predictions
from service.grpc.repository import Repository

PUBLIC, PREDICT, ADMIN = Access.PUBLIC, Access.PREDICT, Access.ADMIN

_SENTENCES = {
    "shared memory is not supported: send tensors in the request": (
        "SystemSharedMemoryStatus",
        "SystemSharedMemoryRegister",
        "SystemSharedMemoryUnregister",
        "CudaSharedMemoryStatus",
        "CudaSharedMemoryRegister",
        "CudaSharedMemoryUnregister",
    ),
    "requests are traced by OpenTelemetry, if the service was started with it: no call changes that": ("TraceSetting",),
    "the log is configured at start, by --log-level and --log-format": ("LogSettings",),
}
"""Methods of Triton that are not served, by what their callers are told."""


class Service(grpc.GenericRpcHandler):
    """Finds the handler of a call by its path.

    Args:
        handlers: by path.
    """

    def __init__(self, handlers: Mapping[str, MethodHandler]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "MethodHandler | None":
        """The handler of a call; None for a method that does not exist."""
        return self._handlers.get(handler_call_details.method)


def build(
    calls: Calls,
    predictions: Predictions,
    models: Models,
    repository: Repository,
) -> Service:
    """The service with all methods.

    Args:
        calls: makes handlers.
        predictions, models, repository: answer the messages.
    """
    unary: dict[str, tuple[Access, Respond]] = {
        "ServerLive": (PUBLIC, models.server_live),
        "ServerReady": (PUBLIC, models.server_ready),
        "ModelReady": (PUBLIC, models.model_ready),
        "ServerMetadata": (PUBLIC, models.server_metadata),
        "ModelMetadata": (PUBLIC, models.model_metadata),
        "ModelConfig": (PUBLIC, models.model_config),
        "ModelStatistics": (PUBLIC, models.model_statistics),
        "ModelInfer": (PREDICT, predictions.infer),
        "RepositoryIndex": (PUBLIC, repository.index),
        "RepositoryModelLoad": (ADMIN, repository.load),
        "RepositoryModelUnload": (ADMIN, repository.unload),
    }
    for sentence, names in _SENTENCES.items():
        unary |= {name: (PUBLIC, not_served(sentence)) for name in names}

    paths = {f"/{messages.SERVICE}/{name}": answered for name, answered in unary.items()}
    checks = Health(models)
    paths[f"/{health.SERVICE}/Check"] = (PUBLIC, checks.check)
    handlers = {path: calls.unary(path, *answered) for path, answered in paths.items()}
    streams = {
        f"/{messages.SERVICE}/ModelStreamInfer": (PREDICT, predictions.infer_stream),
        f"/{health.SERVICE}/Watch": (PUBLIC, checks.watch),
    }
    handlers |= {path: calls.stream(path, *answered) for path, answered in streams.items()}
    return Service(handlers)
