"""What every call gets: access, an id, a record, and a status."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest

from models.errors import InvalidInput
from models.repository.repository import Repository
from service.access import Guard
from service.grpc.calls import Access, Calls, Respond, parse_peer
from service.grpc.messages import SERVICE, message_class, pool
from service.grpc.server import GrpcServer
from service.grpc.service import Service
from service.host.lifecycle import Lifecycle
from service.host.memory_budget import MemoryBudget
from service.telemetry.logs import log_request
from service.telemetry.requests import RequestRecorder
from service.telemetry.statistics import ServiceStatistics
from tests.awaiting import within_time
from tests.service.grpc.client import SECONDS, infer_request
from tests.service.grpc.conftest import Serving, serving

KEY, TOKEN = "a-key-of-the-tests-of-grpc", "a-token-of-the-tests-of-grpc"
ROW = np.zeros((1, 4), np.float32)


def code(serving: Serving, method: str, request: Any, token: str = "", **metadata: str) -> grpc.StatusCode:
    named = [(name.replace("_", "-"), value) for name, value in metadata.items()]
    if token:
        named.append(("authorization", f"Bearer {token}"))
    try:
        serving.grpc.call(method, request, named)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_predictions_need_a_key_and_changes_the_token(repository: Repository) -> None:
    load = message_class("RepositoryModelLoadRequest")(model_name="tiny")
    with serving(repository, admin_token=TOKEN, api_keys=KEY) as guarded:
        predictions = [code(guarded, "ModelInfer", infer_request(ROW), token) for token in ("", "wrong", KEY, TOKEN)]
        changes = [code(guarded, "RepositoryModelLoad", load, token) for token in ("", "wrong", KEY, TOKEN)]
        with pytest.raises(grpc.RpcError) as refused:
            list(guarded.grpc.infer_stream([infer_request(ROW)]))

        assert code(guarded, "ServerReady", b"") == grpc.StatusCode.OK

    unknown, fine = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.OK
    assert predictions == [unknown, unknown, fine, fine]
    assert changes == [unknown, unknown, grpc.StatusCode.PERMISSION_DENIED, fine]
    assert refused.value.code() == unknown


ACCESS = {
    "ModelInfer": {KEY, TOKEN},
    "ModelStreamInfer": {KEY, TOKEN},
    "RepositoryModelLoad": {TOKEN},
    "RepositoryModelUnload": {TOKEN},
}
"""Tokens that let a call in, by method. All others are public."""


def test_every_method_asks_for_its_token(repository: Repository) -> None:
    methods = [method.name for method in pool.FindServiceByName(SERVICE).methods]
    public = {"", KEY, TOKEN}
    refused = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
    let_in: dict[str, set[str]] = {}
    with serving(repository, admin_token=TOKEN, api_keys=KEY) as guarded:
        for method in methods:
            call = guarded.grpc.channel.stream_stream(f"/{SERVICE}/{method}")
            for token in public:
                metadata = [("authorization", f"Bearer {token}")] if token else []
                try:
                    list(call(iter([b""]), metadata=metadata, timeout=SECONDS))
                except grpc.RpcError as error:
                    if error.code() in refused:
                        continue
                let_in.setdefault(method, set()).add(token)

    assert ACCESS.keys() <= set(methods)
    assert let_in == {method: ACCESS.get(method, public) for method in methods}


def test_without_a_token_only_direct_calls_change_what_is_served(own: Serving) -> None:
    load = message_class("RepositoryModelLoadRequest")(model_name="tiny")

    assert code(own, "RepositoryModelLoad", load) == grpc.StatusCode.OK
    for header in ("forwarded", "x_forwarded_for", "origin"):
        refused = code(own, "RepositoryModelLoad", load, **{header: "http://elsewhere"})
        assert refused == grpc.StatusCode.PERMISSION_DENIED


def test_a_client_without_a_key_is_refused_before_its_message_is_read(repository: Repository) -> None:
    with serving(repository, api_keys=KEY) as guarded:
        assert code(guarded, "ModelInfer", bytes(1 << 21)) == grpc.StatusCode.UNAUTHENTICATED
        assert code(guarded, "ModelInfer", bytes(1 << 21), KEY) == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_two_keys_are_refused_whatever_they_are(repository: Repository) -> None:
    with serving(repository, api_keys=KEY) as guarded, pytest.raises(grpc.RpcError) as failed:
        guarded.grpc.call("ModelInfer", infer_request(ROW), [("authorization", f"Bearer {KEY}")] * 2)

    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert failed.value.details().startswith("authorization: ")


@asynccontextmanager
async def taking(
    respond: Respond, budget: MemoryBudget, write: Callable[..., None] = log_request
) -> AsyncIterator[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]]:
    """A server with one method, and a client's call of it."""
    lifecycle = Lifecycle()
    calls = Calls(Guard(), RequestRecorder(ServiceStatistics(), write), budget, SECONDS)
    service = Service({"/test/Take": calls.unary("/test/Take", Access.PREDICT, respond)})
    options: Any = {"hosts": ["127.0.0.1"], "port": 0, "max_message_bytes": 1 << 20}
    async with (
        GrpcServer(service, lifecycle, **options, idle_seconds=60, drain_seconds=1).serving(),
        grpc.aio.insecure_channel(lifecycle.addresses["gRPC"]) as channel,
    ):
        yield channel.unary_unary("/test/Take")


def test_large_messages_have_a_share_of_memory() -> None:
    async def respond(_client: object, message: bytes) -> bytes:
        return message[:1]

    async def scenario() -> list[grpc.StatusCode]:
        budget = MemoryBudget(1 << 20)  # of which one client has half
        async with taking(respond, budget) as take:
            codes = [await take(bytes(size), timeout=SECONDS).code() for size in (400_000, 600_000, 400_000)]
        assert budget.used == 0
        return codes

    codes = asyncio.run(within_time(scenario(), "the calls were not answered"))

    assert codes == [grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK]


def test_what_a_refused_client_is_told_is_in_the_log() -> None:
    lines: list[dict[str, Any]] = []

    async def respond(_client: object, message: bytes) -> bytes:
        if message == b"bad":
            raise InvalidInput("missing", "inputs")
        return message

    async def scenario() -> None:
        async with taking(respond, MemoryBudget(1 << 20), lambda **fields: lines.append(fields)) as take:
            for message in (b"good", b"bad"):
                await take(message, timeout=SECONDS).code()

    asyncio.run(within_time(scenario(), "the calls were not answered"))

    assert [(line["status"], line.get("error")) for line in lines] == [(200, None), (400, "inputs: missing")]


def test_a_message_that_does_not_come_ends_the_call(repository: Repository) -> None:
    never = threading.Event()

    def no_message() -> Iterator[bytes]:
        never.wait(SECONDS)
        yield from ()

    with serving(repository, body_seconds=0.05) as hasty:
        path = "/inference.GRPCInferenceService/ModelInfer"
        with pytest.raises(grpc.RpcError) as failed:
            hasty.grpc.channel.stream_unary(path)(no_message(), timeout=SECONDS)
        never.set()
        assert hasty.grpc.call("ServerLive").live

    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "did not arrive" in failed.value.details()


def test_the_id_of_a_request_is_that_of_its_client(shared: Serving) -> None:
    _, given = shared.grpc.with_call("ModelInfer", infer_request(ROW), [("x-request-id", "an-id.7")])
    _, chosen = shared.grpc.with_call("ModelInfer", infer_request(ROW), [("x-request-id", "not an id")])

    assert dict(given.trailing_metadata())["x-request-id"] == "an-id.7"
    assert len(dict(chosen.trailing_metadata())["x-request-id"]) == 16


def test_calls_are_counted_by_method_and_status(own: Serving) -> None:
    code(own, "ModelInfer", infer_request(ROW))
    code(own, "ModelInfer", infer_request(ROW, "other"))
    path = "/inference.GRPCInferenceService/ModelInfer"

    metrics = own.http.get("/metrics").text

    for status in (200, 404):
        assert f'denge_http_requests_total{{method="gRPC",route="{path}",status="{status}"}} 1.0' in metrics


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("SystemSharedMemoryStatus", "shared memory"),
        ("CudaSharedMemoryRegister", "shared memory"),
        ("TraceSetting", "OpenTelemetry"),
        ("LogSettings", "--log-level"),
    ],
)
def test_what_is_not_served_says_so(shared: Serving, method: str, sentence: str) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        shared.grpc.channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(b"", timeout=30)

    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert sentence in failed.value.details()


def test_a_call_without_a_message_is_an_invalid_one(shared: Serving) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        shared.grpc.channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")(iter(()), timeout=30)

    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:4321", "127.0.0.1"),
        ("ipv6:%5B::1%5D:4321", "::1"),
        ("ipv6:[fe80::1%25eth0]:4321", "fe80::1%eth0"),
        ("unix:/tmp/socket", ""),
    ],
)
def test_the_address_of_a_client(peer: str, address: str) -> None:
    assert parse_peer(peer) == address
