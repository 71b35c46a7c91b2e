"""A service whose repository is a bucket, and a bucket that does not answer."""

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from models.repository.repository import Repository
from service.http.opening import STARTUP_FAILURE
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import TIMEOUT_SECONDS, environment, running
from tests.s3 import SECRET_KEY, Endpoint, bucket, proxied, s3

__all__ = ["bucket", "s3"]

ROW = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [0.5, -1.0, 2.0, 0.25]}]}


@pytest.mark.slow
def test_a_bucket_is_served_like_a_folder_and_from_the_cache_when_it_is_away(
    s3: Endpoint, bucket: str, tmp_path: Path
) -> None:
    Repository(bucket).publish(tiny_bundle(seed=1))
    log = tmp_path / "log"
    with proxied(s3) as proxy, log.open("w") as stderr:
        variables = proxy.endpoint.environment | {"DENGE_STATE_DIR": str(tmp_path / "state")}

        with running(bucket, cwd=tmp_path, stderr=stderr, **variables) as process, client(process.url) as asked:
            Repository(bucket).publish(tiny_bundle(seed=2))
            assert version(asked) == 1
            assert asked.post("/v2/repository/models/tiny/load").status_code == 200
            assert version(asked) == 2
            assert asked.post("/v2/models/tiny/rollout/promote", json={"version": 1}).status_code == 200
            assert version(asked) == 1
            served = predict(asked)

            proxy.decide = lambda _line: "refuse"
            assert predict(asked) == served
            refused = asked.post("/v2/models/tiny/rollout/promote", json={"version": 2})
            assert refused.status_code == 503
            assert "it does not take connections: check the endpoint" in refused.json()["error"]
            assert process.stop() == 0

        with running(bucket, cwd=tmp_path, stderr=stderr, **variables) as process, client(process.url) as asked:
            assert predict(asked) == served
            assert asked.get("/v2/health/ready").status_code == 200

    written = log.read_text()
    assert "repository_unavailable" in written
    assert SECRET_KEY not in written


def test_a_bucket_that_cannot_be_read_is_named_in_one_line(s3: Endpoint, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "--port", "0", "--repository", "s3://nowhere/models"],
        env=environment(**s3.environment),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )

    reason = "the service does not start: the repository s3://nowhere/models cannot be read: the bucket does not exist"
    assert (done.returncode, reason in done.stderr) == (STARTUP_FAILURE, True), done.stderr
    assert "Traceback" not in done.stderr


def client(url: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, timeout=TIMEOUT_SECONDS)


def predict(asked: httpx2.Client) -> dict[str, object]:
    answer = asked.post("/v2/models/tiny/infer", json=ROW)
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if name != "id"}


def version(asked: httpx2.Client) -> int:
    return int(str(predict(asked)["model_version"]))
