"""A week of conditions: seasons, weather, failures, and episodes that nothing must be published from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks import foreign_rows, unseen_corruptions
from benchmarks.corruptions import damage

Images = NDArray[np.float32]

HOURS = 7 * 24
SEASON = "gamma"
SEASON_STEP_HOURS = 12
SEASON_LEVELS = 6
"""From none to the strong severity, and back."""
WEATHER = ("shot noise", "motion blur", "spatter", "vignette", "speckle")
FAILURES = ("stripe", "dotted line", "quantize", "pixelate")
HARMLESS = "clean"
ATTACKS = ("letters", "crafted", "one class")
"""Rows of another task; 30 % of the rows are one random image from one client; rows of one class only."""
CRAFTED_SHARE = 0.3


@dataclass(frozen=True)
class Episode:
    """Hours with one condition.

    Attributes:
        start, end: in hours.
        condition: a key of `Pool`.
        group: "season", "weather", "failure" or one of `ATTACKS`.
    """

    start: float
    end: float
    condition: str
    group: str


def week(seed: int) -> list[Episode]:
    """The episodes of a week, one after the other, without gaps."""
    random = np.random.default_rng([seed, 31])
    events = sorted(_events(random))
    found: list[Episode] = []
    now = 0.0
    for start, hours, condition, group in events:
        if start < now or start + hours > HOURS:
            continue
        found += _season(now, start)
        found.append(Episode(start, start + hours, condition, group))
        now = start + hours
    return [*found, *_season(now, HOURS)]


def attacks() -> list[Episode]:
    """An hour of usual rows and three of others, in turn: letters, crafted rows, and each class alone."""
    conditions = ["letters", "crafted", *(f"one class {label}" for label in range(10))]
    found = []
    for number, condition in enumerate(conditions):
        start, group = 4.0 * number, "one class" if condition.startswith("one") else condition
        found += [Episode(start, start + 1, HARMLESS, "season"), Episode(start + 1, start + 4, condition, group)]
    return found


def _events(random: np.random.Generator) -> Iterator[tuple[float, float, str, str]]:
    for day in range(7):
        yield 24 * day + random.uniform(0, 8), random.uniform(4, 10), _one(random, WEATHER), "weather"
        yield 24 * day + random.uniform(12, 20), random.uniform(4, 10), _one(random, WEATHER), "weather"
    for day in random.choice(7, 3, replace=False):
        yield 24 * day + random.uniform(8, 12), random.uniform(3, 8), _one(random, FAILURES), "failure"
    for day, attack in zip(random.choice(7, 3, replace=False), ATTACKS, strict=True):
        condition = f"one class {random.integers(10)}" if attack == "one class" else attack
        yield 24 * day + random.uniform(8, 12), 3.0, condition, attack


def _one(random: np.random.Generator, names: tuple[str, ...]) -> str:
    return f"{random.choice(names)} {random.integers(1, 3)}"


def _season(start: float, end: float) -> Iterator[Episode]:
    while start < end:
        step = int(start // SEASON_STEP_HOURS)
        until = min((step + 1) * SEASON_STEP_HOURS, end)
        level = min(step, 2 * 7 - 1 - step, SEASON_LEVELS)
        yield Episode(start, until, HARMLESS if level == 0 else f"season {level}", "season")
        start = until


class Pool:
    """MNIST test images in every condition.

    Args:
        images: clean ones, shape (n, 1, 28, 28).
        labels: their classes, shape (n,).
    """

    def __init__(self, images: Images, labels: NDArray[np.int64]) -> None:
        self.clean, self.labels = images, labels
        self._kept: dict[str, Images] = {HARMLESS: images}

    def images(self, condition: str) -> Images:
        """All images in a condition."""
        if condition not in self._kept:
            self._kept[condition] = self._make(condition)
        return self._kept[condition]

    def has_labels(self, condition: str) -> bool:
        """Whether the images are of the model's classes."""
        return condition != "letters"

    def draw(self, condition: str, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Positions of the images that arrive."""
        known = np.arange(len(self.labels))
        if condition.startswith("one class"):
            known = np.flatnonzero(self.labels == int(condition.rpartition(" ")[2]))
        return random.choice(known, count)

    def _make(self, condition: str) -> Images:
        if condition == "letters":
            return foreign_rows.letters(len(self.clean), 3)
        if condition == "crafted" or condition.startswith("one class"):
            return self.clean
        name, _, number = condition.rpartition(" ")
        if name == "season":
            corruption = unseen_corruptions.UNSEEN[SEASON]
            amount = 1 + (corruption.amounts[-1] - 1) * int(number) / SEASON_LEVELS
            return damage(self.clean, replace(corruption, amounts=(amount,)), 1, 5)
        return unseen_corruptions.corrupt(self.clean, name, int(number), 5)
