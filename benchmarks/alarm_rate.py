"""False alarms in a month of undisturbed traffic, and how soon a shift is found: one alarm rule beside the other.

    python -m benchmarks.alarm_rate --data-dir data/mnist --model mlp [--resnet REPOSITORY]
    python -m benchmarks.alarm_rate --write docs/drift.md

Months of one row a second, from MNIST's test images that did not set the starters' thresholds, in the streams of
`benchmarks.drift.streams`: random, by writer, in bursts of a class, and by hour. Correlated streams have a
baseline, of windows before the month; "without a baseline" is the control, in which p-values are not valid. The size of
a shift is not asked for: what is significant counts, as where every shift is large. The service raises fewer alarms.

The delay is that of corruptions (`benchmarks.corruptions`), in windows from the first one that is corrupted, with the
evidence that an undisturbed day has left. Each stream is a line of benchmarks/results/alarm_rate.jsonl.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corruptions import CORRUPTIONS, corrupt
from benchmarks.drift import by_model
from benchmarks.drift.rows import Model, TestImages
from benchmarks.drift.streams import DRAWS, Streams, window_statistics
from benchmarks.mnist_models import MODELS
from models.batchnorm import Float64
from models.drift.alarm_course import NO_ALARMS, AlarmState
from models.drift.alarm_rule import SECONDS_PER_DAY, AlarmRule
from models.drift.assessment import Assessment, Verdict
from models.drift.baseline import OVERALL, SCORE_RATE, Baseline
from models.drift.thresholds import WindowThresholds
from models.manifest import DriftReference

RESULTS = Path(__file__).parent / "results" / "alarm_rate.jsonl"
SIZES = (64, 256)
MONTHS = 3
DAYS = 30
ROWS_PER_SECOND = 1.0
BASELINE_WINDOWS = 500
SEVERITIES = (1, 3)
MOVED = 60
DAYS_BETWEEN = 7.0
RULES: dict[str, float | None] = {"window": None, "week": DAYS_BETWEEN}
"""A false alarm in so many days; None for the rate of a window."""

Line = dict[str, Any]
"""Of the results."""


def _assessments(
    reference: DriftReference, statistics: Float64, size: int, baseline: Baseline | None
) -> Iterator[Assessment]:
    thresholds = WindowThresholds(reference, SCORE_RATE, baseline)
    threshold = thresholds.of(OVERALL, reference.thresholds, size)
    for value in map(float, statistics):
        is_significant = value > threshold
        verdict: Verdict = "covariate_shift" if is_significant else "quiet"
        p = thresholds.p_value(value, size) if is_significant else 1.0
        yield Assessment(size, verdict, value, threshold, is_significant, 0.0, 0.0, {}, p_value=p)


def _follow(
    rule: AlarmRule, found: list[Assessment], size: int, baseline: Baseline | None, state: AlarmState = NO_ALARMS
) -> Iterator[AlarmState]:
    seconds, block = size / ROWS_PER_SECOND, 1 if baseline is None else baseline.block_windows
    at = state.judged_at or 0.0
    for window in found:
        state = rule.next(state, window, at, at + seconds, block)
        at += seconds
        yield state


def _opened(states: list[AlarmState]) -> int:
    was_open = [False, *(state.open is not None for state in states)]
    return sum(after and not before for before, after in itertools.pairwise(was_open))


def measure(model: Model, images: TestImages) -> None:
    done = {(one["stream"], one["rows"]) for one in _lines() if one["model"] == model.name}
    chosen = images.images[images.others]
    reference = model.reference
    streams = Streams(images)
    clean = model.observe(chosen)
    moved = [
        model.observe(corrupt(chosen, kind, severity, seed=1))
        for kind, severity in itertools.product(CORRUPTIONS, SEVERITIES)
    ]
    rules = {title: AlarmRule.at(reference, SCORE_RATE, days) for title, days in RULES.items()}
    for stream, size in itertools.product(DRAWS, SIZES):
        if (stream, size) in done:
            continue
        month = int(DAYS * SECONDS_PER_DAY * ROWS_PER_SECOND / size)
        day = month // DAYS
        false: dict[str, list[int]] = {f"{title}{kind}": [] for title in rules for kind in ("", " without")}
        delays: dict[str, list[float]] = {title: [] for title in rules}
        for seed in range(MONTHS):
            random = np.random.default_rng([seed, size])
            drawn = streams.windows(stream, size, month + BASELINE_WINDOWS, random)
            statistics = window_statistics(reference, clean, drawn)
            baseline = None
            if stream != "random":
                baseline = Baseline(BASELINE_WINDOWS, size, 0.0)
                for window in _assessments(reference, statistics[:BASELINE_WINDOWS], size, None):
                    baseline = baseline.add(window)
            judged = list(_assessments(reference, statistics[BASELINE_WINDOWS:], size, baseline))
            control = list(_assessments(reference, statistics[BASELINE_WINDOWS:], size, None))
            for title, rule in rules.items():
                false[title].append(_opened(list(_follow(rule, judged, size, baseline))))
                false[f"{title} without"].append(_opened(list(_follow(rule, control, size, None))))
                before = AlarmState(evidence=_typical(rule, judged[:day], size, baseline))
                for shifted in moved if seed == 0 else ():
                    values = window_statistics(reference, shifted, drawn[-MOVED:])
                    found = list(_assessments(reference, values, size, baseline))
                    states = _follow(rule, found, size, baseline, before)
                    opened = next((number for number, state in enumerate(states, 1) if state.open), np.inf)
                    delays[title].append(opened)
        line = {"model": model.name, "stream": stream, "rows": size, "months": MONTHS, "false": false}
        with RESULTS.open("a") as file:
            file.write(json.dumps(line | {"delays": {t: [_finite(d) for d in each] for t, each in delays.items()}}))
            file.write("\n")


def _typical(rule: AlarmRule, judged: list[Assessment], size: int, baseline: Baseline | None) -> float:
    """The evidence that an undisturbed day leaves while no alarm is open."""
    return float(np.median([state.evidence for state in _follow(rule, judged, size, baseline) if state.open is None]))


def _finite(delay: float) -> float | None:
    return delay if np.isfinite(delay) else None


def _lines() -> list[Line]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.is_file() else []


HEAD = """\
| model | traffic | rows | windows a day | false alarms a week: by window | by week | by week, no baseline \
| half of the shifts found after, windows: by window | by week | nine of ten: by window | by week |
|---|---|---|---|---|---|---|---|---|---|---|"""


def table() -> str:
    parts = [HEAD]
    for one in sorted(_lines(), key=lambda one: MODELS.index(one["model"])):
        weeks = DAYS / 7

        def weekly(title: str, one: Line = one, weeks: float = weeks) -> str:
            counts = np.array(one["false"][title]) / weeks
            return f"{counts.mean():.2f} ± {1.96 * counts.std(ddof=1) / np.sqrt(len(counts)):.2f}"

        def after(title: str, share: float, one: Line = one) -> str:
            delays = [np.inf if delay is None else delay for delay in one["delays"][title]]
            found = np.quantile(delays, share, method="inverted_cdf")
            return f"{found:.0f}" if np.isfinite(found) else f"> {MOVED}"

        windows = SECONDS_PER_DAY * ROWS_PER_SECOND / one["rows"]
        cells = (
            *(f"{windows:.0f}", weekly("window"), weekly("week"), weekly("week without")),
            *(after(title, share) for share in (0.5, 0.9) for title in RULES),
        )
        parts.append(f"| `{one['model']}` | {one['stream']} | {one['rows']} | {' | '.join(cells)} |")
    return "\n".join(parts)


if __name__ == "__main__":
    by_model.run(__doc__.partition("\n")[0], measure, {"drift_alarm_rate": table})
