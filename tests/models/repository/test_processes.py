"""Several processes at one repository, some of which are killed."""

import itertools
import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.models.repository import publishing
from tests.models.repository.trees import everything, hidden

TIMEOUT = 120
"""Seconds after which a process is not waited for: with none in the way, all of them take a few."""


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Starts processes as forks of one that has imported everything and has no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([publishing.__name__])
    return context


class TestProcesses:
    def test_concurrent_publishers_all_get_versions_of_their_own(
        self, repository: Repository, processes: ForkServerContext
    ) -> None:
        with processes.Pool(4) as pool:
            publishers = [(repository.root, seed) for seed in range(40)]
            versions = pool.starmap_async(publishing.publish, publishers).get(TIMEOUT)

        assert sorted(versions) == list(range(1, 41))
        assert hidden(repository.root) == []
        for seed, version in enumerate(versions):
            assert repository.read("tiny", version) == tiny_bundle(seed=seed)

    def test_publishers_and_pruners_do_not_disturb_each_other(
        self, repository: Repository, processes: ForkServerContext
    ) -> None:
        repository.publish(tiny_bundle())
        with processes.Pool(4) as pool:
            published = [pool.apply_async(publishing.publish, (repository.root, seed)) for seed in range(20)]
            pruned = [pool.apply_async(publishing.prune, (repository.root, 2)) for _ in range(20)]
            versions = sorted(result.get(TIMEOUT) for result in published)
            for result in pruned:
                result.get(TIMEOUT)
        repository.prune("tiny", 2)

        assert versions == list(range(2, 22))
        assert repository.versions("tiny") == [20, 21]
        assert hidden(repository.root) == []
        everything(repository)

    @pytest.mark.parametrize("earlier", [0, 2], ids=["the first version", "a further version"])
    def test_a_publisher_killed_at_any_step_leaves_the_old_state_or_the_new_one(
        self, tmp_path: Path, processes: ForkServerContext, earlier: int
    ) -> None:
        assert_atomic(publishing.publish_a_version, earlier, tmp_path, processes)

    @pytest.mark.parametrize("earlier", [0, 2])
    def test_publishing_a_candidate_killed_at_any_step_leaves_the_default_as_it_was(
        self, tmp_path: Path, processes: ForkServerContext, earlier: int
    ) -> None:
        assert_atomic(publishing.publish_a_candidate, earlier, tmp_path, processes)

    def test_setting_the_default_killed_at_any_step_leaves_the_old_one_or_the_new_one(
        self, tmp_path: Path, processes: ForkServerContext
    ) -> None:
        assert_atomic(publishing.choose_the_first, 2, tmp_path, processes)

    def test_pruning_killed_at_any_step_leaves_a_version_whole_or_gone(
        self, tmp_path: Path, processes: ForkServerContext
    ) -> None:
        assert_atomic(publishing.prune_the_oldest, 2, tmp_path, processes)


def assert_atomic(
    operation: Callable[[Repository], None], earlier: int, tmp_path: Path, processes: ForkServerContext
) -> None:
    """Kill the operation at its first step, its second, and so on until it completes."""
    before = Repository(tmp_path / "before")
    for seed in range(earlier):
        before.publish(tiny_bundle(seed=seed))
    after = Repository(publishing.copy(before.root, tmp_path / "after"))
    operation(after)
    states = [everything(before), everything(after)]
    seen: list[int] = []

    for step in itertools.count():
        repository = Repository(publishing.copy(before.root, tmp_path / str(step)))
        process = processes.Process(target=publishing.kill_at, args=(step, operation, repository.root))
        process.start()
        process.join(TIMEOUT)
        assert process.exitcode is not None, f"killed at step {step}, it still runs after {TIMEOUT} s"

        seen.append(states.index(everything(repository)))
        newest = repository.publish(tiny_bundle(seed=100))
        assert repository.read("tiny", newest) == tiny_bundle(seed=100)
        assert hidden(repository.root) == []
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL

    assert seen == sorted(seen), "once the new state is there, it stays"
    assert {seen[0], seen[-1]} == {0, 1}
    assert len(seen) > 8, "the hook has seen the steps"
