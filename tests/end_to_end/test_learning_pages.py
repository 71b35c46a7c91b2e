"""The pages for learners, as pasted: Python in their order, shell commands beside a service that has just started."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.conftest import running

ROOT = Path(__file__).parents[2]
ARTICLE = ROOT / "docs/tr/batch-normalization.md"
START = ROOT / "docs/start.md"
_ELSEWHERE = ("examples/pytorch/", "examples/keras/", "make run", "scripts/install", "denge serve")
TIMEOUT_SECONDS = 480
_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """The examples in one language, but for installing, and for training: `test_examples` does that on other data."""
    found = [code for kind, code in _BLOCK.findall(page.read_text("utf-8")) if kind == language]
    return [code for code in found if not any(words in code for words in _ELSEWHERE)]


def paste(commands: str, url: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run commands for port 8000 against a service elsewhere."""
    pasted = commands.replace("localhost:8000", url.removeprefix("http://"))
    pasted = re.sub(r"python -m training inspect ", f"{sys.executable} -m training inspect {ROOT}/", pasted)
    pasted = re.sub(r"(?:\.venv/bin/)?denge traffic", "traffic", pasted)
    traffic = f'traffic() {{ {sys.executable} -m denge traffic --seed 0 --url {url} "$@"; }}\n'
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", traffic + pasted],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def test_every_example_is_found() -> None:
    assert (len(blocks(ARTICLE, "python")), len(blocks(ARTICLE, "sh"))) == (6, 4)
    assert len(blocks(START, "sh")) == 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras
def test_the_python_of_the_article_shows_what_it_says() -> None:
    names: dict[str, object] = {}
    for code in blocks(ARTICLE, "python"):
        exec(compile(code, str(ARTICLE), "exec"), names)

    accuracies, forgotten = names["accuracies"], names["forgotten"]
    assert isinstance(accuracies, dict)
    assert isinstance(forgotten, dict)
    assert accuracies[False] < 0.2
    assert accuracies[True] > 0.9
    assert list(np.sign(np.diff(list(forgotten.values())))) == [-1, -1, -1]
    assert min(forgotten.values()) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("page", [ARTICLE, START], ids=lambda page: page.stem)
def test_the_commands_work(tmp_path: Path, page: Path) -> None:
    with running(tmp_path / "repository", "--log-level", "warning") as service:
        done = paste("\n".join(blocks(page, "sh")), service.url, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"error"' not in done.stdout
    clean, noisy, _, promoted = (float(share) for share in re.findall(r"images: ([\d.]+)%", done.stdout))
    assert clean == 100.0
    assert noisy < 35.0
    assert promoted > 90.0
    assert '"verdict":"covariate_shift"' in done.stdout
    assert '"state":"published"' in done.stdout
