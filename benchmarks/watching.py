"""What watching the layers costs: off, at the default setting, and at full rate, measured in the same run.

    python -m benchmarks.watching --seconds 2 --rounds 3                    a first look
    python -m benchmarks.watching --out benchmarks/results/watching.jsonl --write docs/watching.md

The server has one core and the load the other. Exits with 1 where an answer was wrong or a request failed. Needs wrk
and two cores.
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
from benchmarks.service.report import failures
from benchmarks.service.servers import PYTHON, Server
from benchmarks.service.workspace import ROOT, models_folder

OFF = "off"
PERCENT = {OFF: "0", "default": "0.5", "full rate": "100"}

FIGURES = {"cpu_s_per_1000": "{:.3f}", "p50_ms": "{:.2f}", "p99_ms": "{:.2f}"}


def server(percent: str) -> Server:
    # A folder of its own for what is observed: three servers have one repository.
    options = "--host 127.0.0.1 --port {port} --repository {models}/repository --no-starters --threads 1"
    state = f"--state-dir {{models}}/state-{percent} --watch-percent {percent}"
    return Server((PYTHON, "-m", "service", *options.split(), *state.split()), f"`--watch-percent {percent}`")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.watching", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="+", choices=CASES, default=["json1", "digit1", "image1"])
    parser.add_argument("--concurrency", type=int, default=8, metavar="N", help="connections")
    parser.add_argument("--seconds", type=int, default=4, help="of load for each server and case")
    parser.add_argument("--rounds", type=int, default=7, help="times that everything is done; medians are shown")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/latest.jsonl", help="file of JSON lines")
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    return parser.parse_args(arguments)


def tables(records: Sequence[Record]) -> Iterator[str]:
    run, *measured = records
    loads = [record for record in measured if record["record"] == "load"]
    yield "| request | watching | CPU s / 1,000 | against off | p50 ms | p99 ms |"
    yield "|---|---|---:|---:|---:|---:|"
    for case in dict.fromkeys(record["case"] for record in loads):
        here = {(record["server"], record["round"]): record for record in loads if record["case"] == case}
        rounds = sorted({number for _, number in here})
        for name in PERCENT:
            cells = [
                form.format(median(here[name, number][figure] for number in rounds)) for figure, form in FIGURES.items()
            ]
            cpu = [here[name, number]["cpu_s_per_1000"] / here[OFF, number]["cpu_s_per_1000"] for number in rounds]
            yield f"| {CASES[case].title} | {name} | {cells[0]} | {median(cpu):.3f} | {' | '.join(cells[1:])} |"
    yield ""
    yield f"Made by `{run['command']}` on {run['date']} at {run['revision']}. Medians of the rounds; ratios are taken"
    yield f"within each round first. {run['cpu']}, {run['cores']} cores, one of them for the service."


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    service, load, *_ = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {load})
    servers = {name: server(percent) for name, percent in PERCENT.items()}
    plan = Plan(list(servers), options.case, [options.concurrency], options.seconds, options.rounds, service, load)
    given = f"--case {' '.join(options.case)} --concurrency {options.concurrency}"
    command = f"python -m benchmarks.watching {given} --seconds {options.seconds} --rounds {options.rounds}"
    records = [about(command)]
    for record in Measurement(plan, models_folder(), servers).records():
        print(shown(record), file=sys.stderr, flush=True)
        records.append(record)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    text = "\n".join(tables(records))
    print(text)
    if options.write:
        write_between(options.write, "watching", text)
    return 1 if any(map(failures, records)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
