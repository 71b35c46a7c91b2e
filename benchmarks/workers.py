"""One process with threads against several worker processes, on the same cores, measured in the same run.

    python -m benchmarks.workers --seconds 2 --rounds 3                    a first look
    python -m benchmarks.workers --out benchmarks/results/workers.jsonl --write docs/workers.md

Server and load share all cores, as on a small machine: with `--workers 2 4 8` on a larger one, give it cores to spare.
Exits with 1 where an answer was wrong or a request failed. Needs wrk and two cores.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.pages import write_between
from benchmarks.service.__main__ import about, shown
from benchmarks.service.cases import CASES
from benchmarks.service.measure import Measurement, Plan, Record
from benchmarks.service.report import FIGURES, failures
from benchmarks.service.servers import PYTHON, Server
from benchmarks.service.workspace import ROOT, models_folder

ONE = "1 process"


def server(workers: int, cores: int) -> Server:
    options = "--host 127.0.0.1 --port {port} --repository {models}/repository --no-starters --threads 1"
    command = (PYTHON, "-m", "service", *options.split(), f"--workers={workers}", f"--concurrency={cores}")
    return Server(command, f"`--workers {workers}`")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.workers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", nargs="+", type=int, default=[2], metavar="N", help="against one process")
    parser.add_argument("--case", nargs="+", choices=CASES, default=["json1", "binary32", "image1"])
    parser.add_argument("--concurrency", nargs="+", type=int, default=[1, 8, 32], metavar="N", help="connections")
    parser.add_argument("--seconds", type=int, default=3, help="of load for each server, case and concurrency")
    parser.add_argument("--rounds", type=int, default=5, help="times that everything is done; medians are shown")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/latest.jsonl", help="file of JSON lines")
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    return parser.parse_args(arguments)


def command(options: argparse.Namespace) -> str:
    lists = " ".join(f"--{name} {' '.join(map(str, getattr(options, name)))}" for name in ("workers", "concurrency"))
    return f"python -m benchmarks.workers {lists} --seconds {options.seconds} --rounds {options.rounds}"


def tables(records: Sequence[Record]) -> Iterator[str]:
    run, *measured = records
    servers = list(dict.fromkeys([ONE, *sorted(record["server"] for record in measured)]))
    yield "| request | connections | server | " + " | ".join(title for title, _ in FIGURES.values()) + " |"
    yield "|---|---:|---|" + "---:|" * len(FIGURES)
    loads = [record for record in measured if record["record"] == "load"]
    for case, connections in dict.fromkeys((record["case"], record["concurrency"]) for record in loads):
        here = [record for record in loads if (record["case"], record["concurrency"]) == (case, connections)]
        for name in servers:
            cells = [_cell(here, name, figure, form) for figure, (_, form) in FIGURES.items()]
            yield f"| {CASES[case].title} | {connections} | {name} | {' | '.join(cells)} |"
    yield ""
    yield "| server | cold start s | RSS after load MiB |"
    yield "|---|---:|---:|"
    ends = [record for record in measured if record["record"] == "process"]
    for name in servers:
        yield f"| {name} | {_cell(ends, name, 'cold_start_s', '{:.2f}')} | {_cell(ends, name, 'rss_mib', '{:.0f}')} |"
    yield ""
    yield f"Made by `{run['command']}` on {run['date']} at {run['revision']}. Medians of the rounds; in brackets the"
    yield f"ratio to one process, taken within each round first. {run['cpu']}, {run['cores']} cores."


def _cell(records: Sequence[Record], name: str, figure: str, form: str) -> str:
    value = {(record["server"], record["round"]): record[figure] for record in records}
    rounds = sorted({number for server, number in value if server == name})
    text = form.format(median(value[name, number] for number in rounds))
    if name != ONE:
        text += f" ({median(value[name, number] / value[ONE, number] for number in rounds):.2f})"
    return text


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    cores = sorted(os.sched_getaffinity(0))
    shared = ",".join(map(str, cores))
    servers = {ONE: server(1, len(cores))} | {f"{n} workers": server(n, len(cores)) for n in options.workers}
    plan = Plan(list(servers), options.case, options.concurrency, options.seconds, options.rounds, shared, shared)
    records = [about(command(options))]
    for record in Measurement(plan, models_folder(), servers).records():
        print(shown(record), file=sys.stderr, flush=True)
        records.append(record)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    text = "\n".join(tables(records))
    print(text)
    if options.write:
        write_between(options.write, "workers", text)
    return 1 if any(map(failures, records)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
