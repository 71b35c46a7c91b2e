"""Whether any rule could decide from the gates' figures better than the gates do.

    python -m benchmarks.gates_bound --write docs/recalibration.md

Reads what `benchmarks.signs` has measured, and fits two rules to all figures that the gates see, with their bounds and
the estimated accuracies: logistic regression, and sixty boosted trees of two levels. Each is to tell re-calibrations
that gain more than a point from those that harm by more than half a point, or whose rows are not to be learned from.
It publishes from some score on, which is chosen with hindsight: so that nothing is published from rows that are not to
be learned from, at most so many harmful versions are, and the fewest that gain are refused. In-sample, a rule is
judged on what it was fitted to, which bounds what rules of its kind can do. Held out, each kind of corruption, or each
network, is judged by a rule that was fitted to the others.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.mnist_models import MODELS
from benchmarks.pages import write_between
from benchmarks.signs_results import points, read_lines
from models.accuracy.estimator import logit

NOT_TO_LEARN_FROM = ("one or two classes", "long tail", "foreign rows", "crafted rows")
GAINS, HARMS = 1.0, -0.5
HARMFUL = (0.0, 0.01, 0.02, 0.04)
"""Shares of the corruptions that may be published though they harm."""
SETS = {"tuning": "_tuning", "unseen": ""}
RULES: dict[str, Callable[[], object]] = {
    "logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
    "boosted trees": lambda: GradientBoostingClassifier(n_estimators=60, max_depth=2, subsample=0.8, random_state=0),
}


Make = Callable[[], Any]
"""A new classifier of scikit-learn, which has no types."""


@dataclass(frozen=True)
class Cases:
    """Re-calibrations.

    Attributes:
        figures: what a rule sees, shape (n, figures).
        gains: in points, shape (n,).
        is_corruption: of known classes, so that a gain can be measured, shape (n,).
        kinds, models: of corruption and network, shape (n,).
        passed: the gates, shape (n,).
    """

    figures: NDArray[np.float64]
    gains: NDArray[np.float64]
    is_corruption: NDArray[np.bool_]
    kinds: NDArray[np.str_]
    models: NDArray[np.str_]
    passed: NDArray[np.bool_]

    @classmethod
    def read(cls, suffix: str) -> "Cases":
        """Of one set, on all networks."""
        groups = ("corruption", *NOT_TO_LEARN_FROM)
        found = [(name, line) for name in MODELS for line in read_lines(name, suffix) if line["group"] in groups]
        return cls(
            np.array([_figures(line) for _, line in found]),
            np.array([points(line, "after") for _, line in found]),
            np.array([line["group"] == "corruption" for _, line in found]),
            np.array([line["name"].partition("[")[0].rstrip(" 0123456789") for _, line in found]),
            np.array([name for name, _ in found]),
            np.array([not line["failed"] for _, line in found]),
        )

    def take(self, chosen: NDArray[np.bool_]) -> "Cases":
        """Some of them."""
        return Cases(*(values[chosen] for values in vars(self).values()))

    @property
    def target(self) -> NDArray[np.int64]:
        """1 for what is to be published, 0 for what is not, -1 where it hardly matters, shape (n,)."""
        return np.where(~self.is_corruption | (self.gains < HARMS), 0, np.where(self.gains > GAINS, 1, -1))


def _figures(line: dict[str, Any]) -> list[float]:
    """The gates' figures, those of their bounds that vary, both estimates, and the parent's confidence."""
    found, bounds = (
        {name: 0.0 if figure is None else figure for name, figure in line["figures"].items()},
        line["bounds"],
    )
    (before, low_before, high_before), (after, low, high) = line["estimates"]
    drift = max(bounds["drift"][1], 1e-6)
    return [
        *(np.log(drift), np.log(max(found["drift"], 1e-6)), found["drift"] / drift, np.log(found["growth"] + 1e-3)),
        *(found["diversity"], bounds["diversity"][0], found["information"]),
        *(bounds["information"][0], found["information"] - bounds["information"][0], found["gain"]),
        *(found["information"] - found["gain"], found["label_shift"], found["confident_agreement"], found["agreement"]),
        *(found["mixture"], bounds["mixture"][0]),
        *(logit(before), logit(after), after - before, low - before, high_before - low_before, high - low),
        *(line["atc"], line["doc"]),
    ]


def _scores(make: Make, fitted: Cases, judged: Cases) -> NDArray[np.float64]:
    """Of a rule, shape (n,) of those that are judged."""
    asked = fitted.take(fitted.target >= 0)
    rule = make()
    rule.fit(asked.figures, asked.target)
    return np.asarray(rule.predict_proba(judged.figures)[:, 1])


def _held_out(make: Make, cases: Cases, groups: NDArray[np.str_]) -> NDArray[np.float64]:
    scores = np.zeros(len(cases.gains))
    for group in np.unique(groups):
        scores[groups == group] = _scores(make, cases.take(groups != group), cases.take(groups == group))
    return scores


def _fewest_refused(cases: Cases, scores: NDArray[np.float64], harmful: float) -> float:
    """Share of the corruptions that are refused though they gain, with the best score to publish from."""
    count = cases.is_corruption.sum()
    found = []
    for least in [*np.unique(scores), np.inf]:
        published = scores >= least
        harms = np.sum(published & cases.is_corruption & (cases.gains < HARMS))
        if harms <= harmful * count and not np.any(published & ~cases.is_corruption):
            found.append(np.sum(~published & cases.is_corruption & (cases.gains > GAINS)))
    return float(min(found) / count)


def _rows(name: str, cases: Cases, tuning: Cases | None) -> Iterator[str]:
    known = cases.take(cases.is_corruption)
    refused, harms = known.gains[~known.passed] > GAINS, known.gains[known.passed] < HARMS
    yield (
        f"| {name} | the gates | as they are | {refused.sum() / len(known.gains):.0%}, with "
        f"{harms.sum() / len(known.gains):.1%} that harm | | | | |"
    )
    for title, make in RULES.items():
        found = {
            "in-sample": (_scores(make, cases, cases), _scores(make, known, known)),
            "kinds held out": (_held_out(make, cases, cases.kinds), _held_out(make, known, known.kinds)),
            "networks held out": (_held_out(make, cases, cases.models), _held_out(make, known, known.models)),
        }
        if tuning is not None:
            alone = tuning.take(tuning.is_corruption)
            found["fitted to the tuning set"] = (_scores(make, tuning, cases), _scores(make, alone, known))
        for how, (scores, without) in found.items():
            shares = [_fewest_refused(cases, scores, harmful) for harmful in HARMFUL]
            shares.append(_fewest_refused(known, without, 0.02))
            yield f"| {name} | {title} | {how} | " + " | ".join(f"{share:.0%}" for share in shares) + " |"


def table() -> str:
    """The share that is refused though it gains, by the share that may be published though it harms."""
    heads = [f"at most {harmful:.0%} harm" for harmful in HARMFUL]
    parts = [
        f"| corruptions | rule | fitted | {' | '.join(heads)} | at most 2%, if only corruptions were to be judged |",
        "|---|---|---|" + "---|" * (len(HARMFUL) + 1),
    ]
    sets = {name: Cases.read(suffix) for name, suffix in SETS.items()}
    parts += _rows("tuning", sets["tuning"], None)
    parts += _rows("unseen", sets["unseen"], sets["tuning"])
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", type=Path, help="page whose table is written")
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a regression that has not quite converged
        found = table()
    print(found)
    if options.write:
        write_between(options.write, "recalibration_bound", found)


if __name__ == "__main__":
    main()
