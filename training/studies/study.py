"""What an experiment is: independent runs, each with its settings and its result, and what follows from all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from scipy.stats import t

from training.run import Rows

Size = Literal["quick", "full"]
"""How much is measured: enough for a look, or for the verdict."""

Settings = Mapping[str, str | int | float | bool]
Result = Mapping[str, Any]
"""What JSON can hold."""

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Findings:
    """What all runs of an experiment show.

    Attributes:
        figures: SVG by name.
        header, table: of its figures with their intervals.
        verdict: one sentence or two.
    """

    figures: Mapping[str, str]
    header: Sequence[str]
    table: Sequence[Sequence[str]]
    verdict: str


class Study(Protocol):
    """One experiment.

    Attributes:
        title, question, source: for its page. The question is that of the claim.
        setup: how it is measured, in Markdown.
    """

    title: str
    question: str
    source: str
    setup: str

    def runs(self, size: Size) -> Sequence[Settings]:
        """The settings of every run."""

    def measure(self, settings: Settings, rows: Rows) -> Result:
        """The result of one run. torch's generator has been seeded with the run's seed."""

    def conclude(self, runs: Sequence[tuple[Settings, Result]]) -> Findings:
        """What all runs show."""


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean over seeds, and the half width of its 95 % interval (Student's t); 0 for a single seed."""
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        return float(array.mean()), 0.0
    error = array.std(ddof=1) / np.sqrt(len(array))
    return float(array.mean()), float(t.ppf((1 + _CONFIDENCE) / 2, len(array) - 1) * error)


def select(runs: Sequence[tuple[Settings, Result]], **wanted: str | float | bool) -> list[Result]:
    """The results of the runs that have these settings."""
    return [result for settings, result in runs if all(settings[name] == value for name, value in wanted.items())]
