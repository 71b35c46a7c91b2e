"""Every shell command in the documentation has a program, options, files and an endpoint that exist.

Those of the tour, of the pages for learners and operators, and of importing are run as well: tests/end_to_end.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from cyclopts import App, CycloptsError

from denge.__main__ import app as denge
from service.app import create_app
from service.host.flags import build_app
from service.settings import Settings
from tests.architecture.source import ROOT
from training.__main__ import app as training

PAGES = [*sorted(ROOT.glob("README*.md")), ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")
_ASSIGNMENT = re.compile(r"^(?:export )?[A-Z_]+=")
_ELSEWHERE = {"pip", "tensorboard", "openssl", "cut", "true", "seq", "export"}
"""Programs that are not Denge's."""


class WrongCommandError(Exception):
    """A command that does not do what its page says."""


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in the shell examples, of those within others too."""
    for block in _SHELL.findall(text):
        lines = block.replace("\\\n", " ")
        for inner in _SUBSTITUTION.findall(lines):
            yield from _split(shlex.split(inner))
        pending = ""
        for line in _SUBSTITUTION.sub("0", lines).splitlines():
            pending += f"{line}\n"
            try:
                words = shlex.split(pending, comments=True)
            except ValueError:  # a quotation that goes on in the next line
                continue
            yield from _split(words)
            pending = ""
        assert not pending, pending


def _split(words: list[str]) -> Iterator[list[str]]:
    """Commands of a pipe, or one after the other."""
    command: list[str] = []
    for word in [*words, ";"]:
        if word.strip(";|&"):
            command.append(word.rstrip(";"))
        if not word.strip(";|&") or word.endswith(";"):
            if command := [one for one in command if not _ASSIGNMENT.match(one)]:
                yield command
            command = []


def check(words: list[str]) -> None:
    """Check one command.

    Raises:
        WrongCommandError: something that it names does not exist.
    """
    program, *rest = words
    program = program.removeprefix(".venv/bin/")
    if program in _PROGRAMS:
        _PROGRAMS[program](rest)
    elif program.startswith("scripts/"):
        _check_file(program)
    elif program not in _ELSEWHERE:
        raise WrongCommandError(f"unknown program: {shlex.join(words)}")


def _check_python(words: list[str]) -> None:
    match words:
        case ["-m", "training", *rest]:
            _check_flags(training, rest)
        case ["-m", "service", *rest]:
            _check_flags(build_app("service", "", Settings.model_fields, dict), rest)
        case ["-m", module, *rest]:
            _check_module(module, rest)
        case ["-c", *_]:
            pass
        case [script, *_]:
            _check_file(script)


def _check_torchrun(words: list[str]) -> None:
    _check_flags(training, words[words.index("training") + 1 :])


def _check_kubectl(words: list[str]) -> None:
    for option, value in pairwise(words):
        if option in ("-f", "-k"):
            _check_file(value)


def _check_flags(app: App, words: list[str]) -> None:
    try:
        app.parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise WrongCommandError(str(error)) from error


def _check_module(module: str, words: list[str]) -> None:
    path = ROOT.joinpath(*module.split("."))
    files = [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else sorted(path.glob("*.py"))
    if not files:
        raise WrongCommandError(f"no module {module}")
    source = "".join(file.read_text("utf-8") for file in [*files, *sorted(path.parent.glob("*.py"))])
    for option in words:
        if option.startswith("--") and not re.search(rf"{option}(?![\w-])", source):
            raise WrongCommandError(f"{module} has no option {option}")


def _check_file(path: str) -> None:
    if not (ROOT / path).exists():
        raise WrongCommandError(f"{path} does not exist")


def _check_targets(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in words:
        if "=" not in target and f"\n{target}:" not in makefile:
            raise WrongCommandError(f"no target {target}")


def _check_compose(words: list[str]) -> None:
    composed = "".join(path.read_text() for path in ROOT.glob("docker-compose*.yml"))
    for option, value in pairwise(words):
        if option == "-f":
            _check_file(value)
        elif option == "--profile" and value not in composed:
            raise WrongCommandError(f"no profile {value}")


@cache
def _paths() -> dict[re.Pattern[str], dict[str, set[str]]]:
    """For each path of the API, its methods and their query parameters."""
    described = create_app(Settings(repository=ROOT / "build/none")).framework.build().openapi()["paths"]
    return {
        re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): {
            method.upper(): {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
            for method, operation in methods.items()
        }
        for path, methods in described.items()
    }


def _check_request(words: list[str]) -> None:
    url = next(word for word in words if re.match(r"(?:http://)?localhost:\d+/|\$M", word))
    parts = urlsplit(url.replace("$M", "localhost:8000/v2/models/mlp").replace("localhost", "http://localhost", 1))
    data = next((words[at + 1] for at, word in enumerate(words) if word in ("-d", "--data-binary")), None)
    named = next((words[at + 1] for at, word in enumerate(words) if word == "-X"), None)
    method = named or ("GET" if data is None else "POST")
    if parts.path.startswith("/docs/"):
        return
    known = next((methods for pattern, methods in _paths().items() if pattern.fullmatch(parts.path)), {})
    if method not in known:
        raise WrongCommandError(f"no {method} {parts.path}")
    for name, _ in parse_qsl(parts.query):
        if name not in known[method]:
            raise WrongCommandError(f"{method} {parts.path} has no parameter {name}")
    if data is not None and data.startswith("{") and "$(" not in data:
        json.loads(data)


_PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "curl": _check_request,
    "denge": partial(_check_flags, denge),
    "python": _check_python,
    "torchrun": _check_torchrun,
    "make": _check_targets,
    "docker": _check_compose,
    "kubectl": _check_kubectl,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_can_be_run(page: Path) -> None:
    for words in commands(page.read_text("utf-8")):
        check(words)


def test_all_commands_are_found() -> None:
    found = [words for page in PAGES for words in commands(page.read_text("utf-8"))]

    assert len(found) > 120
    assert ["denge", "serve", "--port", "8123"] in found


@pytest.mark.parametrize(
    "command",
    [
        "denge serve --prot 8000",
        "denge sevre",
        "python -m training train --model mlp --data digits --epoch 5",
        "python -m benchmarks.service --second 1",
        "python -m benchmarks.nothing",
        "make tests",
        "scripts/nothing",
        "docker compose --profile nothing up",
        "kubectl apply -k deploy/nothing",
        "curl localhost:8000/v2/nothing",
        "curl -X PUT localhost:8000/v2/models/mlp/rollout/promote",
        "curl 'localhost:8000/v2/models/mlp/drift?windw=1h'",
        "curl -d '{1}' localhost:8000/v2/normalize",
        "frobnicate",
    ],
)
def test_a_wrong_command_is_found(command: str) -> None:
    (words,) = commands(f"```sh\n{command}\n```\n")

    with pytest.raises((WrongCommandError, json.JSONDecodeError)):
        check(words)
