"""The port: reflection, its limits, how it opens and closes."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service.grpc.server import GrpcServer
from service.grpc.service import Service
from service.host.lifecycle import Lifecycle
from tests.awaiting import within_time
from tests.service.grpc.client import SECONDS
from tests.service.grpc.conftest import Serving

PATH = "/test/Wait"


def reflect(serving: Serving, **request: str) -> reflection_pb2.ServerReflectionResponse:
    stub = reflection_pb2_grpc.ServerReflectionStub(serving.grpc.channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(**request)])
    return next(stub.ServerReflectionInfo(asked, timeout=SECONDS))


def test_clients_learn_the_services_and_their_messages(shared: Serving) -> None:
    listed = reflect(shared, list_services="").list_services_response.service

    for service in listed:
        found = reflect(shared, file_containing_symbol=service.name).file_descriptor_response
        files = [FileDescriptorProto.FromString(file) for file in found.file_descriptor_proto]
        assert any(f"{file.package}.{own.name}" == service.name for file in files for own in file.service)
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= {service.name for service in listed}


def server(lifecycle: Lifecycle, handler: object, port: int = 0, drain_seconds: float = SECONDS) -> GrpcServer:
    handlers = {PATH: grpc.unary_unary_rpc_method_handler(handler)}  # type: ignore[arg-type]
    return GrpcServer(
        Service(handlers),
        lifecycle,
        hosts=["127.0.0.1"],
        port=port,
        max_message_bytes=1 << 20,
        idle_seconds=60,
        drain_seconds=drain_seconds,
    )


def test_calls_in_flight_are_answered_when_the_port_closes() -> None:
    async def scenario() -> bytes:
        began, go_on, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def wait(_request: bytes, _context: object) -> bytes:
            began.set()
            await go_on.wait()
            return b"answered"

        lifecycle = Lifecycle()

        async def serve() -> None:
            async with server(lifecycle, wait).serving():
                served.set()
                await closed.wait()

        served = asyncio.Event()
        running = asyncio.create_task(serve())
        await served.wait()
        async with grpc.aio.insecure_channel(lifecycle.addresses["gRPC"]) as channel:
            calling = asyncio.ensure_future(channel.unary_unary(PATH)(b""))
            await began.wait()
            lifecycle.drain()
            closed.set()
            while True:  # until the port has closed to others
                async with grpc.aio.insecure_channel(lifecycle.addresses["gRPC"]) as other:
                    with pytest.raises(grpc.RpcError) as refused:
                        await other.unary_unary("/test/Other")(b"", timeout=SECONDS)
                if refused.value.code() == grpc.StatusCode.UNAVAILABLE:
                    break
            assert not running.done()
            go_on.set()
            answer = await calling
        await running
        return bytes(answer)

    assert asyncio.run(within_time(scenario(), "the call was not answered")) == b"answered"


def test_a_stream_without_messages_does_not_keep_the_server_from_stopping() -> None:
    async def scenario() -> grpc.StatusCode:
        async def answer(_messages: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
            while (message := await context.read()) is not grpc.aio.EOF:
                await context.write(message)  # type: ignore[arg-type]

        lifecycle = Lifecycle()
        handler = grpc.stream_stream_rpc_method_handler(answer)  # type: ignore[arg-type]
        options: Any = {"hosts": ["127.0.0.1"], "port": 0, "max_message_bytes": 1 << 20, "idle_seconds": 60}
        async with GrpcServer(Service({PATH: handler}), lifecycle, **options, drain_seconds=0.05).serving():
            channel = grpc.aio.insecure_channel(lifecycle.addresses["gRPC"])
            stream = channel.stream_stream(PATH)(timeout=SECONDS)
            await stream.write(b"first")
            assert await stream.read() == b"first"
            lifecycle.drain()
        code = await stream.code()
        await channel.close()
        return code

    assert asyncio.run(within_time(scenario(), "the server does not stop")) == grpc.StatusCode.UNAVAILABLE


def test_a_port_that_is_taken_is_named() -> None:
    async def scenario() -> str:
        lifecycle = Lifecycle()
        async with server(lifecycle, None).serving():
            port = int(lifecycle.addresses["gRPC"].rpartition(":")[2])
            with pytest.raises(OSError, match="grpc_port") as failed:
                async with server(Lifecycle(), None, port).serving():
                    pass
        return str(failed.value)

    assert "another process" in asyncio.run(within_time(scenario(), "the ports did not close"))
