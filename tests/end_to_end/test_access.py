"""Tokens, whichever process answers."""

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import TIMEOUT_SECONDS, environment, running, with_workers

TOKEN = "an-admin-token-of-the-tests"
KEY = "an-api-key-of-the-tests"
BODY = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    Repository(tmp_path / "repository").publish(tiny_bundle())
    return tmp_path / "repository"


@with_workers
def test_every_process_asks_for_tokens(repository: Path, workers: str) -> None:
    secrets = {"DENGE_ADMIN_TOKEN": TOKEN, "DENGE_API_KEYS": KEY}
    with running(repository, "--workers", workers, **secrets) as process:
        for path, body in (
            ("/v2/models/tiny/infer", BODY),
            ("/v2/models/tiny/infer?x=1", BODY),  # not plain enough for the shortest way
            ("/v1/models/tiny:predict", {"instances": [[1, 2, 3, 4]]}),
        ):
            # A connection each, so that both workers are asked.
            for token, status in ((None, 401), ("x" * 20, 401), (KEY, 200), (TOKEN, 200)) * 2:
                headers = {} if token is None else {"Authorization": f"Bearer {token}"}
                answer = httpx2.post(process.url + path, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
                assert answer.status_code == status, (path, token, answer.text)
                assert ("WWW-Authenticate" in answer.headers) == (status == 401)
        load = f"{process.url}/v2/repository/models/tiny/load"
        for token, status in ((None, 401), (KEY, 403), (TOKEN, 200)):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            assert httpx2.post(load, headers=headers, timeout=TIMEOUT_SECONDS).status_code == status


@with_workers
def test_pages_of_other_origins_are_refused_through_workers_too(repository: Path, workers: str) -> None:
    with running(repository, "--workers", workers) as process:
        load = f"{process.url}/v2/repository/models/tiny/load"

        assert httpx2.post(load, timeout=TIMEOUT_SECONDS).status_code == 200
        for headers in ({"Origin": "http://example.com"}, {"Host": "example.com"}):
            assert httpx2.post(load, headers=headers, timeout=TIMEOUT_SECONDS).status_code == 403


def test_on_another_address_it_does_not_start_without_an_admin_token(repository: Path) -> None:
    command = [sys.executable, "-m", "service", "--port", "0", "--repository", str(repository), "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment())

    assert done.returncode == 2
    assert "requires an admin token" in done.stderr


def test_on_another_address_it_makes_a_token_where_its_file_does_not_exist(repository: Path) -> None:
    file = repository.parent / "token"
    with running(repository, "--host", "0.0.0.0", "--admin-token-file", str(file)) as process:
        load = f"http://127.0.0.1:{process.port}/v2/repository/models/tiny/load"

        assert httpx2.post(load, timeout=TIMEOUT_SECONDS).status_code == 401
        headers = {"Authorization": f"Bearer {file.read_text().strip()}"}
        assert httpx2.post(load, headers=headers, timeout=TIMEOUT_SECONDS).status_code == 200
