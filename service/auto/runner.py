"""Takes the steps of `auto` mode: one replica at a time does, and all show them.

The state of a model is in its rollout. A step is one write of it, so that a process that ends between two steps, or in
one, leaves a state from which any replica goes on.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

import structlog
from pydantic import BaseModel, Field

from models.errors import DengeError
from models.recalibration.auto import next_step
from models.recalibration.observed import Observed, ObservedJob
from models.repository.auto import Auto, AutoStep, StepName
from models.repository.rollout import Rollout
from service.auto.observing import AutoObserver
from service.catalog.catalog import Catalog
from service.catalog.rollouts import RolloutChanged, Rollouts
from service.errors import NotAgreed
from service.host.blocking_pool import BlockingPool
from service.host.clock import to_date
from service.recalibrating.jobs import Recalibrations
from service.replicas.agreement import Agreement
from service.replicas.membership import Membership
from service.replicas.store import StoreUnavailable
from service.wire.recalibration import RecalibrationParameters, RecalibrationRequest

log = structlog.get_logger()

TOPIC = "auto"
LEASE_SECONDS = 20.0
"""After the death of the replica that takes the steps, another one does."""


class AutoEvent(BaseModel, defer_build=True):
    """A step of `auto` mode, as its subscribers get it."""

    model: str
    time: datetime
    step: StepName
    version: str = Field(description="that the step is about")
    reason: str

    @classmethod
    def of(cls, model: str, step: AutoStep) -> "AutoEvent":
        """The event of a step."""
        return cls(model=model, time=to_date(step.at), step=step.step, version=str(step.version), reason=step.reason)


class AutoRunner:
    """Takes steps while this replica has the lease, and publishes those of all.

    Args:
        catalog: says for which models `auto` mode is on.
        rollouts: store the steps.
        observer: says what has happened since the last one.
        recalibrations: carry out the jobs.
        reads: threads that read the repository.
        changes: change what all replicas serve.
        membership: of this replica.
        publish: called with every step that was taken since this replica started.

    Attributes:
        states: of the models for which `auto` mode is on, as they were read last.
        steps: that this replica has taken, by model and name.
    """

    def __init__(
        self,
        catalog: Catalog,
        rollouts: Rollouts,
        observer: AutoObserver,
        recalibrations: Recalibrations,
        reads: BlockingPool,
        changes: Agreement,
        membership: Membership,
        publish: Callable[[AutoEvent], object],
    ) -> None:
        self._catalog = catalog
        self._rollouts = rollouts
        self._observer = observer
        self._recalibrations = recalibrations
        self._reads = reads
        self._changes = changes
        self._membership = membership
        self._publish = publish
        self.states: dict[str, Auto] = {}
        self.steps: Counter[tuple[str, StepName]] = Counter()

    async def work(self) -> None:
        """Take the steps that are due, if it is this replica's turn.

        Raises:
            StoreUnavailable: the store does not answer; the next call goes on.
        """
        models = [name for name, model in self._catalog.snapshots.items() if model.is_auto]
        self.states = {name: self.states[name] for name in models if name in self.states}
        if not models:
            return
        is_holder = await self._membership.store.lease("auto", self._membership.id, LEASE_SECONDS)
        for model in models:
            with _errors_logged(model):
                await self._work(model, is_holder=is_holder)

    async def _work(self, model: str, *, is_holder: bool) -> None:
        rollout = await self._read(model)
        if rollout.auto is None:
            return
        known = self.states.get(model, rollout.auto).log  # what was before this replica first looked is no event
        if is_holder and await self._step(model, rollout, rollout.auto):
            rollout = await self._read(model)
            await self._membership.announce(TOPIC)
        if (auto := rollout.auto) is not None:
            self.states[model] = auto
            for step in auto.log:
                if step not in known:
                    self._publish(AutoEvent.of(model, step))

    async def _read(self, model: str) -> Rollout:
        return await self._reads.run(f"read the rollout of model '{model}'", self._rollouts.get, model)

    async def _step(self, model: str, rollout: Rollout, auto: Auto) -> bool:
        """Take the next step, if there is one. Returns whether the rollout has changed."""
        if auto.phase == "collecting" and auto.job is None:
            return await self._start_job(model, rollout, auto)
        return await self._take(model, rollout, rollout, await self._observer.observe(model, auto))

    async def _start_job(self, model: str, rollout: Rollout, auto: Auto) -> bool:
        parameters = RecalibrationParameters(
            answered_by=auto.served if auto.is_promoted else None,
            require_gain=True,
            timeout_seconds=auto.limits.step_hours * 3600,
        )
        request = RecalibrationRequest(None, None, auto.limits.rows, parameters)
        try:
            job = await self._recalibrations.start(self._catalog.get(model, auto.base), request)
        except StoreUnavailable:
            raise
        except DengeError as error:
            observed = await self._observer.observe(model, auto)
            failed = Observed(observed.now, observed.windows, ObservedJob(is_finished=True, reason=str(error)))
            asked = rollout.with_auto(auto.model_copy(update={"job": "none"}))
            return await self._take(model, rollout, asked, failed)
        await self._store(model, rollout, rollout.with_auto(auto.model_copy(update={"job": job.id})))
        return True

    async def _take(self, model: str, stored: Rollout, rollout: Rollout, observed: Observed) -> bool:
        if (step := next_step(rollout, observed)) is None:
            return False
        await self._store(model, stored, step.rollout)
        if step.cancel is not None:
            with suppress(DengeError):  # it has ended meanwhile
                await self._recalibrations.cancel(model, step.cancel)
        assert step.rollout.auto is not None  # noqa: S101 - for the type checker
        taken = step.rollout.auto.log[-1]
        self.steps[model, taken.step] += 1
        log.info("auto_step", **AutoEvent.of(model, taken).model_dump(mode="json"))
        return True

    async def _store(self, model: str, before: Rollout, after: Rollout) -> None:
        with suppress(NotAgreed):  # the others go on trying
            await self._changes.run(f"take a step of model '{model}'", self._rollouts.take_step, model, before, after)


@contextmanager
def _errors_logged(model: str) -> Iterator[None]:
    """Log why no step was taken: the next call tries again."""
    try:
        yield
    except StoreUnavailable:
        raise
    except RolloutChanged:
        log.info("auto_step_superseded", model=model)
    except DengeError as error:
        log.warning("auto_step_failed", model=model, error=str(error))
