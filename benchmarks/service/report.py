"""Measurements -> Markdown: medians over the rounds, and in brackets beside each figure of Denge its ratio to `bare`.

python -m benchmarks.service.report FILE                             print the tables
python -m benchmarks.service.report FILE --write docs/benchmarks.md  and put them between the page's two markers
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.pages import write_between
from benchmarks.service.cases import CASES
from benchmarks.service.measure import Record
from benchmarks.service.servers import BARE, BEFORE, DENGE, IN_PROCESS, SERVERS, WITHOUT

FIGURES = {
    "requests_per_s": ("req/s", "{:,.0f}"),
    "p50_ms": ("p50 ms", "{:.2f}"),
    "p99_ms": ("p99 ms", "{:.2f}"),
    "cpu_s_per_1000": ("CPU s / 1,000", "{:.3f}"),
}
ABOUT = {name: server.about for name, server in (SERVERS | WITHOUT).items()} | {
    IN_PROCESS: "onnxruntime in a loop, no HTTP",
    BEFORE: "Denge as it was before",
}
ORDER = [IN_PROCESS, *reversed(SERVERS), *WITHOUT, BEFORE]

REFERENCE = {DENGE: BARE} | dict.fromkeys([*WITHOUT, BEFORE], DENGE)
"""What the figures of a server are divided by."""

ByRound = dict[int, Record]


def failures(record: Record) -> int:
    """Requests without a good answer, and wrong answers."""
    return int(sum(record.get("errors", {}).values()) + record.get("wrong", 0))


def tables(records: Sequence[Record]) -> Iterator[str]:
    run, *measured = records
    loads = [record for record in measured if record["record"] == "load"]
    for case in CASES:
        if of_case := [record for record in loads if record["case"] == case]:
            yield from _case_table(case, of_case)
    yield from _process_table(measured)
    yield from _made_by(run, rounds=1 + max(record["round"] for record in measured))


def _case_table(case: str, loads: Sequence[Record]) -> Iterator[str]:
    yield f"**{CASES[case].title}** (`{case}`)\n"
    yield "| connections | server | " + " | ".join(title for title, _ in FIGURES.values()) + " | errors | wrong |"
    yield "|---:|---|" + "---:|" * (len(FIGURES) + 2)
    for connections in dict.fromkeys(record["concurrency"] for record in loads):
        here = [record for record in loads if record["concurrency"] == connections]
        for server, rounds in _by_server(here):
            cells = [
                _cell(rounds, _rounds(here, REFERENCE.get(server, "")), name, form)
                for name, (_, form) in FIGURES.items()
            ]
            wrong = [sum(record.get("wrong", 0) for record in rounds.values())]
            errors = [sum(map(failures, rounds.values())) - wrong[0]]
            yield _row(connections or "-", server, *cells, *errors, *wrong)
    yield ""


def _process_table(measured: Sequence[Record]) -> Iterator[str]:
    """Cold start and memory, of `in-process` with the case that takes most."""
    known = [record for record in measured if "rss_mib" in record]
    yield "| server | what it is | cold start s | RSS after load MiB |"
    yield "|---|---|---:|---:|"
    for server, rounds in _by_server(known):
        about = ABOUT.get(server, server)
        cells = [
            _cell(rounds, _rounds(known, REFERENCE.get(server, "")), name, form)
            for name, form in (("cold_start_s", "{:.2f}"), ("rss_mib", "{:.0f}"))
        ]
        yield _row(server, about, *cells)
    yield ""


def _made_by(run: Record, rounds: int) -> Iterator[str]:
    revision = run["revision"] + (" with changes" if run["changed"] else "")
    yield f"Made by `{run['command']}` on {run['date']} at {revision}."
    yield f"Medians of the rounds ({rounds}); in brackets the ratio of `{DENGE}` to `{BARE}`,"
    yield f"of others to `{DENGE}`, taken within each round first."
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    yield f"{run['cpu']}, {run['cores']} cores; {versions}."


def _by_server(records: Sequence[Record]) -> Iterator[tuple[str, ByRound]]:
    for server in ORDER:
        if rounds := _rounds(records, server):
            yield server, rounds


def _rounds(records: Sequence[Record], server: str) -> ByRound:
    """The records of a server by round; where a round has several, the one with the most memory."""
    chosen = [record for record in records if record["server"] == server]
    return {record["round"]: record for record in sorted(chosen, key=lambda record: record.get("rss_mib", 0))}


def _cell(rounds: ByRound, reference: ByRound, name: str, form: str) -> str:
    def value(record: Record) -> float:
        return record[name] or math.nan  # nothing was answered

    text = form.format(median(map(value, rounds.values())))
    if rounds.keys() <= reference.keys():
        # Within each round first: what slows a round down slows both.
        ratio = median(value(record) / value(reference[number]) for number, record in rounds.items())
        text += f" ({ratio:.2f})"
    return text


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="what benchmarks.service wrote")
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    arguments = parser.parse_args()
    text = "\n".join(tables([json.loads(line) for line in arguments.file.read_text(encoding="utf-8").splitlines()]))
    print(text)
    if arguments.write:
        write_between(arguments.write, "service", text)


if __name__ == "__main__":
    main()
