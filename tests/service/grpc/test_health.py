"""grpc.health.v1, for the service and for models."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.grpc import health
from service.grpc.messages import SERVICE
from tests.service.grpc.client import SECONDS
from tests.service.grpc.conftest import Serving

Status = health_pb2.HealthCheckResponse
ATTEMPTS = 1000


def check(serving: Serving, service: str) -> int:
    stub = health_pb2_grpc.HealthStub(serving.grpc.channel)
    return int(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS).status)


def test_the_service_and_its_models_serve_until_they_do_not(own: Serving) -> None:
    assert [check(own, name) for name in ("", SERVICE, "grpc.health.v1.Health", "tiny")] == [Status.SERVING] * 4

    own.grpc.ask("RepositoryModelUnload", model_name="tiny")
    assert (check(own, "tiny"), check(own, "shapes")) == (Status.NOT_SERVING, Status.SERVING)

    own.lifecycle.stopping = True
    assert [check(own, name) for name in ("", SERVICE, "shapes")] == [Status.NOT_SERVING] * 3


def test_an_unknown_service_is_not_found(shared: Serving) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        check(shared, "other")

    assert failed.value.code() == grpc.StatusCode.NOT_FOUND


def test_who_watches_sees_each_change(own: Serving) -> None:
    stub = health_pb2_grpc.HealthStub(own.grpc.channel)
    watching = stub.Watch(health_pb2.HealthCheckRequest(service="tiny"), timeout=SECONDS)
    unknown = stub.Watch(health_pb2.HealthCheckRequest(service="other"), timeout=SECONDS)

    assert next(watching).status == Status.SERVING
    assert next(unknown).status == Status.SERVICE_UNKNOWN
    own.grpc.ask("RepositoryModelUnload", model_name="tiny")
    assert next(watching).status == Status.NOT_SERVING
    watching.cancel()
    unknown.cancel()


def test_who_watches_leaves_room_for_other_calls(own: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MAX_WATCHERS", 1)
    stub = health_pb2_grpc.HealthStub(own.grpc.channel)
    watching = stub.Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    assert next(watching).status == Status.SERVING

    with pytest.raises(grpc.RpcError) as failed:
        next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS))
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    assert check(own, "") == Status.SERVING

    watching.cancel()
    for _ in range(ATTEMPTS):  # the server hears of it a moment later
        try:
            assert next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)).status == Status.SERVING
        except grpc.RpcError:
            continue
        return
    pytest.fail("a call that was cancelled still counts")
