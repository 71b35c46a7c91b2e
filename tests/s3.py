"""An S3 endpoint in the process of the tests, and a proxy in front of it that loses answers or refuses requests."""

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

ACCESS_KEY = "AKIAEXAMPLE"
SECRET_KEY = "a-secret-that-no-message-repeats"
_numbers = count()


@dataclass(frozen=True)
class Endpoint:
    """Where S3 is spoken."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that users set."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self) -> str:
        """A new bucket. Returns the URL of a repository in it."""
        name = f"bucket-{os.getpid()}-{next(_numbers)}"
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}/models"

    def client(self) -> "boto3.client":
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )


@contextmanager
def serving() -> Iterator[Endpoint]:
    moto = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # moto compares If-Match in one step and stores in another: two threads would both succeed, unlike with S3.
        with one_at_a_time:
            answered: Iterable[bytes] = moto(environ, start_response)
            return answered

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Endpoint(f"http://127.0.0.1:{server.port}")
    finally:
        server.shutdown()
        thread.join()


Step = Callable[[bytes], str]
"""What to do with a request, by its first line: "pass", "lose" the answer, or "refuse" the connection."""


@dataclass
class Proxy:
    """Passes each request on a connection of its own, and may lose its answer.

    Attributes:
        port: where it listens.
        decide: what to do with each request.
        seen: first lines of all requests.
    """

    port: int
    decide: Step = lambda _line: "pass"
    seen: list[bytes] = field(default_factory=list)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(f"http://127.0.0.1:{self.port}")


@contextmanager
def proxied(endpoint: Endpoint) -> Iterator[Proxy]:
    upstream = int(endpoint.url.rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(listener.getsockname()[1])

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_forward, args=(connection, upstream, proxy), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _forward(connection: socket.socket, upstream: int, proxy: Proxy) -> None:
    """One request and its answer, and the end of the connection."""
    with connection, connection.makefile("rb") as reader:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline()
            if not line:
                return
            head += line
        first, _, rest = head.partition(b"\r\n")
        proxy.seen.append(first)
        step = proxy.decide(first)
        if step == "refuse":
            return
        lengths = [int(line[15:]) for line in rest.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        body = reader.read(lengths[0]) if lengths else b""
        fields = b"\r\n".join(line for line in rest.split(b"\r\n") if not line.lower().startswith(b"connection:"))
        with socket.create_connection(("127.0.0.1", upstream)) as server:
            server.sendall(first + b"\r\nConnection: close\r\n" + fields + body)
            answer = b""
            while chunk := server.recv(1 << 16):
                answer += chunk
        if step == "pass":
            connection.sendall(answer)


@pytest.fixture(scope="session")
def s3() -> Iterator[Endpoint]:
    """An S3 endpoint for all tests. What a test stores is in a bucket of its own."""
    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3: Endpoint, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty repository, with the environment that it needs."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3.make_bucket()
