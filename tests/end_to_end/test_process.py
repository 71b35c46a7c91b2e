"""Start, stop, and what the process never does."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from models.repository.repository import Repository
from service.http.opening import STARTUP_FAILURE
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import TIMEOUT_SECONDS, Process, environment, running, with_workers


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    Repository(tmp_path / "repository").publish(tiny_bundle())
    return tmp_path / "repository"


BODY = json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}).encode()


def half_a_request(process: Process) -> socket.socket:
    """A connection on which the service waits for the body: the request is in flight."""
    connection = socket.create_connection(("127.0.0.1", process.port), timeout=TIMEOUT_SECONDS)
    head = (
        f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n"
    )
    connection.sendall(head.encode())
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    return connection


@pytest.mark.parametrize(
    ("stop", "workers"),
    [(signal.SIGTERM, "1"), (signal.SIGHUP, "1"), (signal.SIGHUP, "2")],
    ids=["SIGTERM", "terminal closed", "terminal of workers closed"],
)
def test_a_request_in_flight_is_answered_after_a_signal_and_the_exit_code_is_0(
    repository: Path, stop: signal.Signals, workers: str
) -> None:
    with running(repository, "--workers", workers) as process, half_a_request(process) as connection:
        process.popen.send_signal(stop)
        wait_until_closed(process.port)
        connection.sendall(BODY)

        assert connection.recv(10_000).startswith(b"HTTP/1.1 200 ")
        assert process.popen.wait(TIMEOUT_SECONDS) == 0


@with_workers
def test_a_subscriber_to_events_does_not_keep_it_from_stopping(repository: Path, workers: str) -> None:
    with running(repository, "--workers", workers, "--drain-seconds", "3600") as process:
        with httpx2.stream("GET", f"{process.url}/v2/events", timeout=TIMEOUT_SECONDS) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: statistics"
            process.popen.send_signal(signal.SIGTERM)
            assert list(lines)[-1] == ""  # to an orderly end

        assert process.popen.wait(TIMEOUT_SECONDS) == 0


def test_it_says_not_ready_before_it_closes_the_port(repository: Path) -> None:
    with (
        running(repository, "--shutdown-delay-seconds", "3600") as process,
        httpx2.Client(base_url=process.url) as client,
    ):
        assert client.get("/v2/health/ready").status_code == 200
        process.popen.send_signal(signal.SIGTERM)
        while client.get("/v2/health/ready").status_code == 200:
            pass

        assert "shutting down" in client.get("/v2/health/ready").json()["error"]
        assert client.post("/v2/models/tiny/infer", content=BODY).status_code == 200
        assert process.stop() == 0


def test_while_it_stops_each_connection_is_closed_with_a_response_that_says_so(repository: Path) -> None:
    with (
        running(repository, "--shutdown-delay-seconds", "3600") as process,
        httpx2.Client(base_url=process.url) as kept,
        httpx2.Client(base_url=process.url) as asking,
    ):
        assert "connection" not in kept.post("/v2/models/tiny/infer", content=BODY).headers
        process.popen.send_signal(signal.SIGTERM)
        while asking.get("/v2/health/ready").status_code == 200:
            pass

        for client in (kept, httpx2.Client(base_url=process.url)):  # a connection of before, and a new one
            last = client.post("/v2/models/tiny/infer", content=BODY)
            assert (last.status_code, last.headers["connection"]) == (200, "close")
            assert client.get("/v2/models/tiny").headers["connection"] == "close"
        assert process.stop() == 0


def wait_until_closed(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS).close()
        except ConnectionError:  # refused, or reset where it came just before
            return


def test_a_port_that_is_taken_is_a_start_up_failure(repository: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "service", "--repository", str(repository), "--port"]
        done = subprocess.run(
            [*command, str(taken.getsockname()[1])], capture_output=True, timeout=TIMEOUT_SECONDS, env=environment()
        )

    assert done.returncode != 0
    assert b"address already in use" in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["--prot", "1"], {}, "--prot"),
        ([], {"DENGE_PROT": "1"}, "DENGE_PROT is not a setting"),
        pytest.param([], {"DENGE_THREADS": "many"}, "threads: ", marks=pytest.mark.slow),
        pytest.param([], {"DENGE_CONFIG": "/no/such/file"}, "cannot be read", marks=pytest.mark.slow),
    ],
)
def test_a_wrong_setting_stops_the_start(
    repository: Path, arguments: list[str], variables: dict[str, str], words: str
) -> None:
    command = [sys.executable, "-m", "service", "--port", "0", "--repository", str(repository), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment(**variables)
    )

    assert done.returncode in (2, 3)
    assert words in done.stderr.splitlines()[-1]
    assert not done.stdout


def test_a_start_that_fails_says_so_in_one_line(repository: Path) -> None:
    command = [sys.executable, "-m", "service", "--port", "0", "--repository", str(repository), "--provider", "cuda"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment())

    assert done.returncode == STARTUP_FAILURE
    (line,) = done.stderr.splitlines()
    assert line.startswith("the service does not start: provider 'cuda': this onnxruntime has no CUDAExecutionProvider")


def test_it_serves_without_torch_onnx_and_by_default_without_traces(repository: Path) -> None:
    unwanted = {"torch", "onnx", "opentelemetry.sdk", "sklearn", "scipy", "training"}
    program = f"""
import sys
from starlette.testclient import TestClient
from service.app import create_app
from service.settings import Settings

with TestClient(create_app(Settings(repository={str(repository)!r}))) as client:
    assert client.post("/v2/models/tiny/infer", content={BODY!r}).status_code == 200
    assert client.get("/v2/models/tiny/layers/norm").status_code == 200
print(sorted({unwanted} & {{*sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())

    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_what_threads_need_is_imported_before_the_first_request_that_uses_one() -> None:
    """Were it imported then, the event loop would stand still for 50 ms and more."""
    program = """
import asyncio, sys
from fastapi.concurrency import run_in_threadpool
from service.http.framework import import_threads

before = set(sys.modules)
import_threads()
imported = set(sys.modules)
asyncio.run(run_in_threadpool(int))
print(len(imported - before) > 0, sorted(set(sys.modules) - imported))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())

    assert done.stdout.splitlines() == ["True []"], done.stderr
