"""The tables of docs/folding.md, from the results."""

import platform
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from models.runtime.providers import runtime_version

COMMAND = "python -m benchmarks.folding"
MERGED = "merged into"
"""In the reason of a layer that is kept in the observed graph only."""


def tables(results: Iterable[dict[str, Any]]) -> str:
    """What became of every network, a line for each exporter; and of the exports with defaults."""
    rows = sorted(results, key=lambda result: (result["exporter"], result["network"]))
    return "\n".join(
        [*_preserved(rows), "", _total(rows), "", *_defaults(rows), "", f"Made by `{COMMAND}` with {_versions()}."]
    )


def _preserved(rows: list[dict[str, Any]]) -> Iterator[str]:
    columns = (
        "network, exporter, BN, found, folded, merged, kept, with proof, watched, "
        "source, folded graph, moments, AdaBN, time, memory, speed"
    )
    yield "| " + columns.replace(", ", " | ") + " |"
    yield "|" + "---|" * (columns.count(",") + 1)
    for row in rows:
        graph = row.get("graphs", {}).get(row["exporter"], {})
        start = f"| {row['network']} | {row['exporter']} | {row.get('layers', '')} | "
        problem = row.get("export_failed") or graph.get("refused") or graph.get("failed")
        if problem or not graph:
            yield f"{start}{problem or 'not exported'} |" + " |" * 12
            continue
        merged = sum(MERGED in reason for reason in graph["kept"].values())
        counts = (
            graph["found"],
            graph["folded"],
            merged,
            len(graph["kept"]) - merged,
            graph["proven"],
            graph["watched"],
        )
        errors = (graph[name] for name in ("source_error", "folded_error", "moments_error", "adapted_error"))
        peak = graph["peak_mb"]
        memory = "" if peak is None else f"{peak / graph['size_mb']:.1f}"
        speed = graph["source_ms"] / graph["folded_ms"]
        cells = [*map(str, counts), *(f"{error:.1e}" for error in errors)]
        yield start + " | ".join([*cells, f"{graph['seconds']:.1f} s", memory, f"{speed:.2f}"]) + " |"


def _total(rows: list[dict[str, Any]]) -> str:
    graphs = [graph for row in rows if "found" in (graph := row.get("graphs", {}).get(row["exporter"], {}))]
    networks = len({row["network"] for row in rows})
    found, folded = (sum(graph[name] for graph in graphs) for name in ("found", "folded"))
    merged = sum(MERGED in reason for graph in graphs for reason in graph["kept"].values())
    proven = sum(graph["proven"] for graph in graphs)
    refused = sum("refused" in row.get("graphs", {}).get(row["exporter"], {}) for row in rows)
    return (
        f"{networks} networks, {len(graphs)} exports imported, {refused} refused: {found} layers found, "
        f"{folded} folded, {merged} merged, {found - folded - merged} kept, {proven} of these with proof."
    )


def _defaults(rows: list[dict[str, Any]]) -> Iterator[str]:
    counted = Counter(
        (row["exporter"], _outcome(row, graph))
        for row in rows
        for how, graph in row.get("graphs", {}).items()
        if how != row["exporter"]
    )
    yield "| exporter with its defaults | outcome | networks |"
    yield "|---|---|---|"
    for (exporter, outcome), count in sorted(counted.items()):
        yield f"| {exporter} | {outcome} | {count} |"


def _outcome(row: dict[str, Any], graph: dict[str, Any]) -> str:
    if "failed" in graph:
        return "failed"
    if "refused" in graph:
        return f"refused: {graph['refused']}"
    if not graph["found"]:
        return "imported, its BN merged: served and watched, not re-calibrated"
    if graph["found"] < row["layers"]:
        return "imported with a part of its BN: served and watched, not re-calibrated"
    return "imported with all of its BN"


def _versions() -> str:
    return f"Python {platform.python_version()}, onnxruntime {runtime_version()}"
