"""Which code a measurement was made with."""

import shutil
import subprocess
from pathlib import Path

_FOLDER = Path(__file__).parent


def checked_out(folder: Path = _FOLDER) -> str:
    """The short name of the commit, with `+changes` if tracked files differ from it; `unknown` outside a repository.

    Files in `docs` do not count: among them are the results that another study has just written.

    Args:
        folder: in the repository; that of this code by default.
    """
    commit = _git(folder, "rev-parse", "--short=10", "HEAD")
    if not commit:
        return "unknown"
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(top,exclude)docs")
    return f"{commit}+changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; nothing if it fails or is not installed."""
    git = shutil.which("git")
    if git is None:
        return ""
    found = subprocess.run([git, *arguments], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    return found.stdout.strip() if found.returncode == 0 else ""
