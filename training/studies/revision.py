"""Which code a measurement was made with."""

import shutil
import subprocess
from pathlib import Path

_FOLDER = Path(__file__).parent


def checked_out() -> str:
    """The short name of the commit, with `+changes` if tracked files differ from it; `unknown` outside a repository."""
    git = shutil.which("git")
    commit = _output(git, "rev-parse", "--short=10", "HEAD") if git else ""
    if not commit:
        return "unknown"
    return f"{commit}+changes" if _output(git, "status", "--porcelain", "--untracked-files=no") else commit


def _output(*command: str | None) -> str:
    """What a command prints; nothing if it fails."""
    found = subprocess.run([*filter(None, command)], cwd=_FOLDER, capture_output=True, text=True, check=False)  # noqa: S603 - git's
    return found.stdout.strip() if found.returncode == 0 else ""
