"""Extensions of the Open Inference Protocol that are not offered: their paths say so, and what there is instead."""

from fastapi import APIRouter

from models.errors import NotSupported
from service.http.access import PUBLIC

OFFERED = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
)
"""Extensions that are offered, as the protocol and Triton name them."""

_NOT_OFFERED = {
    "/v2/logging": "logging: the log is configured by the settings log_level and log_format",
    "/v2/trace/setting": "trace: requests are traced by OpenTelemetry, if the service was started with it",
    "/v2/models/{model}/trace/setting": "trace: requests are traced by OpenTelemetry, if the service was started with "
    "it",
    "/v2/systemsharedmemory/{rest:path}": "system_shared_memory: send tensors in the request, in binary",
    "/v2/cudasharedmemory/{rest:path}": "cuda_shared_memory: send tensors in the request, in binary",
    "/v2/models/{model}/generate_stream": "generate: send tensors to /infer",
    "/v2/models/{model}/versions/{version}/generate_stream": "generate: send tensors to /infer",
}
"""By path, what to do instead."""


def router() -> APIRouter:
    """The paths of extensions that are not offered."""
    routes = APIRouter(include_in_schema=False, dependencies=[PUBLIC])
    for path, instead in _NOT_OFFERED.items():
        _refuse(routes, path, instead)
    return routes


def _refuse(routes: APIRouter, path: str, instead: str) -> None:
    @routes.api_route(path, methods=["GET", "POST"])
    async def refuse() -> None:
        raise NotSupported(f"this service does not have the extension {instead}")
