"""One model in `auto` mode over simulated time: the state machine, gates and monitors of the service, with a clock."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.auto.network import CRAFTED_IMAGE, Network
from benchmarks.auto.tally import Tally
from benchmarks.auto.versions import Answers, Images, Positions, Version
from benchmarks.auto.week import CRAFTED_SHARE, HOURS, Episode, Pool
from models.classification import count_classes
from models.datatypes import Array, Arrays
from models.drift.version_fit import VersionFit
from models.errors import DengeError, VersionRefused
from models.moments.window import WindowMoments
from models.observation import RowStatistics
from models.recalibration.auto import next_step
from models.recalibration.estimate import recalibrate
from models.recalibration.gates import is_moving
from models.recalibration.observed import Observed, ObservedJob, ObservedTrial, require_better
from models.repository.auto import Auto, AutoLimits, AutoStep
from models.repository.bundle import Bundle
from models.repository.rollout import Rollout
from service.auto.observing import observe_rows_for_base, observe_rows_per_hour, observe_window
from service.recalibrating.reservoir import Reservoir
from service.watching.observation import Observation
from service.watching.version_monitor import VersionMonitor

TICKS_PER_HOUR = 256
"""As often the simulation looks, and takes a step: every 14 seconds. The service looks every two."""
START = 1_800_000_000.0
SPREAD = 4
MAX_SHARE = 0.25
"""As the service has it where clients have API keys."""
CLIENTS = 50
BASE = 1
ORACLE = "oracle"


class Simulation:
    """A model that answers a stream of rows. The accuracy is estimated from every second row.

    Args:
        parent: the version of an operator.
        pool: images in every condition.
        rows_per_hour: of the traffic.
        limits: of `auto` mode.
        seed: of the traffic.

    Attributes:
        most_lost: the largest number of right answers that the base would have given more, over any stretch of time.
    """

    def __init__(self, parent: Bundle, pool: Pool, rows_per_hour: int, limits: AutoLimits, seed: int) -> None:
        self.now = START
        self._pool = pool
        self._random = np.random.default_rng([seed, 77])
        self._tick_rows = max(rows_per_hour // TICKS_PER_HOUR, 1)
        self._seconds = 3600 * self._tick_rows / rows_per_hour
        self._network = Network(parent, pool)
        self.versions: dict[int, Version] = {}
        self._publish(parent)
        self.rollout = Rollout(default=BASE, auto=Auto.started(limits, BASE, BASE, self.now))
        self.steps: list[AutoStep] = []
        self.published_in: Counter[str] = Counter()
        self.promoted_in: Counter[str] = Counter()
        self.refused_in: Counter[str] = Counter()
        self.by_hour: list[Tally] = [Tally() for _ in range(HOURS)]
        self.by_group: dict[str, Tally] = {}
        self.most_lost = self._lost = 0
        self._job = ObservedJob()
        self._reservoir: Reservoir[Images] | None = None
        self._trial = ObservedTrial()
        self._oracles: dict[str, Answers | None] = {}

    @property
    def auto(self) -> Auto:
        assert self.rollout.auto is not None
        return self.rollout.auto

    def run(self, episodes: Sequence[Episode]) -> None:
        """Answer the rows of all episodes."""
        for episode in episodes:
            while self.now < START + 3600 * episode.end:
                self._tick(episode)

    def accuracies(self, condition: str) -> dict[int | str, float]:
        """Share of right answers of every version, and of the oracle where it beats the base, in a condition."""
        found: dict[int | str, Answers] = {number: self._answers(number, condition) for number in self.versions}
        if (oracle := self._oracle(condition)) is not None:
            found[ORACLE] = oracle
        return {name: float(np.mean(each.classes == self._pool.labels)) for name, each in found.items()}

    def _tick(self, episode: Episode) -> None:
        condition = episode.condition
        rows = self._pool.draw(condition, self._tick_rows, self._random)
        is_crafted = np.zeros(self._tick_rows, bool)
        if condition == "crafted":
            is_crafted = self._random.random(self._tick_rows) < CRAFTED_SHARE
        canary = self.rollout.canary
        to_canary = np.zeros(self._tick_rows, bool)
        if canary is not None:
            to_canary = self._random.random(self._tick_rows) < canary.share
        served = np.empty(self._tick_rows, np.int64)
        for version, chosen in ((self.auto.served, ~to_canary), (0 if canary is None else canary.version, to_canary)):
            if chosen.any():
                served[chosen] = self._serve(version, condition, rows[chosen], is_crafted[chosen])
        known = ~is_crafted if self._pool.has_labels(condition) else np.zeros(self._tick_rows, bool)
        self._count(episode, rows, served, known)
        if self._reservoir is not None:
            self._collect(condition, rows[~to_canary], is_crafted[~to_canary], episode.group)
        shadow_rows = self._tick_rows if self.rollout.shadow is not None else int(to_canary.sum())
        self._trial = ObservedTrial(self._trial.rows + shadow_rows)
        self.now += self._seconds
        self._step(episode.group)

    def _count(self, episode: Episode, rows: Positions, served: Positions, known: Array) -> None:
        """Count the right answers of auto mode, of the base and of the oracle."""
        base = self._answers(BASE, episode.condition)
        answers = {
            "auto": served,
            "base": base.classes[rows],
            ORACLE: (self._oracle(episode.condition) or base).classes[rows],
        }
        labels = self._pool.labels[rows]
        right = {name: int(np.sum((classes == labels) & known)) for name, classes in answers.items()}
        hour = min(int((self.now - START) / 3600), HOURS - 1)
        for tally in (self.by_hour[hour], self.by_group.setdefault(episode.group, Tally())):
            tally.add(int(known.sum()), **right)
        self._lost = max(self._lost + right["base"] - right["auto"], 0)
        self.most_lost = max(self.most_lost, self._lost)

    def _serve(self, version: int, condition: str, rows: Positions, is_crafted: Array) -> Positions:
        """Answer rows, and observe them. Returns the classes."""
        answers, served = self._answers(version, condition), self.versions[version]
        layers = {name: found.take(rows) for name, found in answers.layers.items()}
        scores = answers.probabilities[rows]
        if is_crafted.any():
            crafted = self._answers(version, CRAFTED_IMAGE)
            alike = np.zeros(int(is_crafted.sum()), np.int64)
            layers = {
                name: RowStatistics.concatenate([found.take(~is_crafted), crafted.layers[name].take(alike)])
                for name, found in layers.items()
            }
            scores = np.where(is_crafted[:, None], crafted.probabilities[0], scores)
        of_base = layers if served.fit is None else served.fit.restate_for_parent(layers)
        if self.rollout.shadow is not None and version == self.auto.served:
            shadow = self.versions[self.rollout.shadow]
            assert shadow.fit is not None
            fit = shadow.fit.evidence(of_base)
            shadow.monitor.record(Observation.of_fit("model", self.rollout.shadow, fit))
        predicted: Positions = scores.argmax(axis=1)
        images = self._network.images(condition, rows[::2], is_crafted[::2])
        agreement = self._network.compare_with_twin(served, images, scores[::2])
        served.monitor.record(
            Observation(
                "model",
                version,
                {name: WindowMoments.of(found) for name, found in layers.items()},
                count_classes(predicted, scores.shape[1]),
                agreement=agreement,
                fit=0.0 if served.fit is None else served.fit.evidence(of_base),
            )
        )
        return predicted

    def _collect(self, condition: str, rows: Positions, is_crafted: Array, group: str) -> None:
        reservoir, limits = self._reservoir, self.auto.limits
        assert reservoir is not None
        images = self._network.images(condition, rows, is_crafted)
        for image, crafted in zip(images, is_crafted, strict=True):
            client = "one" if crafted else f"client {self._random.integers(CLIENTS)}"
            reservoir.offer(client, image.copy)
        if len(reservoir) < limits.rows or reservoir.seen < SPREAD * limits.rows:
            return
        self._reservoir = None
        collected = self._network.inputs(np.stack(reservoir.rows))
        served = self.versions[self.auto.served].bundle if self.auto.is_promoted else None
        self._job = self._estimate(collected, served)
        outcome = self.refused_in if self._job.published is None else self.published_in
        outcome[group] += 1

    def _estimate(self, collected: Arrays, served: Bundle | None) -> ObservedJob:
        """What the process of a job does."""
        try:
            candidate = recalibrate(self._network.parent, BASE, collected, is_in_order=True, served=served)
        except DengeError as error:  # the new graphs may differ from each other by more than they may
            return ObservedJob(is_finished=True, reason=str(error))
        assert candidate.estimated_accuracy is not None
        base, after = candidate.estimated_accuracy
        found = ObservedJob(
            is_finished=True, base=base, served=candidate.served_accuracy, candidate=after, gain=candidate.gain
        )
        try:
            require_better(after, base if served is None else candidate.served_accuracy, candidate.gain)
            return replace(found, published=self._publish(candidate.publishable()))
        except VersionRefused as error:
            return replace(found, reason=str(error), was_moving=is_moving(candidate.gates))

    def _step(self, group: str) -> None:
        windows = {
            number: window
            for number, version in self.versions.items()
            if (window := observe_window(version.monitor)) is not None
        }
        rows_for_base = {
            version: observe_rows_for_base(self.versions[version].monitor, since)
            for version, since in self.auto.compared_since.items()
        }
        rate = observe_rows_per_hour([version.monitor for version in self.versions.values()], self.now)
        step = next_step(self.rollout, Observed(self.now, windows, self._job, self._trial, rows_for_base, rate))
        if step is None:
            return
        self.rollout = step.rollout
        self._trial, self._job, self._reservoir = ObservedTrial(), ObservedJob(), None
        self.steps.append(self.auto.log[-1])
        self.promoted_in[group] += self.steps[-1].step == "promoted"
        if self.auto.phase == "collecting":
            limits = self.auto.limits
            self._reservoir = Reservoir(
                limits.rows, int(MAX_SHARE * limits.rows), self._random.random, lambda: self.now
            )
            self.rollout = self.rollout.with_auto(self.auto.model_copy(update={"job": "job"}))

    def _publish(self, bundle: Bundle) -> int:
        number = len(self.versions) + 1
        monitor = VersionMonitor(bundle.manifest, 256, 0.01, lambda: self.now)
        monitor.assessor.estimator = self._network.estimator
        fit = None if number == BASE else VersionFit(self._network.parent.manifest, bundle.manifest)
        self.versions[number] = Version(bundle, monitor, fit)
        return number

    def _answers(self, version: int, condition: str) -> Answers:
        return self._network.answers(self.versions[version], condition)

    def _oracle(self, condition: str) -> Answers | None:
        if condition not in self._oracles:
            self._oracles[condition] = self._network.oracle(self.versions[BASE], condition, self.auto.limits.rows)
        return self._oracles[condition]
