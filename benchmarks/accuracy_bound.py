"""How well accuracy could be estimated from the same signs, if labels of shifted rows were known.

    python -m benchmarks.accuracy_bound --data-dir data/mnist --model mlp --write docs/accuracy.md

The windows of 64 rows of `benchmarks.alarms`, and their signs (`models.accuracy.agreement`). The service learns what
signs mean on synthetic shifts of held-out rows. Here the same regression is fitted to the corruptions' own labels:
in-sample, to the windows that it is judged on, which bounds what a regression on these signs can do; with the kind that
is judged held out; and to the corruptions of `benchmarks.corruptions`. It is also fitted with more signs. "64 labels"
is the error of who knows the labels of the window, which is a sample of the traffic. The figures of a model are kept in
benchmarks/results/accuracy_bound.json.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.alarms import SETS, WINDOWS, calibrate, choose_images
from benchmarks.drift.rows import Images, Model, TestImages, windows
from benchmarks.mnist_models import MODELS, add_options, read_model
from benchmarks.pages import write_between
from models.accuracy.agreement import Agreement
from models.accuracy.estimator import Estimator, logit
from models.accuracy.information import entropy, mutual_information
from models.batchnorm import Float64
from models.classification import probabilities

RESULTS = Path(__file__).parent / "results" / "accuracy_bound.json"
ROWS = 64
SIGNS = {"the three signs": 3, "and four more": 7}
"""How many of those of `_signs` are used."""


@dataclass(frozen=True)
class Windows:
    """Windows of corrupted rows.

    Attributes:
        signs: shape (n, 7).
        accuracy: that the corruption leaves, shape (n,).
        sample: share of the window's rows that are predicted rightly, shape (n,).
        kinds: of the corruptions, shape (n,).
    """

    signs: Float64
    accuracy: Float64
    sample: Float64
    kinds: NDArray[np.str_]


def _signs(network: Float64, twin: Float64) -> list[float]:
    """Those that the service uses, and four more: the network's information, and how sure the two are."""
    return [
        *Agreement.of(network, twin, np.inf).signs,
        mutual_information(network),
        *(logit(float(each.max(axis=1).mean())) for each in (network, twin)),
        float(np.mean([entropy(row) for row in twin])),
    ]


def draw(model: Model, group: str, images: TestImages, twin: Callable[[Images], NDArray[np.float32]]) -> Windows:
    """The windows of all corruptions of a set, and of undisturbed rows."""
    _, pool, measured = choose_images(images)
    signs, accuracy, sample, kinds = [], [], [], []
    for corrupt, kind, severity in [(lambda rows, *_: rows, "clean", 0), *SETS[group]]:
        moved, labels = corrupt(images.images[pool], kind, severity, 41), images.labels[pool]
        found, random = model.observe(moved), np.random.default_rng([severity, len(kind)])
        right = model.observe(corrupt(images.images[measured], kind, severity, 42)).predicted == images.labels[measured]
        for chosen in windows(np.arange(len(pool)), ROWS, WINDOWS, random):
            parent, other = (
                probabilities(scores, model.manifest.scores) for scores in (found.logits[chosen], twin(moved[chosen]))
            )
            signs.append(_signs(parent, other))
            accuracy.append(right.mean())
            sample.append(np.mean(parent.argmax(axis=1) == labels[chosen]))
            kinds.append(kind)
    return Windows(np.array(signs), np.array(accuracy), np.array(sample), np.array(kinds))


def _error(fitted: Windows, judged: Windows, count: int) -> Float64:
    """Of a regression on the first signs, shape (n,), in points."""
    regression = Estimator.fit(fitted.signs[:, :count], fitted.accuracy, list(fitted.kinds))
    error: Float64 = 100 * np.abs(regression.predict(judged.signs[:, :count]) - judged.accuracy)
    return error


def _take(all_windows: Windows, chosen: NDArray[np.bool_]) -> Windows:
    return Windows(*(values[chosen] for values in vars(all_windows).values()))


def measure(model: Model, folder: Path) -> list[dict[str, Any]]:
    """The mean errors of each set of signs."""
    images, (_, twin) = TestImages(folder), calibrate(model)
    tuning, unseen = (draw(model, group, images, twin) for group in ("tuning", "unseen"))
    found = []
    for title, count in SIGNS.items():
        held_out = [
            _error(_take(unseen, unseen.kinds != kind), _take(unseen, unseen.kinds == kind), count)
            for kind in np.unique(unseen.kinds)
        ]
        found.append(
            {
                "model": model.name,
                "signs": title,
                "in_sample": float(_error(unseen, unseen, count).mean()),
                "kinds_held_out": float(np.concatenate(held_out).mean()),
                "fitted_to_tuning": float(_error(tuning, unseen, count).mean()),
                "labels": float(100 * np.abs(unseen.sample - unseen.accuracy).mean()),
            }
        )
    return found


def table(found: list[dict[str, Any]]) -> str:
    parts = [
        "| | regression on | in-sample | kinds held out | tuning corruptions | 64 labels |",
        "|---|---|---|---|---|---|",
    ]
    parts += [
        f"| `{one['model']}` | {one['signs']} | {one['in_sample']:.1f} | {one['kinds_held_out']:.1f} | "
        f"{one['fitted_to_tuning']:.1f} | {one['labels']:.1f} |"
        for one in found
    ]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(parser)
    parser.add_argument("--write", type=Path, help="page to put the table into")
    options = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    if options.model:
        found = [one for one in found if one["model"] != options.model]
        found += measure(Model.of(read_model(options.model, options.resnet)), options.data_dir)
        found.sort(key=lambda one: MODELS.index(one["model"]))
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))
    if options.write:
        write_between(options.write, "accuracy_bound", table(found))


if __name__ == "__main__":
    main()
