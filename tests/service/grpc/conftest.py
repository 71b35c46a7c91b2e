"""An application that serves gRPC beside HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from service.app import create_app
from service.host.lifecycle import Lifecycle
from service.settings import Settings
from tests.service.conftest import fill
from tests.service.grpc.client import Client


@dataclass(frozen=True)
class Serving:
    """One application, by both of its ports."""

    grpc: Client
    http: TestClient
    lifecycle: Lifecycle
    address: str


@contextmanager
def serving(repository: Repository, **settings: Any) -> Iterator[Serving]:
    lifecycle = Lifecycle()
    chosen = Settings(repository=repository.root, max_body_mib=1, concurrency=2, grpc_port=0, **settings)
    app = create_app(chosen, lifecycle)
    with TestClient(app, "http://127.0.0.1:8000", raise_server_exceptions=False) as http:
        address = lifecycle.addresses["gRPC"]
        with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
            yield Serving(Client(channel), http, lifecycle, address)


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One application for all tests that leave it as it was."""
    with serving(fill(tmp_path_factory.mktemp("grpc"))) as one:
        yield one


@pytest.fixture
def own(repository: Repository) -> Iterator[Serving]:
    """An application for tests that change it."""
    with serving(repository) as one:
        yield one
