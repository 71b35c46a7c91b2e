"""The tour of the README, as pasted into a shell beside a service that has just started."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import environment, running

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 480


def commands() -> str:
    """The shell commands from the first prediction to the promoted version."""
    readme = (ROOT / "README.md").read_text()
    tour = readme[readme.index("**Predict**") : readme.index("**Train**")]
    return "\n".join(re.findall(r"```sh\n(.*?)```", tour, re.DOTALL))


def run_tour(url: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    pasted = commands().replace("localhost:8000", url.removeprefix("http://"))
    pasted = pasted.replace(".venv/bin/denge traffic", f"{sys.executable} -m denge traffic --seed 0 --url {url}")
    # On a busy machine the new version takes longer than a person waits before asking again.
    pasted = re.sub(r'^(curl [^#\n]*\?wait=60")[^\n]*$', r"for _ in 1 2 3 4; do \1; done", pasted, flags=re.MULTILINE)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", pasted],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.mark.slow
def test_every_step_works_and_the_new_version_answers_noisy_images(tmp_path: Path) -> None:
    with running(tmp_path / "repository", "--log-level", "warning") as service:
        done = run_tour(service.url, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"error"' not in done.stdout
    shares = [float(share) for share in re.findall(r"images: ([\d.]+)%", done.stdout)]
    clean, noisy, collected, canary, promoted = shares
    assert clean == 100.0
    assert max(noisy, collected) < min(canary, 35.0)
    assert canary < 60.0
    assert promoted > 95.0
    assert re.findall(r'"verdict":"(\w+)"', done.stdout)[:2] == ["quiet", "covariate_shift"]
    assert "by version 1 and 2" in done.stdout
    assert '"state":"published"' in done.stdout


@pytest.mark.slow
def test_the_demonstration_repairs_what_noise_has_broken() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "denge", "demo", "--no-keep", "--seed", "0"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    clean, noisy, repaired = (float(share) for share in re.findall(r"images: ([\d.]+)%", done.stdout))
    assert clean == 100.0
    assert noisy < 40.0
    assert repaired > 95.0
    assert "by version 2" in done.stdout
    assert "Estimated accuracy on them" in done.stdout
