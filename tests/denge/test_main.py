"""The `denge` command."""

import builtins
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from denge.__main__ import app, main
from models.version import VERSION
from service.settings import Settings
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import TIMEOUT_SECONDS
from training import __main__ as training

STARTER = Path(__file__).parents[2] / "models" / "starter" / "mlp" / "1"


def test_it_has_the_commands_of_training_and_serves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    shown = capsys.readouterr().out
    assert "serve" in shown
    for name in training.app:
        assert name.startswith("-") or name in shown


def test_its_other_commands_collect_garbage() -> None:
    command = [sys.executable, "-c", "import gc, denge.__main__; print(gc.isenabled())"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)

    assert done.stdout.strip() == "True", "only a service that starts goes without for a moment"


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == VERSION


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["serve", "--prot", "1"], "Did you mean --port?"),
        (["serve", "--provider", "gpu"], 'Did you mean "cpu"?'),
        (["insepct", "."], 'Did you mean "inspect"?'),
        (["train", "--model", "mlp", "--data", "digts"], 'Did you mean "digits"?'),
        (["inspect", "/no/such/bundle"], "/no/such/bundle"),
    ],
)
def test_a_mistake_is_said_in_one_line(given: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(given) != 0

    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_the_help_of_serve_shows_every_setting_with_a_plain_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0

    shown = capsys.readouterr().out
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in shown
    assert "SecretStr" not in shown
    assert "None" not in shown
    assert "127.0.0.1" in shown
    assert "<repository>/<model>/<version>/" in shown


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "torch" or name in {"training.run", "training.bundle"}:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.usefixtures("without_torch")
def test_what_needs_torch_says_how_to_install_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--model", "mlp", "--data", "digits"]) == 1
    assert (
        capsys.readouterr().err
        == "error: torch is not installed: run scripts/install, or pip install torch 'denge[training]'\n"
    )


@pytest.mark.usefixtures("without_torch")
def test_a_network_is_inspected_and_imported_without_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "network.onnx"
    file.write_bytes(tiny_bundle().source)

    assert main(["inspect", str(STARTER)]) == 0
    assert "hidden.0.norm" in capsys.readouterr().out
    assert main(["import", str(file), "--name", "mine", "--repository", str(tmp_path / "repository")]) == 0
    assert json.loads((tmp_path / "repository" / "mine" / "1" / "manifest.json").read_text())["model"] == "mine"


def test_shells_complete_commands_and_flags() -> None:
    script = app.generate_completion(shell="bash")
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, timeout=TIMEOUT_SECONDS)

    assert (checked.returncode, checked.stderr) == (0, "")
    assert "recalibrate" in script
    assert "--ssl-certfile" in script
