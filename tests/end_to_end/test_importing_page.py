"""The examples of docs/importing.md, run in their order."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.repository.repository import Repository
from training.__main__ import main

PAGE = Path(__file__).parents[2] / "docs/importing.md"
_BLOCK = re.compile(r"^```(python|sh)(?: module=(\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = "python -m training "
_ELSEWHERE = ("timm", "tf2onnx")


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Language, name of the module and code of each example, but for those that need what the tests do not have."""
    for language, name, code in _BLOCK.findall(text):
        if not any(needed in code for needed in _ELSEWHERE):
            yield language, name, code


def test_every_example_is_found() -> None:
    found = [language for language, _, _ in blocks(PAGE.read_text("utf-8"))]

    assert (found.count("python"), found.count("sh")) == (7, 6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # users see the warnings of torch's older exporter and of Keras
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, object] = {}
    for language, name, code in blocks(PAGE.read_text("utf-8")):
        if name:
            (tmp_path / f"{name}.py").write_text(code)
        elif language == "python":
            exec(compile(code, str(PAGE), "exec"), names)
        else:
            for command in code.splitlines():
                assert main(shlex.split(command.removeprefix(_COMMAND))) == 0, command

    repository = Repository(tmp_path / "repository")
    assert len(repository.versions("mine")) == 8
    for version in repository.versions("mine"):
        assert len(repository.read("mine", version).manifest.norm_layers) == 1
