"""Replicas of two releases side by side, as during a rolling update: this program, and that of the previous commit.

`PREVIOUS_REVISION=<commit>` takes another one.
"""

import http.client
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.repository.repository import Repository
from tests import valkey
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import ROOT, TIMEOUT_SECONDS, Process, running
from tests.end_to_end.test_workers import until
from tests.recalibrating import confident_repository, tensor
from tests.watching import usual_rows, watched_bundle

MODEL = "/v2/models/tiny"
ROWS = 256


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The previous release's program."""
    folder = tmp_path_factory.mktemp("previous")
    revision = os.environ.get("PREVIOUS_REVISION", "HEAD~1")
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip(f"there is no commit {revision} here")
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    return folder


@dataclass(frozen=True)
class Replica:
    """A replica, and how it is asked."""

    process: Process

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Returns status and decoded answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=TIMEOUT_SECONDS)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def version(self) -> str | int:
        """Returns the version of an answer, or the status of a refusal."""
        status, answer = self.ask("POST", f"{MODEL}/infer", {"inputs": [tensor(usual_rows(1))]})
        return answer["model_version"] if status == 200 else status


@contextmanager
def side_by_side(repository: Repository, previous: Path) -> Iterator[tuple[Replica, Replica]]:
    """A replica of the previous release and one of this, with one repository and one store."""
    with valkey.running() as store:
        settings = ("--store", store.url, "--watch-percent", "100")
        with (
            running(repository.root, *settings, PYTHONPATH=str(previous)) as old,
            running(repository.root, *settings) as new,
        ):
            replicas = Replica(old), Replica(new)
            until(lambda: all(len(each.ask("GET", "/v2/replicas")[1]["replicas"]) == 2 for each in replicas))
            yield replicas
            assert [old.stop(), new.stop()] == [0, 0]


@pytest.mark.slow
def test_two_releases_serve_one_catalog(previous: Path, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(tiny_bundle())

    with side_by_side(repository, previous) as (old, new):
        for changing, seed in ((old, 1), (new, 2)):
            repository.publish(tiny_bundle(seed=seed))
            assert changing.ask("POST", "/v2/repository/models/tiny/load")[0] == 200
            assert old.version() == new.version() == str(seed + 1)
        for changing, version in ((old, 1), (new, 2)):
            assert changing.ask("PUT", f"{MODEL}/rollout/canary", {"version": version, "share": 1})[0] == 200
            assert old.version() == new.version() == str(version)
            assert changing.ask("DELETE", f"{MODEL}/rollout/canary")[0] == 200
        for changing in (old, new):
            assert changing.ask("POST", "/v2/repository/models/tiny/unload")[0] == 200
            assert old.version() == new.version() == 503
            assert changing.ask("POST", "/v2/repository/models/tiny/load")[0] == 200


@pytest.mark.slow
def test_two_releases_watch_as_one(previous: Path, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(watched_bundle())

    with side_by_side(repository, previous) as (old, new):

        def live(replica: Replica) -> Any:
            return replica.ask("GET", f"{MODEL}/live?window=start")[1]

        def observed_by(replica: Replica, before: int) -> int:
            until(lambda: replica.version() == "1" and live(old)["rows"] == live(new)["rows"] > before)
            return int(live(replica)["rows"])

        observed_by(new, observed_by(old, 0))
        until(lambda: live(old)["layers"] == live(new)["layers"])


@pytest.mark.slow
def test_two_releases_collect_for_one_job(previous: Path, tmp_path: Path) -> None:
    with side_by_side(confident_repository(tmp_path / "repository"), previous) as replicas:
        _, new = replicas
        status, job = new.ask("POST", f"{MODEL}/recalibrations", {"collect": ROWS, "parameters": {"force": True}})
        assert status == 202
        where = f"{MODEL}/recalibrations/{job['id']}"

        def state() -> str:
            for replica in replicas:
                replica.ask("POST", f"{MODEL}/infer", {"inputs": [tensor(usual_rows(64))]})
            states = [replica.ask("GET", where)[1]["state"] for replica in replicas]
            return states[0] if len(set(states)) == 1 else "differ"

        until(lambda: state() in {"published", "failed", "refused"})
        assert state() == "published"
