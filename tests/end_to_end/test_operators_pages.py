"""The pages for operators, as pasted beside a service: new versions, re-calibration, statistics and events."""

import re
import subprocess
from pathlib import Path

import pytest

from models import starter
from models.repository.repository import Repository
from tests.end_to_end.conftest import ROOT, TIMEOUT_SECONDS, running

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ELSEWHERE = ("docker compose", "denge serve", "dcgan")


def pasted(page: str, address: str) -> str:
    """The shell examples of a page, for a service elsewhere. Events end after a second."""
    blocks = _BLOCK.findall((ROOT / "docs" / page).read_text("utf-8"))
    code = "\n".join(block for block in blocks if not any(words in block for words in _ELSEWHERE))
    # A script needs the id that a person reads from the answer.
    code = re.sub(
        r"^(curl .*/recalibrations -d .*?)(\s+#.*)?$", r"""ID=$(\1 | cut -d'"' -f4)""", code, flags=re.MULTILINE
    )
    code = re.sub(r"^(curl -sN \S+)$", r"\1 --max-time 1 || true", code, flags=re.MULTILINE)
    return code.replace("?wait=60", "?wait=0").replace("localhost:8000", address)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["operations.md", "watching.md", "security.md"])
def test_the_commands_work(tmp_path: Path, page: str) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(starter.read("mlp"))
    repository.publish(starter.read("mlp"), candidate=True)
    repository.publish(starter.read("convnet"))
    options = ("--admin-token", "a-token-of-the-tests-of-pages", "--log-level", "error")
    with running(repository.root, *options) as service:
        script = pasted(page, service.url.removeprefix("http://"))
        assert script.count("curl") >= 1
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"TOKEN=a-token-of-the-tests-of-pages\n{script}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"error"' not in done.stdout, done.stdout
