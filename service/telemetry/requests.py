"""What is recorded of every request that was answered: a count, a duration and a line in the log."""

from collections.abc import Callable
from functools import partial

from service.telemetry import logs
from service.telemetry.statistics import ServiceStatistics

GRPC = "gRPC"
"""The method of calls by gRPC, where HTTP has GET or POST."""

MAX_ERROR_LENGTH = 200
"""Characters of an error in the log: what a client sends can make its message longer."""

_METHODS = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", GRPC}
_NOT_LOGGED = {
    "/v2/health/live",
    "/v2/health/ready",
    "/metrics",
    "/v2/replicas/statistics",
    "/grpc.health.v1.Health/Check",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
}


class RequestRecorder:
    """Records requests.

    Args:
        statistics: where they are counted.
        write: writes the line of a request.
        describe: called with the route, method, status, request id and client of each request, if there is one.
    """

    def __init__(
        self,
        statistics: ServiceStatistics,
        write: Callable[..., None] = logs.log_request,
        describe: Callable[[str, str, int, str, str], None] | None = None,
    ) -> None:
        self._statistics = statistics
        self._write = write
        self._describe = describe

    def record(
        self,
        route: str,
        method: str,
        path: str,
        status: int,
        request_id: str,
        seconds: float,
        client: str,
        error: str = "",
    ) -> None:
        """Record a request.

        Args:
            route: template of the path. Counted by it, and not by the path: clients invent paths without end.
            method, path: of the request; of a call by gRPC, `GRPC` and the method's path.
            status: of the response.
            request_id: of the request.
            seconds: from the head of the request to the end of the response.
            client: network address of the client; empty on a unix socket.
            error: what the client is told is wrong; empty where nothing is.
        """
        if self._describe is not None:
            self._describe(route, method, status, request_id, client)
        self._statistics.requests[route, method if method in _METHODS else "other", status].add(seconds)
        if path not in _NOT_LOGGED:
            write = partial(self._write, error=error[:MAX_ERROR_LENGTH]) if error else self._write
            write(
                method=method,
                path=path,
                status=status,
                milliseconds=round(seconds * 1e6) / 1e3,
                client=client,
                request_id=request_id,
            )
