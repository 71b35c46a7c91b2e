"""Which code a measurement was made with."""

import shutil
import subprocess
from pathlib import Path

import pytest

from training.studies.revision import checked_out

GIT = shutil.which("git") or ""


def run_git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    return subprocess.run([GIT, *who, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not GIT, reason="needs git")
def test_the_commit_is_named_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    assert checked_out(tmp_path) == "unknown"
    run_git(tmp_path, "init", "--quiet")
    for folder in ("code", "docs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("a = 1\n", "utf-8")
    run_git(tmp_path, "add", ".")
    run_git(tmp_path, "commit", "--quiet", "-m", "first")
    commit = run_git(tmp_path, "rev-parse", "HEAD").strip()
    (tmp_path / "results.jsonl").write_text("{}", "utf-8")  # untracked: no part of the code
    (tmp_path / "docs" / "file").write_text("a = 2\n", "utf-8")  # the page of another study

    assert commit.startswith(checked_out(tmp_path))
    assert len(checked_out(tmp_path)) >= 10

    (tmp_path / "code" / "file").write_text("a = 2\n", "utf-8")
    assert checked_out(tmp_path / "code") == checked_out(tmp_path) == f"{commit[:10]}+changes"


def test_without_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)

    assert checked_out(tmp_path) == "unknown"
