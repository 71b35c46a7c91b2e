"""Types are checked beside the other tests: that takes as long as everything else that `scripts/check` does."""

import subprocess
import sys

from tests.architecture.source import ROOT


def test_types_are_right() -> None:
    checked = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr
