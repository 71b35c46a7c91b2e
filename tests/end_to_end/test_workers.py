"""Several worker processes that answer as one service."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.repository.repository import Repository
from tests.bundles import image_bundle, tiny_bundle
from tests.end_to_end.conftest import TIMEOUT_SECONDS, Process, environment, running
from tests.end_to_end.test_process import BODY, half_a_request, wait_until_closed
from tests.watching import watched_bundle

INFER = "/v2/models/tiny/infer"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "repository")
    repository.publish(tiny_bundle())
    repository.publish(image_bundle())
    return repository


@contextmanager
def two_workers(repository: Repository, *arguments: str) -> Iterator[Process]:
    """A service with two workers, which leaves no process and no file behind, however it ends."""
    # Not below `tmp_path`, which may be longer than the address of a unix socket can be.
    with tempfile.TemporaryDirectory() as temporary:
        with running(repository.root, "--workers", "2", *arguments, TMPDIR=temporary) as process:
            born = workers(process)
            assert len(born) == 2
            yield process
            born |= workers(process)
        until(lambda: not any(map(runs, born)))
        assert not list(Path(temporary).iterdir())


def until(holds: Callable[[], object]) -> None:
    """Return when something holds; fail where it never does."""
    deadline = monotonic() + TIMEOUT_SECONDS
    while not holds():
        assert monotonic() < deadline
        sleep(0.01)


def status_of(pid: int | str) -> list[str]:
    """Fields of /proc/PID/stat after the name: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["gone", "0"]


def runs(pid: int) -> bool:
    return status_of(pid)[0] not in {"gone", "Z"}


def workers(process: Process) -> set[int]:
    """The children of a process."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return {pid for pid in pids if status_of(pid)[1] == str(process.popen.pid) and runs(pid)}


class Connection:
    """A connection that stays open, to one worker."""

    def __init__(self, process: Process) -> None:
        self._http = HTTPConnection("127.0.0.1", process.port, timeout=TIMEOUT_SECONDS)
        assert self.get("/v2/health/ready")[0] == 200
        self.worker = self._other_end(process)

    def get(self, path: str) -> tuple[int, bytes]:
        return self.request("GET", path)

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        self._http.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = self._http.getresponse()
        return answer.status, answer.read()

    def infer(self) -> dict[str, Any]:
        status, answer = self.request("POST", INFER, BODY)
        assert status == 200, answer
        return dict(json.loads(answer))

    def metrics(self) -> dict[str, float]:
        """Sums over all labels but the outcome."""
        sums: Counter[str] = Counter()
        for family in text_string_to_metric_families(self.get("/metrics")[1].decode()):
            for sample in family.samples:
                sums[sample.name] += sample.value
                sums[f"{sample.name} {sample.labels.get('route') or sample.labels.get('outcome')}"] += sample.value
        return sums

    def close(self) -> None:
        self._http.close()

    def _other_end(self, process: Process) -> int:
        """The process that has accepted this connection, by the inode of its socket."""
        port = self._http.sock.getsockname()[1]
        here, there = f"0100007F:{process.port:04X}", f"0100007F:{port:04X}"
        rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        inode = next(row[9] for row in rows if row[1:3] == [here, there])
        for pid in workers(process):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                if descriptor.is_symlink() and str(descriptor.readlink()) == f"socket:[{inode}]":
                    return pid
        raise AssertionError("no worker has this connection")


@contextmanager
def one_each(process: Process) -> Iterator[list[Connection]]:
    """A connection to each of the two workers."""
    with ExitStack() as stack:
        found: dict[int, Connection] = {}

        def both() -> bool:
            connection = Connection(process)
            stack.callback(connection.close)
            found.setdefault(connection.worker, connection)
            return len(found) == 2

        until(both)
        yield list(found.values())


@pytest.mark.slow
def test_counters_and_models_are_one_whichever_worker_is_asked(repository: Repository) -> None:
    with two_workers(repository) as process, one_each(process) as (first, second):
        for connection, times in ((first, 3), (second, 4)):
            for _ in range(times):
                connection.infer()
        assert second.request("POST", INFER, b"{}")[0] == 400

        for connection in (first, second):
            counted = connection.metrics()
            assert counted[f"denge_http_requests_total {INFER.replace('tiny', '{model}')}"] == 8
            assert counted["denge_inferences_total success"] == 7
            assert counted["denge_inference_rows_total"] == 7
            assert counted["denge_inference_seconds_count"] == 7
            assert counted["denge_workers"] == 2
            stats = json.loads(connection.get("/v2/models/tiny/stats")[1])["model_stats"]
            assert [version["execution_count"] for version in stats] == [7]
            assert [version["inference_stats"]["success"]["count"] for version in stats] == [7]
        assert counted["process_resident_memory_bytes"] == pytest.approx(
            sum(resident_bytes(pid) for pid in (process.popen.pid, *workers(process))), rel=0.1
        )

        repository.publish(tiny_bundle(seed=1))
        assert first.infer()["model_version"] == second.infer()["model_version"] == "1"
        assert first.request("POST", "/v2/repository/models/tiny/load")[0] == 200
        assert first.infer()["model_version"] == second.infer()["model_version"] == "2"
        assert first.infer()["outputs"] == second.infer()["outputs"]

        canary = json.dumps({"version": 1, "share": 1}).encode()
        assert second.request("PUT", "/v2/models/tiny/rollout/canary", canary)[0] == 200
        assert first.infer()["model_version"] == second.infer()["model_version"] == "1"

        assert second.request("POST", "/v2/repository/models/tiny/unload")[0] == 200
        assert first.request("POST", INFER, BODY)[0] == second.request("POST", INFER, BODY)[0] == 503
        assert second.request("POST", "/v2/models/shapes/infer", b"{}")[0] == 400
        assert process.stop() == 0


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Load(threading.Thread):
    """Asks one worker as fast as it answers, until it is told to stop or cannot go on."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(daemon=True)
        self.connection = connection
        self.enough = threading.Event()
        self.answered = 0
        self.broken: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            while not self.enough.is_set():
                self.connection.infer()
                self.answered += 1
        except (HTTPException, OSError) as error:
            self.broken = error


@pytest.mark.slow
def test_a_killed_worker_takes_its_own_connections_only_and_is_replaced(repository: Repository) -> None:
    with two_workers(repository) as process, one_each(process) as (victim, other), one_each(process) as more:
        asking = next(connection for connection in more if connection.worker != victim.worker)
        loads = [Load(victim), Load(other)]
        until(lambda: all(load.answered > 50 for load in loads))
        before = asking.metrics()["denge_inferences_total success"]
        os.kill(victim.worker, signal.SIGKILL)

        loads[0].join(TIMEOUT_SECONDS)
        assert loads[0].broken is not None
        seen = [before]
        until(lambda: seen.append(asking.metrics()["denge_inferences_total success"]) or asking_replaced(asking))
        assert seen == sorted(seen)
        # The new worker serves what the old one served, in time for whoever connects now.
        with one_each(process) as fresh:
            assert victim.worker not in {connection.worker for connection in fresh}
            assert fresh[0].infer()["outputs"] == fresh[1].infer()["outputs"]
        loads[1].enough.set()
        loads[1].join(TIMEOUT_SECONDS)
        assert loads[1].broken is None
        lost = loads[0].answered + loads[1].answered + 2 - asking.metrics()["denge_inferences_total success"]
        assert 0 <= lost <= loads[0].answered
        assert process.stop() == 0


def asking_replaced(connection: Connection) -> bool:
    counted = connection.metrics()
    return counted["denge_workers_replaced_total"] == 1 and counted["denge_workers"] == 2


@pytest.mark.slow
def test_a_worker_that_starts_later_serves_what_the_others_do(repository: Repository) -> None:
    with two_workers(repository) as process:
        with one_each(process) as (first, second):
            repository.publish(tiny_bundle(seed=1))
            assert first.request("POST", "/v2/repository/models/tiny/load")[0] == 200
            assert first.request("POST", "/v2/repository/models/shapes/unload")[0] == 200
            os.kill(first.worker, signal.SIGKILL)
            until(lambda: asking_replaced(second))
        with one_each(process) as both:
            for connection in both:
                assert connection.infer()["model_version"] == "2"
                assert connection.request("POST", "/v2/models/shapes/infer", b"{}")[0] == 503
        assert process.stop() == 0


@pytest.mark.slow
def test_what_the_layers_meet_is_one_answer_and_outlives_the_workers(repository: Repository) -> None:
    repository.publish(watched_bundle())
    live = "/v2/models/tiny/live?window=start"

    def rows(connection: Connection) -> int:
        return int(json.loads(connection.get(live)[1])["rows"])

    def observed_by(connection: Connection, before: int) -> int:
        until(lambda: connection.infer() and rows(connection) > before)
        return rows(connection)

    with two_workers(repository, "--watch-percent", "100") as process:
        with one_each(process) as (first, second):
            seen = observed_by(second, observed_by(first, 0))
            until(lambda: rows(first) == rows(second) >= seen)
            os.kill(first.worker, signal.SIGKILL)
            until(lambda: asking_replaced(second))
            assert rows(second) >= seen
            seen = rows(second)
        assert process.stop() == 0
    with two_workers(repository) as process:
        with one_each(process) as (first, second):
            assert rows(first) == rows(second) >= seen
        assert process.stop() == 0


@pytest.mark.parametrize("to_all", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_requests_in_flight_are_answered_after_sigterm(repository: Repository, to_all: bool) -> None:
    with two_workers(repository) as process, ExitStack() as stack:
        waiting = [stack.enter_context(half_a_request(process)) for _ in range(6)]
        for pid in workers(process) if to_all else ():
            os.kill(pid, signal.SIGTERM)
        process.popen.send_signal(signal.SIGTERM)
        wait_until_closed(process.port)
        for connection in waiting:
            connection.sendall(BODY)
        for connection in waiting:
            assert connection.recv(10_000).startswith(b"HTTP/1.1 200 ")
        assert process.popen.wait(TIMEOUT_SECONDS) == 0


@pytest.mark.slow
def test_all_workers_say_not_ready_before_the_port_closes(repository: Repository) -> None:
    with (
        two_workers(repository, "--shutdown-delay-seconds", "3600") as process,
        one_each(process) as (first, second),
    ):
        process.popen.send_signal(signal.SIGTERM)
        until(lambda: first.get("/v2/health/ready")[0] == 503)

        assert second.get("/v2/health/ready")[0] == 503
        assert first.infer() == second.infer()
        assert process.stop() == 0


@pytest.mark.slow
def test_a_worker_that_stands_still_is_taken_at_its_last_word(repository: Repository) -> None:
    with two_workers(repository) as process, one_each(process) as (still, asking):
        still.infer()
        assert asking.metrics()["denge_inferences_total success"] == 1
        os.kill(still.worker, signal.SIGSTOP)
        asking.infer()
        assert asking.metrics()["denge_inferences_total success"] == 2
        os.kill(still.worker, signal.SIGCONT)
        still.infer()
        assert asking.metrics()["denge_inferences_total success"] == 3
        assert process.stop() == 0


@pytest.mark.slow
def test_workers_end_with_their_supervisor(repository: Repository) -> None:
    with two_workers(repository) as process:
        process.popen.kill()
        process.popen.wait(TIMEOUT_SECONDS)


@pytest.mark.slow
def test_workers_that_cannot_be_started_end_the_service(repository: Repository) -> None:
    program = """
import sys
from service.__main__ import main

sys.executable = "/bin/false"  # what workers are started with
sys.exit(main(["--port", "0", "--workers", "2", "--repository", sys.argv[1]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(repository.root)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env=environment(),
    )

    assert done.returncode == 3, done.stderr
    assert "workers_cannot_be_started" in done.stderr
    assert not done.stdout
