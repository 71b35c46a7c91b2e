"""gRPC as its clients use it: the real service, and the unmodified clients of Triton and of KServe."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx2
import numpy as np
import pytest

from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import TIMEOUT_SECONDS, Process, environment, running
from tests.service.grpc.client import Client, infer_request

ROWS = np.random.default_rng(0).normal(scale=3, size=(5, 4)).astype(np.float32)


@dataclass(frozen=True)
class Serving:
    """A service and where it serves gRPC."""

    process: Process
    address: str


def serving(process: Process) -> Serving:
    """Reads the announcement to the line of gRPC."""
    assert process.popen.stdout is not None
    for line in process.popen.stdout:
        name, _, address = line.strip().partition(":")
        if name == "gRPC":
            return Serving(process, address.strip())
    raise AssertionError("gRPC was not announced")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("grpc") / "repository"
    Repository(folder).publish(tiny_bundle())
    return folder


@pytest.fixture(scope="module")
def service(root: Path) -> Iterator[Serving]:
    with running(root, "--grpc-port", "0") as process:
        yield serving(process)


@pytest.fixture(scope="module")
def logits(service: Serving) -> Any:
    """What HTTP answers, as the shortest text of a float32 and read as one."""
    tensor = {"name": "input", "shape": [5, 4], "datatype": "FP32", "data": ROWS.tolist()}
    answer = httpx2.post(f"{service.process.url}/v2/models/tiny/infer", json={"inputs": [tensor]}).json()
    return np.array(answer["outputs"][0]["data"], np.float32).reshape(5, 2).tolist()


def run(client: str, service: Serving) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).with_name(client)), service.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment())
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_tritons_client(service: Serving, logits: Any) -> None:
    found = run("triton_grpc.py", service)

    assert [found[name] for name in ("live", "ready", "model ready", "counted")] == [True] * 4
    assert (found["server"], found["id"]) == ("denge", "seven")
    assert found["inputs"] == [{"name": "input", "datatype": "FP32", "shape": ["-1", "4"]}]
    assert found["config"] == [32, "TYPE_FP32", ["4"]]
    assert found["logits"] == found["compressed"] == found["callback"] == logits
    assert found["asyncio"] == {"logits": logits, "streamed": [logits] * 2, "live": True}
    assert (found["stream"][0], found["stream"][2]) == (logits, logits)
    assert "'other' is not found" in found["stream"][1]
    assert found["classes"] == [("no", "yes")[int(np.argmax(row))] for row in logits]
    assert found["unknown model"].startswith("StatusCode.NOT_FOUND")
    assert found["wrong shape"].startswith("StatusCode.INVALID_ARGUMENT: inputs[0].shape")
    assert found["timeout"].startswith("StatusCode.DEADLINE_EXCEEDED")
    for method in ("shared memory", "trace", "log"):
        assert found[method].startswith("StatusCode.UNIMPLEMENTED: "), found[method]
    assert found["unloaded"][0] is False
    assert found["unloaded"][1].startswith("StatusCode.UNAVAILABLE")
    assert found["index"] == [["tiny", "1", "READY"]]


def test_kserves_client(service: Serving, logits: Any) -> None:
    found = run("kserve_grpc.py", service)

    assert [found[name] for name in ("live", "ready", "model ready")] == [True] * 3
    assert found["raw"] == found["typed"] == logits
    assert found["id"] == "seven"
    assert "NOT_FOUND" in found["unknown model"]


@pytest.mark.slow
def test_without_the_setting_grpc_is_not_imported(root: Path) -> None:
    script = """
import sys
from service.app import create_app
from service.settings import Settings
create_app(Settings(repository=sys.argv[1]))
assert not [name for name in sys.modules if name.partition(".")[0] in {"grpc", "google"}]
"""
    command = [sys.executable, "-c", script, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment())

    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_port_that_is_taken_ends_the_start(service: Serving, root: Path) -> None:
    port = service.address.rpartition(":")[2]
    command = [sys.executable, "-m", "service", "--port", "0", "--grpc-port", port, "--repository", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment())

    assert done.returncode == 3
    assert f"grpc_port: cannot listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.slow
def test_requests_in_flight_are_answered_at_sigterm(root: Path) -> None:
    # A stream of one request after the other: those that were sent before the signal are answered.
    with running(root, "--grpc-port", "0", "--inline-ms", "0") as process:
        address = serving(process).address
        with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(1) as pool:
            client = Client(channel)
            client.call("ServerReady")
            requests = iter([infer_request(ROWS)] * 200)
            answers = client.infer_stream(requests)
            first = next(answers)
            stopped = pool.submit(process.stop)
            others = list(answers)
            assert stopped.result(TIMEOUT_SECONDS) == 0

    assert not first.error_message
    assert len(others) == 199
    assert not any(answer.error_message for answer in others)


@pytest.mark.slow
def test_every_worker_predicts_on_the_one_port(root: Path) -> None:
    with running(root, "--grpc-port", "0", "--workers", "2") as process:
        address = serving(process).address
        answers = set()
        for _ in range(16):  # a connection each, which the system gives to one of the workers
            with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                client = Client(channel)
                answers.add(client.call("ModelInfer", infer_request(ROWS)).SerializeToString())
                client.ask("RepositoryModelLoad", model_name="tiny")
        metrics = httpx2.get(f"{process.url}/metrics").text
        assert process.stop() == 0

    assert len(answers) == 1
    path = "/inference.GRPCInferenceService/ModelInfer"
    assert f'denge_http_requests_total{{method="gRPC",route="{path}",status="200"}} 16.0' in metrics


def lines_beside_the_log(root: Path, **variables: str) -> list[str]:
    """What a service writes besides its own log when a call has more metadata than it takes."""
    with (root.parent / "log").open("w+") as log, running(root, "--grpc-port", "0", stderr=log, **variables) as process:
        with grpc.insecure_channel(serving(process).address) as channel, pytest.raises(grpc.RpcError) as refused:
            Client(channel).call("ServerLive", metadata=[("large", "x" * (1 << 15))])
        assert process.stop() == 0
        log.seek(0)
        lines = log.read().splitlines()
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    return [line for line in lines if not line.startswith("{")]


def test_metadata_that_is_too_large_leaves_no_line_of_grpcs_own_in_the_log(root: Path) -> None:
    assert lines_beside_the_log(root) == []
    # gRPC's own lines do come there where it may write them.
    assert "Log level INFO" in " ".join(lines_beside_the_log(root, GRPC_VERBOSITY="INFO"))
