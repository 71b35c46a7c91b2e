"""One model in `auto` mode over simulated time: the state machine, gates and monitors of the service, with a clock."""

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.auto.tally import Tally
from benchmarks.auto.versions import Answers, Version
from benchmarks.auto.week import CRAFTED_SHARE, HOURS, Episode, Pool
from models.accuracy.agreement import NO_ROWS, Agreement
from models.classification import count_classes, probabilities
from models.drift.version_fit import VersionFit
from models.errors import DengeError, VersionRefused
from models.graph.adapt import restate
from models.graph.load import parse, serialize
from models.moments.window import WindowMoments
from models.observation import ObservationReader, RowStatistics
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork
from models.recalibration.auto import next_step
from models.recalibration.estimate import recalibrate
from models.recalibration.gates import is_moving
from models.recalibration.observed import Observed, ObservedJob, ObservedTrial, require_better
from models.repository import held_out
from models.repository.auto import Auto, AutoLimits, AutoStep
from models.repository.bundle import Bundle
from models.repository.rollout import Rollout
from models.runtime.load import load
from service.auto.observing import observe_rows_for_base, observe_window
from service.recalibrating.reservoir import Reservoir
from service.watching.observation import Observation
from service.watching.version_monitor import VersionMonitor

TICK_ROWS = 32
START = 1_800_000_000.0
BLOCK_ROWS = 64
"""That the accuracy is estimated from at once, of every second row."""
SPREAD = 4
MAX_SHARE = 0.25
"""As the service has it where clients have API keys."""
CLIENTS = 50
BASE = 1


class Simulation:
    """A model that answers a stream of rows.

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
        self._pool, self._parent = pool, parent
        self._random = np.random.default_rng([seed, 77])
        self._seconds = 3600 * TICK_ROWS / rows_per_hour
        self._network = AdaptiveNetwork(parse(parent.source))
        (spec,) = parent.manifest.inputs
        self._input, self._shape = spec.name, (-1, *spec.shape[1:])
        self._output = parent.manifest.outputs[0].name
        assert parent.held_out is not None
        kept = held_out.unpack(parent.held_out, parent.manifest.inputs)
        estimator = AccuracyEstimator.calibrate(parent.manifest, self._network, kept, 300)
        assert estimator is not None
        self._estimator = estimator
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
        self._reservoir: Reservoir[NDArray[np.float32]] | None = None
        self._trial = ObservedTrial()
        self._oracles: dict[str, Answers | None] = {}

    @property
    def auto(self) -> Auto:
        assert self.rollout.auto is not None
        return self.rollout.auto

    def run(self, episodes: list[Episode]) -> None:
        """Answer the rows of all episodes."""
        for episode in episodes:
            while self.now < START + 3600 * episode.end:
                self._tick(episode)

    def accuracies(self, condition: str) -> dict[int | str, float]:
        """Share of right answers of every version, and of the oracle where it beats the base, in a condition."""
        found: dict[int | str, Answers] = {number: self._answers(number, condition) for number in self.versions}
        if (oracle := self._oracle(condition)) is not None:
            found["oracle"] = oracle
        labels = self._pool.labels
        return {name: float(np.mean(each.probabilities.argmax(axis=1) == labels)) for name, each in found.items()}

    def _tick(self, episode: Episode) -> None:
        condition = episode.condition
        rows = self._pool.draw(condition, TICK_ROWS, self._random)
        is_crafted = np.zeros(TICK_ROWS, bool)
        if condition == "crafted":
            is_crafted = self._random.random(TICK_ROWS) < CRAFTED_SHARE
        canary = self.rollout.canary
        to_canary = np.zeros(TICK_ROWS, bool)
        if canary is not None:
            to_canary = self._random.random(TICK_ROWS) < canary.share
        right = {"auto": 0}
        known = ~is_crafted if self._pool.has_labels(condition) else np.zeros(TICK_ROWS, bool)
        for version, chosen in ((self.auto.served, ~to_canary), (0 if canary is None else canary.version, to_canary)):
            if chosen.any():
                predicted = self._serve(version, condition, rows[chosen], is_crafted[chosen])
                right["auto"] += int(np.sum((predicted == self._pool.labels[rows[chosen]]) & known[chosen]))
        base = self._answers(BASE, condition).probabilities[rows].argmax(axis=1)
        right["base"] = int(np.sum((base == self._pool.labels[rows]) & known))
        oracle = self._oracle(condition)
        best = base if oracle is None else oracle.probabilities[rows].argmax(axis=1)
        right["oracle"] = int(np.sum((best == self._pool.labels[rows]) & known))
        hour = min(int((self.now - START) / 3600), HOURS - 1)
        for tally in (self.by_hour[hour], self.by_group.setdefault(episode.group, Tally())):
            tally.add(int(known.sum()), **right)
        self._lost = max(self._lost + right["base"] - right["auto"], 0)
        self.most_lost = max(self.most_lost, self._lost)
        if self._reservoir is not None:
            self._collect(condition, rows[~to_canary], is_crafted[~to_canary], episode.group)
        shadow_rows = TICK_ROWS if self.rollout.shadow is not None else int(to_canary.sum())
        self._trial = ObservedTrial(self._trial.rows + shadow_rows)
        self.now += self._seconds
        self._step(episode.group)

    def _serve(
        self, version: int, condition: str, rows: NDArray[np.int64], is_crafted: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Answer rows, and observe them."""
        answers, served = self._answers(version, condition), self.versions[version]
        layers = {name: found.take(rows) for name, found in answers.layers.items()}
        scores = answers.probabilities[rows]
        if is_crafted.any():
            crafted = self._answers(version, "crafted image")
            alike = np.zeros(int(is_crafted.sum()), np.int64)
            layers = {
                name: RowStatistics.concatenate([found.take(~is_crafted), crafted.layers[name].take(alike)])
                for name, found in layers.items()
            }
            scores = np.where(is_crafted[:, None], crafted.probabilities[0], scores)
        predicted: NDArray[np.int64] = scores.argmax(axis=1)
        images = self._images(condition, rows[::2], is_crafted[::2])
        agreement = self._compare_with_twin(served, images, scores[::2])
        served.monitor.record(
            Observation(
                "model",
                version,
                {name: WindowMoments.of(found) for name, found in layers.items()},
                count_classes(predicted, scores.shape[1]),
                agreement=agreement,
                fit=0.0 if served.fit is None else served.fit.evidence(layers),
            )
        )
        return predicted

    def _compare_with_twin(
        self, served: Version, images: NDArray[np.float32], scores: NDArray[np.float64]
    ) -> Agreement:
        """Of the rows of a version that wait until they are a block."""
        served.waiting.append((images, scores))
        if sum(len(found) for found, _ in served.waiting) < BLOCK_ROWS:
            return NO_ROWS
        block, own = (np.concatenate(parts)[:BLOCK_ROWS] for parts in zip(*served.waiting, strict=True))
        served.waiting = []
        twin = self._network.run({self._input: block.reshape(self._shape)}).outputs[self._output]
        found = probabilities(twin, self._parent.manifest.scores)
        return Agreement.of(own, found, self._estimator.before.confident_at)

    def _images(self, condition: str, rows: NDArray[np.int64], is_crafted: NDArray[np.bool_]) -> NDArray[np.float32]:
        images = self._pool.images(condition)[rows].copy()
        if is_crafted.any():
            images[is_crafted] = _crafted_image()
        return images

    def _collect(self, condition: str, rows: NDArray[np.int64], is_crafted: NDArray[np.bool_], group: str) -> None:
        reservoir, limits = self._reservoir, self.auto.limits
        assert reservoir is not None
        images = self._images(condition, rows, is_crafted)
        for image, crafted in zip(images, is_crafted, strict=True):
            client = "one" if crafted else f"client {self._random.integers(CLIENTS)}"
            reservoir.offer(client, image.copy)
        if len(reservoir) < limits.rows or reservoir.seen < SPREAD * limits.rows:
            return
        self._reservoir = None
        collected = {self._input: np.stack(reservoir.rows).reshape(self._shape)}
        served = self.versions[self.auto.served].bundle if self.auto.is_promoted else None
        self._job = self._estimate(collected, served)
        outcome = self.refused_in if self._job.published is None else self.published_in
        outcome[group] += 1

    def _estimate(self, collected: dict[str, NDArray[np.float32]], served: Bundle | None) -> ObservedJob:
        """What the process of a job does."""
        try:
            candidate = recalibrate(self._parent, BASE, collected, is_in_order=True, served=served)
        except DengeError as error:  # the new graphs may differ from each other by more than they may
            return ObservedJob(is_finished=True, reason=str(error))
        base, after = candidate.estimated_accuracy
        found = ObservedJob(is_finished=True, base=base, served=candidate.served_accuracy, candidate=after)
        try:
            require_better(after, base if served is None else candidate.served_accuracy)
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
            for version, since in self.auto.answering_since.items()
        }
        step = next_step(self.rollout, Observed(self.now, windows, self._job, self._trial, rows_for_base))
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
        monitor.assessor.estimator = self._estimator.before
        fit = None if number == BASE else VersionFit(self._parent.manifest, bundle.manifest)
        self.versions[number] = Version(bundle, monitor, fit)
        return number

    def _answers(self, version: int, condition: str) -> Answers:
        known = self.versions[version].answers
        if condition not in known:
            known[condition] = self._run(self.versions[version].bundle, condition)
        return known[condition]

    def _run(self, bundle: Bundle, condition: str) -> Answers:
        images = _crafted_image()[None] if condition == "crafted image" else self._pool.images(condition)
        assert bundle.observed is not None
        run = load(bundle.observed, optimize=True)
        parts = [
            run({self._input: part.reshape(self._shape)}) for part in np.array_split(images, len(images) // 500 + 1)
        ]
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        layers = ObservationReader(bundle.manifest.layers, outputs).read(outputs)
        return Answers(probabilities(outputs[self._output], bundle.manifest.scores), layers)

    def _oracle(self, condition: str) -> Answers | None:
        """A version from rows of the condition, if it is better there than the base: without delay, without gates."""
        if condition not in self._oracles:
            self._oracles[condition] = self._best(condition)
        return self._oracles[condition]

    def _best(self, condition: str) -> Answers | None:
        if not self._pool.has_labels(condition) or condition == "crafted" or condition.startswith("one class"):
            return None
        images, labels = self._pool.images(condition), self._pool.labels
        chosen = np.random.default_rng(8).choice(len(images), self.auto.limits.rows, replace=False)
        found = self._network.run({self._input: images[chosen].reshape(self._shape)})
        folded = serialize(restate(parse(self._parent.source), found.mixed))
        run = load(folded, optimize=True)
        scores = run({self._input: images.reshape(self._shape)})[self._output]
        own = probabilities(scores, self._parent.manifest.scores)
        base = self._answers(BASE, condition).probabilities
        is_better = np.mean(own.argmax(axis=1) == labels) > np.mean(base.argmax(axis=1) == labels)
        return Answers(own, {}) if is_better else None


def _crafted_image() -> NDArray[np.float32]:
    return (np.random.default_rng(0).random((1, 28, 28)) > 0.5).astype(np.float32)
