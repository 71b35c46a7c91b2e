"""What a few labels are worth to a re-calibration, for random rows and for rows that the versions disagree on.

    python -m benchmarks.labels --data-dir data/mnist --model mlp [--resnet REPOSITORY] [--set tuning]
    python -m benchmarks.labels --write docs/recalibration.md

On the cases of `benchmarks.signs`, whose figures are read, and on shifted rows of few classes, whose figures are
measured here: labels that favour a version on these do not say that it is better for the other classes too. For each
row of a case, benchmarks/results/labels_<model>.jsonl (_256, _tuning) has what its label would tell: + where only the
new version is right, - where only the parent is, 0 where they disagree and are both wrong, else =. Foreign and crafted
rows are of no class. The table has averages over draws of the rows that get a label.
"""

import argparse
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import MEASURED, POOL, SETS, Case, CaseModel, CaseSet, Data, cases, measure_cases
from benchmarks.gates_bound import NOT_TO_LEARN_FROM
from benchmarks.mnist_models import MODELS, add_options, read_model
from benchmarks.pages import write_between
from benchmarks.signs_results import RESULTS, points, read_lines
from models.recalibration.gates import OUTVOTED
from models.recalibration.sign_test import SignTest
from models.repository.bundle import Bundle
from models.stored_graph import SerializedGraph

NARROW = "few classes, shifted"
KEYS = 12
"""Corruptions of which there are rows of few classes."""
COUNTS = (8, 16, 24, 32)
DRAWS = 40


def narrow_cases(data: Data) -> Iterator[Case]:
    keys = [f"{name} {severity}" for name in data.set.corruptions for severity in data.set.severities]
    for position, key in enumerate(keys[:: max(1, len(keys) // KEYS)]):
        random = np.random.default_rng([position, 31])
        order = random.permutation(10)
        mixes: dict[str, NDArray[Any]] = {
            f"{count} of the classes": (np.isin(range(10), order[:count]) / count) for count in (1, 2, 5)
        }
        mixes["a long tail"] = 0.5**order
        for title, weight in mixes.items():
            shares = weight[data.pool_labels]
            chosen = random.choice(POOL, data.set.rows, p=shares / shares.sum())
            yield Case(f"{title}, {key}", NARROW, data.pool_of(key)[chosen], (key,), data.pool_labels[chosen])


def told(parent: NDArray[np.int64], candidate: NDArray[np.int64], labels: NDArray[np.int64]) -> str:
    """What the label of each row would tell."""
    signs = np.where(candidate == labels, "+", np.where(parent == labels, "-", "0"))
    return "".join(np.where(parent == candidate, "=", signs))


def measure(name: str, parent: Bundle, folder: Path, chosen: CaseSet) -> None:
    model, data = CaseModel(parent), Data(folder, MEASURED, chosen)
    network, output = model.network, model.output

    def accuracy(folded: SerializedGraph, key: str) -> float:
        return float(np.mean(model.classes(folded, data.measured_of(key)) == data.labels))

    accuracy_of_parent = cache(lambda key: accuracy(parent.folded, key))

    def figures(case: Case) -> dict[str, Any]:
        rows = model.inputs(case.rows)
        before, after = network.run(rows, 1.0), network.run(rows)
        old, new = (found.outputs[output].argmax(1) for found in (before, after))
        line: dict[str, Any] = {"told": told(old, new, case.labels)}
        if case.group == NARROW:
            version, found = model.evaluate(case.rows)
            (key,) = case.measured
            line |= {"before": accuracy_of_parent(key), "after": accuracy(version.folded, key)}
            line["failed"] = [gate.name for gate in found.gates if not gate.passed]
        return line

    path = RESULTS / f"labels_{name}{chosen.suffix}.jsonl"
    measure_cases(path, (*cases(data), *narrow_cases(data)), figures)


def read(suffix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each model and case of a set, with what `benchmarks.signs` has measured."""
    for name in MODELS:
        measured = {line["name"]: line for line in read_lines(name, suffix)}
        for text in (RESULTS / f"labels_{name}{suffix}.jsonl").read_text().splitlines():
            line = json.loads(text)
            yield name, measured.get(line["name"], {}) | line


def is_published(line: dict[str, Any], given: str) -> bool:
    """Whether a version is published.

    Args:
        given: what the labels tell that there are.
    """
    new, old = given.count("+"), given.count("-")
    failed = set(line["failed"])
    if SignTest(new, old).is_better:
        failed -= OUTVOTED
    return not failed and new >= SignTest(new, old).least_new


def table() -> str:
    heads = (
        "rows",
        "labels",
        "refused though it gains > 1 point",
        "published though it harms > 0.5",
        "published from rows not to be learned from",
        "published from shifted rows of few classes",
        "though it harms > 0.5",
    )
    parts = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for title in ("unseen", "unseen, more rows"):
        lines = [line for _, line in read(SETS[title].suffix)]
        for which, counts in (("none", (0,)), ("random rows", COUNTS), ("rows that they disagree on", COUNTS)):
            for count in counts:
                shares = _shares(lines, count, which == "random rows")
                labels = which if count == 0 else f"{count}, {which}"
                parts.append(f"| {SETS[title].rows} | {labels} | {' | '.join(shares)} |")
    return "\n".join(parts)


def _shares(lines: list[dict[str, Any]], count: int, from_all: bool) -> Iterator[str]:
    random = np.random.default_rng(0)

    def draw(line: dict[str, Any]) -> str:
        rows = [one for one in line["told"] if from_all or one != "="]
        return "".join(random.permutation(rows)[:count])

    published = np.array([[is_published(line, draw(line)) for _ in range(DRAWS)] for line in lines])
    groups, gains = np.array([line["group"] for line in lines]), np.array([points(line, "after") for line in lines])

    def number(of: NDArray[np.bool_], all_of: NDArray[np.bool_], is_refused: bool = False) -> str:
        found = (published[of] != is_refused).sum(0).mean()
        return f"{found:.1f} of {all_of.sum()} ({found / all_of.sum():.1%})"

    known, narrow = groups == "corruption", groups == NARROW
    not_to_learn = np.isin(groups, NOT_TO_LEARN_FROM)
    yield number(known & (gains > 1), known, is_refused=True)
    yield number(known & (gains < -0.5), known)
    yield number(not_to_learn, not_to_learn)
    yield number(narrow, narrow)
    yield number(narrow & (gains < -0.5), narrow)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(parser, sets=SETS)
    parser.add_argument("--write", type=Path, help="page whose table is written")
    options = parser.parse_args()
    if options.model:
        measure(options.model, read_model(options.model, options.resnet), options.data_dir, SETS[options.set])
    if options.write:
        write_between(options.write, "recalibration_labels", table())


if __name__ == "__main__":
    main()
