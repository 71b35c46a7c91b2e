"""What a baseline does for traffic whose rows resemble each other: false alarms, and what is still found.

    python -m benchmarks.correlated_traffic --data-dir data/mnist --model mlp [--resnet REPOSITORY]
    python -m benchmarks.correlated_traffic --write docs/drift.md

Streams of MNIST's test images that did not set the starters' thresholds, undisturbed. "by writer": runs of 125 images
in the data set's own order, in which writers take turns; "class bursts": runs of one class, 20 images on average; "by
hour": images of the two groups of writers, whose shares change like a sine of 2,048 rows. "random" is the control. 300
windows are the baseline, and the first 100 of them a short one. 1,000 more of the same kind are judged, and windows of
the same kind with the corruptions of `benchmarks.corruptions` at severities 1 and 3. "Other writers" are windows of
images that the baseline has not met: it knows 2,500 of the 5,000. A model is measured as it is, and with the pixels of
its input watched (`benchmarks.image`). Each kind of stream is a line of benchmarks/results/correlated_traffic.jsonl;
one that is there is not measured again.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import image
from benchmarks.corruptions import CORRUPTIONS, corrupt
from benchmarks.drift import by_model
from benchmarks.drift.rows import Model, Rows, TestImages
from benchmarks.drift.streams import DRAWS, Streams, window_statistics
from benchmarks.mnist_models import MODELS
from models.batchnorm import Float64
from models.drift.baseline import OVERALL, SCORE_RATE, Baseline
from models.drift.thresholds import WindowThresholds
from models.manifest import DriftReference

RESULTS = Path(__file__).parent / "results" / "correlated_traffic.jsonl"
SIZES = (16, 64, 256)
STREAMS = 40
LEARNED, SHORT = 300, 100
JUDGED, MOVED = 1000, 5
SEVERITIES = (1, 3)
COSTLY = 0.03
WITH_IMAGE = ", image"


def _lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.is_file() else []


def measure(model: Model, images: TestImages) -> None:
    _measure(model, model.name, images)
    _measure(image.version(model, images, image=True), f"{model.name}{WITH_IMAGE}", images)


def _measure(model: Model, name: str, images: TestImages) -> None:
    done = {(one["model"], one["stream"], one["rows"]) for one in _lines()}
    chosen, labels = images.images[images.others], images.labels[images.others]
    clean = model.observe(chosen)
    moved: dict[str, Rows] = {}
    costly: set[str] = set()
    for kind, severity in itertools.product(CORRUPTIONS, SEVERITIES):
        condition = f"{kind} {severity}"
        moved[condition] = model.observe(corrupt(chosen, kind, severity, seed=1))
        loss = np.mean(clean.predicted == labels) - np.mean(moved[condition].predicted == labels)
        costly |= {condition} if loss >= COSTLY else set()
    streams = Streams(images)
    for kind, size in itertools.product(DRAWS, SIZES):
        if (name, kind, size) in done:
            continue
        found = [
            _stream(model.reference, clean, moved, costly, streams, kind, size, np.random.default_rng([seed, size]))
            for seed in range(STREAMS)
        ]
        line: dict[str, Any] = {"model": name, "stream": kind, "rows": size, "streams": STREAMS}
        line |= {key: round(float(np.mean([one[key] for one in found])), 4) for key in found[0]}
        for key in ("short", "after"):
            rates = [one[key] for one in found]
            line[f"{key}_error"] = round(float(np.std(rates, ddof=1) / np.sqrt(STREAMS)), 4)
            line[f"{key}_ninth"] = round(float(np.quantile(rates, 0.9)), 4)
        with RESULTS.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _stream(
    reference: DriftReference,
    clean: Rows,
    moved: dict[str, Rows],
    costly: set[str],
    streams: Streams,
    kind: str,
    size: int,
    random: np.random.Generator,
) -> dict[str, float]:
    independent = WindowThresholds(reference, SCORE_RATE).of(OVERALL, reference.thresholds, size)

    def threshold(baseline: Baseline) -> float:
        return WindowThresholds(reference, SCORE_RATE, baseline).of(OVERALL, reference.thresholds, size)

    def learn(statistics: Float64) -> Baseline:
        return Baseline(len(statistics), size, 0.0, {OVERALL: tuple(statistics / independent)})

    drawn = window_statistics(reference, clean, streams.windows(kind, size, LEARNED + JUDGED, random))
    known, judged = drawn[:LEARNED], drawn[LEARNED:]
    baseline, short = learn(known), learn(known[:SHORT])
    mixed = [streams.runs[number] for number in random.permutation(len(streams.runs))]
    met, others = (
        window_statistics(reference, clean, streams.windows(kind, size, count, random, runs))
        for count, runs in ((LEARNED, mixed[: len(mixed) // 2]), (JUDGED, mixed[len(mixed) // 2 :]))
    )
    found: dict[str, Any] = {
        "before": np.mean(judged > independent),
        "short": np.mean(judged > threshold(short)),
        "after": np.mean(judged > threshold(baseline)),
        "others_after": np.mean(others > threshold(learn(met))),
        "factor": threshold(baseline) / independent,
        "short_supports": short.smallest_rate,
        "supports": baseline.smallest_rate,
    }
    shifted = {
        condition: window_statistics(reference, rows, streams.windows(kind, size, MOVED, random))
        for condition, rows in moved.items()
    }
    for title, limit in (("before", independent), ("after", threshold(baseline))):
        shares = {condition: np.mean(statistics > limit) for condition, statistics in shifted.items()}
        found[f"found_{title}"] = np.mean(list(shares.values()))
        found[f"costly_{title}"] = np.mean([shares[condition] for condition in costly])
    return {key: float(value) for key, value in found.items()}


HEAD = """\
| model | traffic | rows | significant: before | after 100 windows | which support | after 300 windows | which support \
| by nine in ten baselines | other writers | factor | corruptions found: before | after \
| those of 3 points or more: before | after |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


IMAGE_HEAD = """\
| model | traffic | rows | significant: before | with `image` | after 300 windows | with `image` \
| corruptions found after | with `image` | those of 3 points or more | with `image` |
|---|---|---|---|---|---|---|---|---|---|---|"""


def table() -> str:
    """The streams that models meet as they are."""
    lines = [HEAD]
    for name, _, _, one in _sorted():
        if name != one["model"]:
            continue
        cells = (
            f"{one['before']:.1%}",
            *(
                cell
                for key, supports in (("short", "short_supports"), ("after", "supports"))
                for cell in (f"{one[key]:.1%} ± {1.96 * one[f'{key}_error']:.1%}", f"{one[supports]:.1%}")
            ),
            f"{one['after_ninth']:.1%}",
            f"{one['others_after']:.1%}",
            f"{one['factor']:.1f}",
            *(f"{one[key]:.0%}" for key in ("found_before", "found_after", "costly_before", "costly_after")),
        )
        lines.append(f"| `{one['model']}` | {one['stream']} | {one['rows']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def image_table() -> str:
    """The same streams where the pixels of the input are watched, beside what is found without them."""
    lines = [IMAGE_HEAD]
    plain = {(name, stream, rows): one for name, stream, rows, one in _sorted() if name == one["model"]}
    for name, stream, rows, one in _sorted():
        if name == one["model"]:
            continue
        without = plain[name, stream, rows]
        cells = (
            *(f"{each[key]:.1%}" for key in ("before", "after") for each in (without, one)),
            *(f"{each[key]:.0%}" for key in ("found_after", "costly_after") for each in (without, one)),
        )
        lines.append(f"| `{name}` | {stream} | {rows} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _sorted() -> list[tuple[str, str, int, dict[str, Any]]]:
    """The lines with the names of their models, without what is watched, in the order of the tables."""
    kinds = list(DRAWS)
    found = [(one["model"].removesuffix(WITH_IMAGE), one["stream"], one["rows"], one) for one in _lines()]
    return sorted(found, key=lambda line: (MODELS.index(line[0]), kinds.index(line[1]), line[2]))


if __name__ == "__main__":
    by_model.run(
        __doc__.partition("\n")[0], measure, {"drift_correlated": table, "drift_correlated_image": image_table}
    )
