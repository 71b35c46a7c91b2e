"""The steps of `auto` mode on a repository: taken once, by one replica, from any state that a process may leave."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from models.errors import InvalidInput
from models.manifest import AccuracyEstimate
from models.recalibration.observed import Observed, ObservedJob, ObservedTrial, ObservedWindow
from models.repository.auto import Auto, AutoLimits
from models.repository.repository import Repository
from models.repository.rollout import Canary, Rollout
from service.auto.metrics import AutoMetrics
from service.auto.runner import AutoEvent, AutoRunner
from service.recalibrating.job import Job
from service.replicas.memory import MemoryStore
from service.wire.recalibration import RecalibrationRequest
from tests.awaiting import within_time
from tests.bundles import tiny_bundle
from tests.recalibrating import recalibrated
from tests.service.replicas.replica import Replica

START = 1_800_000_000.0
BASE, NEW = 1, 2
GOOD, BAD = (AccuracyEstimate(accuracy=one, low=one - 0.05, high=one + 0.05) for one in (0.9, 0.4))
LIMITS = AutoLimits(min_minutes=1, shadow_rows=1, canary_rows=1, canary_share=0.5)
BETTER = ObservedJob(is_finished=True, published=NEW, base=BAD, candidate=GOOD)


class Scripted:
    """Observes what the test says, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = START + 60
        self.windows: dict[int, ObservedWindow] = {}
        self.job: ObservedJob | None = ObservedJob()
        self.trial = ObservedTrial()

    async def observe(self, _model: str, _auto: Auto) -> Observed:
        return Observed(self.now, self.windows, self.job, self.trial)

    def see(self, version: int, *, is_alarm: bool, accuracy: AccuracyEstimate) -> None:
        self.windows[version] = ObservedWindow(
            self.now, self.now, is_alarm=is_alarm, alarm_since=self.now, has_moved=is_alarm, accuracy=accuracy
        )


class Jobs:
    """Starts jobs that do nothing."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, RecalibrationRequest]] = []
        self.cancelled: list[str] = []
        self.error: InvalidInput | None = None

    async def start(self, served: Any, request: RecalibrationRequest) -> Job:
        if self.error is not None:
            raise self.error
        self.requests.append((served.version, request))
        return Job.new(served.model, served.version, request)

    async def cancel(self, _model: str, job_id: str) -> None:
        self.cancelled.append(job_id)


class Operator:
    """A replica with `auto` mode."""

    def __init__(self, name: str, repository: Repository, store: MemoryStore, seen: Scripted, jobs: Jobs) -> None:
        self.replica = Replica(name, repository, store)
        self.events: list[AutoEvent] = []
        self.runner = AutoRunner(
            self.replica.catalog,
            self.replica.rollouts,
            seen,  # type: ignore[arg-type]
            jobs,  # type: ignore[arg-type]
            self.replica.pool,
            self.replica.agreement,
            self.replica.membership,
            self.events.append,
        )

    async def change(self, function: Any, *args: Any) -> None:
        await self.replica.agreement.run("a change", function, "tiny", *args)

    async def switch_on(self) -> None:
        await self.change(self.replica.rollouts.start_auto, LIMITS, START)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Version 1 of `tiny`, and version 2, which was re-calibrated from it."""
    repository = Repository(tmp_path / "repository")
    repository.publish(tiny_bundle())
    repository.publish(recalibrated(tiny_bundle(seed=1), 1), candidate=True)
    return repository


@pytest.fixture
def seen() -> Scripted:
    return Scripted()


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(within_time(test, "auto mode has not ended its steps"))


def state(repository: Repository) -> Auto:
    auto = repository.rollout("tiny").auto
    assert auto is not None
    return auto


def steps(repository: Repository) -> list[str]:
    return [step.step for step in state(repository).log]


async def to_canary(one: Operator, seen: Scripted) -> None:
    """Three steps and the start of the job."""
    seen.see(BASE, is_alarm=True, accuracy=BAD)
    await one.runner.work()
    await one.runner.work()
    seen.job = BETTER
    await one.runner.work()
    seen.now += 1
    seen.trial = ObservedTrial(10)
    await one.runner.work()


def test_an_alarm_leads_to_a_promotion_and_a_worse_estimate_back(
    repository: Repository, seen: Scripted, jobs: Jobs
) -> None:
    async def test() -> None:
        one = Operator("a", repository, MemoryStore(), seen, jobs)
        async with one.replica.serving():
            await one.switch_on()
            await to_canary(one, seen)
            assert one.replica.catalog.choose("tiny").version in {BASE, NEW}
            assert repository.rollout("tiny").canary == Canary(version=NEW, share=0.5)
            seen.now += 1
            seen.see(BASE, is_alarm=True, accuracy=BAD)
            seen.see(NEW, is_alarm=False, accuracy=GOOD)
            await one.runner.work()
            assert one.replica.default() == NEW
            seen.now += 1
            seen.see(NEW, is_alarm=True, accuracy=BAD)
            await one.runner.work()
            assert one.replica.default() == BASE

        (version, request) = jobs.requests[0]
        assert (version, request.collect, request.require_gain, request.answered_by) == (BASE, 256, True, None)
        taken = ["collecting", "shadow", "canary", "promoted", "rolled_back"]
        assert steps(repository) == ["started", *taken]
        assert [event.step for event in one.events] == taken
        metrics = {
            (metric.name, *sample.labels.values()): sample.value
            for metric in AutoMetrics(one.runner).collect()
            for sample in metric.samples
        }
        assert metrics["denge_auto_phase", "tiny", "watching"] == 1
        assert metrics["denge_auto_phase", "tiny", "canary"] == 0
        assert metrics["denge_auto_steps", "tiny", "promoted"] == 1

    run(test())


def test_it_is_off_by_default(repository: Repository, seen: Scripted, jobs: Jobs) -> None:
    async def test() -> None:
        one = Operator("a", repository, MemoryStore(), seen, jobs)
        async with one.replica.serving():
            seen.see(BASE, is_alarm=True, accuracy=BAD)
            await one.runner.work()
            assert repository.rollout("tiny").auto is None
            assert jobs.requests == []

    run(test())


@pytest.mark.parametrize("kills", [1, 2, 3, 4, 5])
def test_it_goes_on_after_the_end_of_its_process_at_any_step(
    repository: Repository, seen: Scripted, jobs: Jobs, kills: int
) -> None:
    """Each process works a number of times, and is then replaced by one that knows nothing but the repository."""

    async def test() -> None:
        async def process(count: int, *, is_first: bool = False) -> None:
            one = Operator("a", repository, MemoryStore(), seen, jobs)
            async with one.replica.serving():
                if is_first:
                    await one.switch_on()
                for _ in range(count):
                    _show_what_follows()
                    await one.runner.work()

        def _show_what_follows() -> None:
            seen.now += 1
            seen.see(BASE, is_alarm=True, accuracy=BAD)
            seen.see(NEW, is_alarm=False, accuracy=GOOD)
            seen.job, seen.trial = BETTER, ObservedTrial(10)

        await process(kills, is_first=True)
        await process(5 - kills)

        assert steps(repository) == ["started", "collecting", "shadow", "canary", "promoted"]
        assert len(jobs.requests) == 1

    run(test())


def test_of_several_replicas_one_takes_the_steps_and_all_show_them(
    repository: Repository, seen: Scripted, jobs: Jobs
) -> None:
    async def test() -> None:
        store = MemoryStore()
        async with AsyncExitStack() as stack:
            both = [Operator(name, repository, store, seen, jobs) for name in ("a", "b")]
            for one in both:
                await stack.enter_async_context(one.replica.serving())
            await both[1].switch_on()
            for one in both:
                await one.runner.work()  # nothing yet: what was before is no event
            seen.see(BASE, is_alarm=True, accuracy=BAD)
            for _ in range(3):
                await asyncio.gather(*(one.runner.work() for one in both))
            seen.job = BETTER
            for _ in range(3):
                await asyncio.gather(*(one.runner.work() for one in both))

            assert len(jobs.requests) == 1
            assert steps(repository) == ["started", "collecting", "shadow"]
            assert [[event.step for event in one.events] for one in both] == [["collecting", "shadow"]] * 2
            assert [sum(one.runner.steps.values()) for one in both] == [2, 0]
            assert [one.replica.catalog.is_shadow(one.replica.catalog.get("tiny", NEW)) for one in both] == [True, True]

            # The other one goes on when the first has gone.
            await store.release("auto", both[0].replica.membership.id)
            seen.now, seen.trial = seen.now + 1, ObservedTrial(10)
            await both[1].runner.work()
            assert steps(repository)[-1] == "canary"
            assert sum(both[1].runner.steps.values()) == 1

    run(test())


def test_an_action_of_an_operator_pauses_it_until_it_is_switched_on_again(
    repository: Repository, seen: Scripted, jobs: Jobs
) -> None:
    async def test() -> None:
        one = Operator("a", repository, MemoryStore(), seen, jobs)
        async with one.replica.serving():
            await one.switch_on()
            await to_canary(one, seen)
            await one.change(one.replica.rollouts.set_canary, None)
            for _ in range(3):
                await one.runner.work()

            assert (steps(repository)[-2:], state(repository).phase) == (["canary", "paused"], "paused")
            assert repository.rollout("tiny").canary is None
            assert one.replica.default() == BASE
            await one.switch_on()
            assert state(repository).phase == "watching"
            assert steps(repository)[-1] == "started"

    run(test())


def test_a_change_between_looking_and_acting_wins(repository: Repository, seen: Scripted, jobs: Jobs) -> None:
    async def test() -> None:
        one = Operator("a", repository, MemoryStore(), seen, jobs)
        async with one.replica.serving():
            await one.switch_on()
            seen.see(BASE, is_alarm=True, accuracy=BAD)
            observe = seen.observe

            async def observe_late(model: str, auto: Auto) -> Observed:
                await one.change(one.replica.rollouts.promote, NEW)
                seen.observe = observe  # type: ignore[method-assign]
                return await observe(model, auto)

            seen.observe = observe_late  # type: ignore[method-assign]
            await one.runner.work()
            assert steps(repository) == ["started"]
            assert one.replica.default() == NEW
            await one.runner.work()
            assert steps(repository) == ["started", "paused"]
            assert jobs.requests == []

    run(test())


def test_a_job_that_is_refused_ends_the_attempt(repository: Repository, seen: Scripted, jobs: Jobs) -> None:
    async def test() -> None:
        one = Operator("a", repository, MemoryStore(), seen, jobs)
        jobs.error = InvalidInput("rows of this version are being collected already", "collect")
        async with one.replica.serving():
            await one.switch_on()
            seen.see(BASE, is_alarm=True, accuracy=BAD)
            await one.runner.work()
            await one.runner.work()

            assert (steps(repository)[-1], state(repository).failures) == ("gave_up", 1)
            assert "rows of this version are being collected already" in state(repository).log[-1].reason

    run(test())


def test_switched_off_it_leaves_what_answers(repository: Repository, seen: Scripted, jobs: Jobs) -> None:
    async def test() -> None:
        one = Operator("a", repository, MemoryStore(), seen, jobs)
        async with one.replica.serving():
            await one.switch_on()
            await to_canary(one, seen)
            await one.change(one.replica.rollouts.stop_auto)
            await one.runner.work()

            assert repository.rollout("tiny") == Rollout(default=BASE)
            assert one.runner.states == {}

    run(test())


def test_a_promoted_version_begins_as_one_of_its_base(repository: Repository, seen: Scripted, jobs: Jobs) -> None:
    """Else its rows, its thresholds and its estimates would be those of a version that was made from another one."""

    async def test() -> None:
        one = Operator("a", repository, MemoryStore(), seen, jobs)
        async with one.replica.serving():
            await one.change(one.replica.rollouts.promote, NEW)
            await one.switch_on()

            assert (state(repository).base, state(repository).served) == (BASE, NEW)
            seen.now += 3600
            seen.see(NEW, is_alarm=True, accuracy=BAD)
            await one.runner.work()
            await one.runner.work()
            (version, request) = jobs.requests[0]
            assert (version, request.answered_by) == (BASE, NEW)

    run(test())


def test_limits_change_while_it_works(repository: Repository, seen: Scripted, jobs: Jobs) -> None:
    async def test() -> None:
        one = Operator("a", repository, MemoryStore(), seen, jobs)
        async with one.replica.serving():
            await one.switch_on()
            seen.see(BASE, is_alarm=True, accuracy=BAD)
            await one.runner.work()
            before = state(repository)
            limits = LIMITS.model_copy(update={"rows": 512})
            await one.change(one.replica.rollouts.start_auto, limits, START + 99)

            assert state(repository) == before.model_copy(update={"limits": limits})

    run(test())


def test_it_does_not_begin_beside_a_canary(repository: Repository, seen: Scripted, jobs: Jobs) -> None:
    async def test() -> None:
        one = Operator("a", repository, MemoryStore(), seen, jobs)
        async with one.replica.serving():
            await one.change(one.replica.rollouts.set_canary, Canary(version=NEW, share=0.5))
            with pytest.raises(InvalidInput, match="auto: the model has a canary, a shadow or domains: end them first"):
                await one.switch_on()

    run(test())
