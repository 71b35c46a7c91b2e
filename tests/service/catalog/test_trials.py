"""New versions are tried in a process of their own, where what is hostile harms nothing."""

import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import NotReady
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.starter import seed
from service.catalog import trials as trials_module
from service.catalog.catalog import Catalog
from service.catalog.trials import Trials
from service.catalog.tried_versions import TriedVersions
from tests import hostile
from tests.bundles import tiny_bundle
from tests.service.catalogs import start

LIMIT_MIB = 600
"""A trial of a small version takes about 150."""


def trials(repository: Repository, command: Sequence[str] = trials_module.COMMAND, **limits: float) -> Trials:
    tried = TriedVersions(repository.root / ".state" / "tried.json", "1.0")
    given = {"seconds": 120.0, "max_bytes": LIMIT_MIB << 20} | limits
    return Trials(repository, tried, given["seconds"], int(given["max_bytes"]), command=command)


def outcomes(tried: Trials, *versions: tuple[str, int]) -> list[str]:
    started = tried.start(versions)
    return [started[key].result(240) for key in versions]


@pytest.mark.parametrize(
    ("bundle", "limits", "reason"),
    [
        (hostile.endless(), {"seconds": 8.0}, r"its trial was not finished after 8 s \(load_seconds\)"),
        pytest.param(
            hostile.doubling_functions(),
            {"seconds": 8.0},
            r"its trial (was not finished after|took more than)",
            marks=pytest.mark.slow,
        ),
        (
            hostile.doubling_memory(),
            {},
            r"its trial took more than 600 MiB of memory \(load_mib\): its files have only 0 MiB, so it is a run that",
        ),
    ],
    ids=["endless", "nested functions", "memory"],
)
def test_a_hostile_version_is_reported_and_the_others_are_served(
    repository: Repository, bundle: Bundle, limits: dict[str, float], reason: str
) -> None:
    repository.publish(bundle)
    name = bundle.manifest.model
    repository.publish(tiny_bundle("zebra"))
    catalog = Catalog(repository, start, trials=trials(repository, **limits).start)
    catalog.load_all()

    assert catalog.names() == ["zebra"]
    with pytest.raises(NotReady, match=reason):
        catalog.get(name)
    (entry,) = (entry for entry in catalog.index() if entry.name == name)
    assert entry.state == "UNAVAILABLE"


@pytest.mark.parametrize(("mib", "enough"), [(0, 1024), (1500, 7168)])
def test_a_large_version_is_reported_with_a_limit_that_would_do(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, mib: int, enough: int
) -> None:
    repository.publish(tiny_bundle())
    monkeypatch.setattr(repository, "size", lambda *_: mib << 20)
    waiting = [sys.executable, "-c", "import sys, threading; sys.stdin.read(); threading.Event().wait()"]

    assert outcomes(trials(repository, waiting, max_bytes=1 << 20), ("tiny", 1)) == [
        f"its trial took more than 1 MiB of memory (load_mib): its files have {mib} MiB, so set load_mib to {enough}"
    ]


def test_a_trial_that_crashes_or_cannot_start_says_so(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    crash = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"]

    assert outcomes(trials(repository, crash), ("tiny", 1)) == ["its trial ended by SIGSEGV"]
    assert outcomes(trials(repository, [sys.executable, "-c", "exit(7)"]), ("tiny", 1)) == [
        "its trial ended with exit code 7"
    ]
    assert outcomes(trials(repository, ["/no/such/program"]), ("tiny", 1)) == [
        "its trial could not be started: No such file or directory"
    ]


def test_a_trial_that_ends_by_a_signal_without_a_name_says_its_number(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    real_time = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 6)"]

    assert outcomes(trials(repository, real_time), ("tiny", 1)) == [f"its trial ended by signal {signal.SIGRTMIN + 6}"]


def test_every_version_gets_an_outcome_where_the_repository_fails_during_a_trial(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        repository.publish(tiny_bundle(name))

    def fail(*_: object) -> int:
        raise OSError("Input/output error")

    monkeypatch.setattr(repository, "size", fail)
    waiting = [sys.executable, "-c", "import sys, threading; sys.stdin.read(); threading.Event().wait()"]

    assert (
        outcomes(trials(repository, waiting, max_bytes=1 << 20), ("first", 1), ("second", 1))
        == ["its trial could not be finished: Input/output error"] * 2
    )


def test_a_version_need_not_wait_for_one_that_takes_long(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials_module, "FIRST_TURN_SECONDS", 3.0)
    for name in ("first", "slow", "last"):
        repository.publish(tiny_bundle(name))
    stuck = """
import json, sys
for model, _ in json.load(sys.stdin)["versions"]:
    if model == "slow":
        import threading; threading.Event().wait()
    print(flush=True)
"""
    started = trials(repository, [sys.executable, "-c", stuck], seconds=6.0).start(
        [("first", 1), ("slow", 1), ("last", 1)]
    )

    assert started["first", 1].result(60) == ""
    assert not started["slow", 1].done()
    assert started["last", 1].result(60) == ""
    assert not started["slow", 1].done(), "it gets a second turn"
    assert started["slow", 1].result(60) == "its trial was not finished after 6 s (load_seconds)"


def test_a_version_is_tried_once(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    assert outcomes(trials(repository), ("tiny", 1)) == [""]
    nothing = ["/no/such/program"]

    assert outcomes(trials(repository, nothing), ("tiny", 1)) == [""]
    repository.publish(tiny_bundle(seed=1))
    assert outcomes(trials(repository, nothing), ("tiny", 2)) != [""]
    trials(repository, nothing).trust("tiny", 2)
    assert outcomes(trials(repository, nothing), ("tiny", 2)) == [""]


def test_starters_are_not_tried(repository: Repository) -> None:
    seed(repository)

    assert outcomes(trials(repository, ["/no/such/program"]), ("convnet", 1), ("mlp", 1)) == ["", ""]


def test_a_damaged_version_needs_no_trial_to_be_refused(repository: Repository) -> None:
    repository.publish(replace(tiny_bundle(), folded=b"no graph"))
    repository.publish(tiny_bundle())
    (repository.root / "tiny" / "2" / "SHA256SUMS").unlink()

    assert outcomes(trials(repository), ("tiny", 1), ("tiny", 2)) == ["", ""]


def test_another_release_of_the_runtime_tries_again(tmp_path: Path) -> None:
    file = tmp_path / "state" / "tried.json"
    TriedVersions(file, "1.0").add("digest")

    assert "digest" in TriedVersions(file, "1.0")
    assert "digest" not in TriedVersions(file, "1.1")
    file.write_text("{")
    assert "digest" not in TriedVersions(file, "1.0")
