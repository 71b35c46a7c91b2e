"""`denge doctor`: what it finds, what it advises, and its exit codes."""

import json
import socket
from pathlib import Path

import pytest

from denge.__main__ import main
from denge.doctor import Finding, examine
from models.repository.repository import Repository
from service.settings import Settings
from tests.bundles import tiny_bundle


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    Repository(tmp_path / "repository").publish(tiny_bundle("tiny"))
    return tmp_path / "repository"


def found(settings: Settings, check: str) -> list[Finding]:
    return [finding for finding in examine(settings) if finding.check == check]


def test_a_healthy_service_has_no_problem(repository: Path, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--repository", str(repository), "--port", str(free_port)]) == 0

    shown = capsys.readouterr().out
    assert "models: 1, versions: 1" in shown
    assert "problem" not in shown


def test_a_damaged_version_is_a_problem_and_the_others_are_not(repository: Path, free_port: int) -> None:
    Repository(repository).publish(tiny_bundle("tiny"))
    (repository / "tiny/2/folded.onnx").write_bytes(b"damaged")

    problems = [it for it in examine(Settings(repository=repository, port=free_port)) if it.state == "problem"]

    (problem,) = problems
    assert problem.found.startswith("tiny/2: ")
    assert "publish it again" in problem.advice


def test_a_bucket_without_an_account_is_a_problem(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)

    (problem,) = found(Settings(repository="az://models", port=free_port), "repository")

    assert (problem.state, problem.found.startswith("repository: az://models: ")) == ("problem", True)


def test_a_port_that_is_taken_is_a_problem_in_json_too(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert main(["doctor", "--repository", str(repository), "--port", str(port), "--json"]) == 1

    (port_finding,) = [finding for finding in json.loads(capsys.readouterr().out) if finding["check"] == "port"]
    assert port_finding["state"] == "problem"
    assert "address already in use" in port_finding["found"]


def test_a_missing_token_file_is_not_created(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"

    (finding,) = found(Settings(repository=repository, admin_token_file=file), "admin token")

    assert finding.state == "ok"
    assert not file.exists()


def test_a_file_without_a_token_is_a_problem(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("two tokens of some length\n")

    (finding,) = found(Settings(repository=repository, admin_token_file=tmp_path / "token"), "admin token")

    assert finding.state == "problem"


def test_threads_beyond_the_cores_are_a_warning(repository: Path) -> None:
    (finding,) = found(Settings(repository=repository, threads=64, concurrency=64), "cores")

    assert finding.state == "warning"
    assert "4096 threads" in finding.advice


def test_a_provider_that_is_not_there_is_a_problem(repository: Path) -> None:
    (finding,) = found(Settings(repository=repository, provider="cuda"), "provider")

    assert finding.state == "problem"
    assert "CUDAExecutionProvider" in finding.found


def test_an_invalid_setting_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--host", "0.0.0.0"]) == 2

    assert capsys.readouterr().err == "a service on 0.0.0.0 requires an admin token: set DENGE_ADMIN_TOKEN_FILE\n"
