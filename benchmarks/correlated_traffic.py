"""What a baseline does for traffic whose rows resemble each other: false alarms, and what is still found.

    python -m benchmarks.correlated_traffic --data-dir data/mnist --model mlp [--resnet REPOSITORY]
    python -m benchmarks.correlated_traffic --write docs/drift.md

Streams of MNIST's test images that did not set the starters' thresholds, undisturbed. "by writer": runs of 125 images
in the data set's own order, in which writers take turns; "class bursts": runs of one class, 20 images on average; "by
hour": images of the two groups of writers, whose shares change like a sine of 2,048 rows. "random" is the control. 100
windows are the baseline, 100 more of the same kind are judged, and windows of the same kind with the corruptions of
`benchmarks.corruptions` at severities 1 and 3. "other writers" are windows of images that the baseline has not met: it
knows 2,500 of the 5,000. Each stream is a line of benchmarks/results/correlated_traffic.jsonl; one that is there is not
measured again.
"""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corruptions import CORRUPTIONS, corrupt
from benchmarks.drift import by_model
from benchmarks.drift.rows import WITH_RESNET, Indices, Model, Rows, TestImages
from models.drift.assessment import Assessment
from models.drift.baseline import SCORE_RATE, Baseline
from models.drift.detector import Detector
from models.moments.window import WindowMoments

RESULTS = Path(__file__).parent / "results" / "correlated_traffic.jsonl"
SIZES = (16, 64, 256)
LEARNED, JUDGED, MOVED = 100, 100, 2
STREAMS = {"mlp": 8, "convnet": 8, "resnet": 3}
SEVERITIES = (1, 3)
RUNS = 40
BURST_ROWS = 20
HOUR_ROWS = 2048
COSTLY = 0.03

Window = tuple[dict[str, WindowMoments], Indices]
Stream = Callable[[int, list[Indices], Indices, np.random.Generator], Indices]
"""From a number of rows, runs of rows in their own order, the labels of all images -> indices of a stream's rows."""


def _random(rows: int, runs: list[Indices], _labels: Indices, random: np.random.Generator) -> Indices:
    return random.choice(np.concatenate(runs), rows)


def _by_writer(rows: int, runs: list[Indices], _labels: Indices, random: np.random.Generator) -> Indices:
    count = -(-rows // min(map(len, runs)))
    return np.concatenate([runs[chosen] for chosen in random.integers(len(runs), size=count)])[:rows]


def _bursts(rows: int, runs: list[Indices], labels: Indices, random: np.random.Generator) -> Indices:
    pool = np.concatenate(runs)
    by_class = [pool[labels[pool] == label] for label in range(10)]
    lengths = random.geometric(1 / BURST_ROWS, size=rows)
    lengths = lengths[: np.searchsorted(np.cumsum(lengths), rows) + 1]
    return np.concatenate([random.choice(by_class[random.integers(10)], length) for length in lengths])[:rows]


def _by_hour(rows: int, runs: list[Indices], _labels: Indices, random: np.random.Generator) -> Indices:
    pool = np.concatenate(runs)
    first, second = pool[pool < 5000], pool[pool >= 5000]
    phase = 2 * np.pi * (np.arange(rows) / HOUR_ROWS + random.random())
    is_first = random.random(rows) < 0.5 + 0.45 * np.sin(phase)
    return np.where(is_first, random.choice(first, rows), random.choice(second, rows))


STREAM_KINDS: dict[str, Stream] = {
    "random": _random,
    "by writer": _by_writer,
    "class bursts": _bursts,
    "by hour": _by_hour,
}


def _lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.is_file() else []


def measure(model: Model, images: TestImages) -> None:
    name, streams = model.name, STREAMS[model.name]
    done = {(one["model"], one["stream"], one["rows"]) for one in _lines()}
    chosen = images.images[images.others]
    place = np.full(len(images.images), -1)
    place[images.others] = np.arange(len(images.others))
    labels = images.labels[images.others]
    runs = np.array_split(images.others, RUNS)
    clean = model.observe(chosen)
    moved: dict[str, Rows] = {}
    costly: set[str] = set()
    for kind, severity in itertools.product(CORRUPTIONS, SEVERITIES):
        condition = f"{kind} {severity}"
        moved[condition] = model.observe(corrupt(chosen, kind, severity, seed=1))
        loss = np.mean(clean.predicted == labels) - np.mean(moved[condition].predicted == labels)
        costly |= {condition} if loss >= COSTLY else set()
    detector = Detector(model.reference)
    for (stream, draw), size in itertools.product(STREAM_KINDS.items(), SIZES):
        if (name, stream, size) in done:
            continue
        of_streams = []
        for seed in range(streams):
            random = np.random.default_rng([seed, size])
            shuffled = [runs[number] for number in random.permutation(RUNS)]

            def windows(
                rows: Rows,
                count: int,
                chosen: list[Indices],
                random: np.random.Generator = random,
                draw: Stream = draw,
                size: int = size,
            ) -> list[Window]:
                drawn = place[draw(count * size, chosen, images.labels, random)].reshape(count, size)
                return [rows.take(window).window() for window in drawn]

            of_streams.append(_stream(detector, clean, moved, costly, windows, shuffled, size))
        means = {key: round(float(np.mean([one[key] for one in of_streams])), 4) for key in of_streams[0]}
        error = float(np.std([one["after"] for one in of_streams], ddof=1) / np.sqrt(streams))
        line = {"model": name, "stream": stream, "rows": size, "streams": streams, **means}
        with RESULTS.open("a") as file:
            file.write(json.dumps(line | {"after_error": round(error, 4)}) + "\n")


def _stream(
    detector: Detector,
    clean: Rows,
    moved: dict[str, Rows],
    costly: set[str],
    windows: Callable[[Rows, int, list[Indices]], list[Window]],
    runs: list[Indices],
    size: int,
) -> dict[str, float]:
    def judge(drawn: list[Window], baseline: Baseline | None = None) -> list[Assessment]:
        return [detector.assess(moments, classes, SCORE_RATE, baseline) for moments, classes in drawn]

    def learn(chosen: list[Indices]) -> Baseline:
        baseline = Baseline(LEARNED, size, 0.0)
        for found in judge(windows(clean, LEARNED, chosen)):
            baseline = baseline.add(found)
        return baseline

    baseline, undisturbed = learn(runs), windows(clean, JUDGED, runs)
    half = len(runs) // 2
    others = judge(windows(clean, JUDGED, runs[half:]), learn(runs[:half]))
    before, after = judge(undisturbed), judge(undisturbed, baseline)
    found = {
        "before": _significant(before),
        "after": _significant(after),
        "alarms_before": float(np.mean([one.alarm for one in before])),
        "alarms_after": float(np.mean([one.alarm for one in after])),
        "others_after": _significant(others),
        "factor": detector.raised_by(baseline, SCORE_RATE),
    }
    shares = {condition: windows(rows, MOVED, runs) for condition, rows in moved.items()}
    for title, used in (("before", None), ("after", baseline)):
        by_condition = {condition: _significant(judge(drawn, used)) for condition, drawn in shares.items()}
        found[f"found_{title}"] = float(np.mean(list(by_condition.values())))
        found[f"costly_{title}"] = float(np.mean([by_condition[condition] for condition in costly]))
    return found


def _significant(found: list[Assessment]) -> float:
    return float(np.mean([bool(one.significant) for one in found]))


HEAD = """\
| model | traffic | rows | significant: before | after | alarms: before | after | other writers, after | factor \
| corruptions found: before | after | those of 3 points or more: before | after |
|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


def table() -> str:
    lines = [HEAD]
    kinds = list(STREAM_KINDS)
    for one in sorted(_lines(), key=lambda one: (WITH_RESNET.index(one["model"]), kinds.index(one["stream"]))):
        cells = (
            *(f"{one['before']:.1%}", f"{one['after']:.1%} ± {1.96 * one['after_error']:.1%}"),
            *(f"{one[key]:.1%}" for key in ("alarms_before", "alarms_after", "others_after")),
            f"{one['factor']:.1f}",
            *(f"{one[key]:.0%}" for key in ("found_before", "found_after", "costly_before", "costly_after")),
        )
        lines.append(f"| `{one['model']}` | {one['stream']} | {one['rows']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    by_model.run(__doc__.partition("\n")[0], measure, table, "drift_correlated")
