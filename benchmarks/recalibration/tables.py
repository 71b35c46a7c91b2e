"""The tables of docs/recalibration.md, from the results."""

import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.corruptions import CORRUPTIONS
from benchmarks.recalibration.measurements import COUNTS, DRAWS, REACH, SEVERITIES

MODELS = ("convnet", "mlp")


def tables(results: dict[str, Any]) -> str:
    """All of them, as Markdown."""
    parts = (
        *(_regained(name, results[name]["regained"]) for name in MODELS),
        _clean(results),
        _few_classes(results),
        _priors(results),
        _digits(results),
        _seconds(results["seconds"]),
    )
    return "\n\n".join("\n".join(part) for part in parts)


def _regained(name: str, found: list[dict[str, Any]]) -> Iterator[str]:
    yield f"**{name}**, accuracy in %, mean over severities {', '.join(map(str, SEVERITIES))}:"
    yield ""
    yield "| | before | 64 rows | 256 rows | torch, 2,000 rows | regained, 64 | 256 | published, 64 | 256 |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for corruption in [*CORRUPTIONS, None]:
        lines = [line for line in found if corruption in (line["corruption"], None)]
        before, after64, after256, oracle = (
            statistics.fmean(line[key] for line in lines) for key in ("before", "after_64", "after_256", "torch_2000")
        )
        gain = oracle - before
        shares = [f"{(after - before) / gain:.0%}" if gain >= 1 else "-" for after in (after64, after256)]
        published = [f"{sum(line[f'passed_{count}'] for line in lines)} of {DRAWS * len(lines)}" for count in COUNTS]
        yield (
            f"| {corruption or 'all'} | {before:.1f} | {after64:.1f} | {after256:.1f} | {oracle:.1f} | "
            f"{' | '.join([*shares, *published])} |"
        )


def _clean(results: dict[str, Any]) -> Iterator[str]:
    yield "Clean traffic of all classes, 10 draws each:"
    yield ""
    yield "| | rows | before | after, mean | after, worst | published |\n|---|---|---|---|---|---|"
    for name, line in _lines(results, "clean"):
        yield (
            f"| {name} | {line['rows']} | {line['before']:.2f} | {line['after']:.2f} | {line['after_worst']:.2f} | "
            f"{line['passed']} of {line['draws']} |"
        )


def _few_classes(results: dict[str, Any]) -> Iterator[str]:
    yield "Clean traffic of a few classes, 256 rows:"
    yield ""
    yield (
        "| | classes | mixes | refused | by diversity | information | label_shift | before | worst of all "
        "| worst published |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for name, line in _lines(results, "few_classes"):
        yield (
            f"| {name} | {line['classes']} | {line['mixes']} | {line['refused']} | {line['by']['diversity']} | "
            f"{line['by']['information']} | {line['by']['label_shift']} | {line['before']:.1f} | "
            f"{line['after_worst']:.1f} | {_or_dash(line['passed_worst'])} |"
        )


def _priors(results: dict[str, Any]) -> Iterator[str]:
    yield f"The prior, on {', '.join(REACH)} at severity 3, gates aside:"
    yield ""
    yield "| | prior | rows | shifted | clean | one class, worst |\n|---|---|---|---|---|---|"
    for name, line in _lines(results, "priors"):
        yield (
            f"| {name} | {line['prior']:.0f} | {line['rows']} | {line['shifted']:.1f} | {line['clean']:.2f} | "
            f"{_or_dash(line['one_class_worst'])} |"
        )


def _digits(results: dict[str, Any]) -> Iterator[str]:
    yield "scikit-learn's digits, 1,541 of them measured on, by how much of the frame they fill:"
    yield ""
    yield "| | framing | before | 64 rows | 256 rows | torch, all rows | gates failed, 64 | 256 |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, line in _lines(results, "digits"):
        yield (
            f"| {name} | {line['framing']} | {line['before']:.1f} | {line['after_64']:.1f} | {line['after_256']:.1f} | "
            f"{line['torch_all']:.1f} | {', '.join(line['failed_64']) or 'none'} | "
            f"{', '.join(line['failed_256']) or 'none'} |"
        )


def _seconds(found: dict[str, Any]) -> Iterator[str]:
    yield (
        f"64 rows on convnet, estimated, folded, checked and published by a new process on one core, best of 7: "
        f"{found['cpu']:.2f} s of CPU time; {found['wall']:.2f} s in all on {found['cores']} cores with a load "
        f"of {found['load']:.0f}, of which {found['imports']:.2f} s are imports and {found['job']:.2f} s the job."
    )


def _lines(results: dict[str, Any], part: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, line) for name in MODELS for line in results[name][part])


def _or_dash(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{accuracy:.1f}"
