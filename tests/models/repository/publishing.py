"""What the tests of the repository run in other processes, some of which are killed."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.rollouts import promote

STEPS = {"open", "os.fsync", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}
"""What changes a folder, or what its durability depends on."""


def publish(root: Path, seed: int) -> int:
    return Repository(root).publish(tiny_bundle(seed=seed))


def prune(root: Path, keep: int) -> list[int]:
    return Repository(root).prune("tiny", keep)


def publish_a_version(repository: Repository) -> None:
    repository.publish(tiny_bundle(seed=7))


def publish_a_candidate(repository: Repository) -> None:
    repository.publish(tiny_bundle(seed=7), candidate=True)


def choose_the_first(repository: Repository) -> None:
    promote(repository, "tiny", 1)


def prune_the_oldest(repository: Repository) -> None:
    repository.prune("tiny", keep=len(repository.versions("tiny")) - 1)


def kill_at(step: int, operation: Callable[[Repository], None], root: Path) -> None:
    """Run an operation, and die by SIGKILL just before its `step`-th step; exit with 0 when it has fewer."""
    taken = 0

    def count(event: str, _: object) -> None:
        nonlocal taken
        if event in STEPS:
            taken += 1
            if taken > step:
                os.kill(os.getpid(), signal.SIGKILL)

    fsync = os.fsync

    def audited_fsync(descriptor: int) -> None:
        sys.audit("os.fsync", descriptor)
        fsync(descriptor)

    os.fsync = audited_fsync
    sys.addaudithook(count)
    operation(Repository(root))
    os._exit(0)  # nothing that the interpreter opens on its way out is a step


def copy(source: Path, target: Path) -> Path:
    if source.exists():
        shutil.copytree(source, target)
    return target
