"""What Denge costs over HTTP, beside the limits of its parts, measured in the same run. Needs wrk and two cores.

    python -m benchmarks.service --seconds 1 --rounds 1 --case json1 --concurrency 8    a first look
    python -m benchmarks.service --rounds 3 --out benchmarks/results/service.jsonl      what docs/benchmarks.md shows
    python -m benchmarks.service --server denge before --before ../other-checkout       a change, beside what was before

Exits with 1 where an answer was wrong or a request failed.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.service import report
from benchmarks.service.cases import CASES
from benchmarks.service.measure import Measurement, Plan, Record
from benchmarks.service.servers import BEFORE, IN_PROCESS, SERVERS, WITHOUT, before
from benchmarks.service.workspace import ROOT, models_folder

LATEST = ROOT / "benchmarks/results/latest.jsonl"
PACKAGES = ("fastapi", "httptools", "numpy", "onnxruntime", "orjson", "pysimdjson", "starlette", "uvicorn", "uvloop")


CHOICES: dict[str, list[str]] = {"server": [*SERVERS, IN_PROCESS], "case": list(CASES)}
CONNECTIONS = [1, 8, 32, 64]


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("server", "case"):
        default = CHOICES[name]
        known = [*default, *WITHOUT, BEFORE] if name == "server" else default
        parser.add_argument(
            f"--{name}", nargs="+", choices=known, default=default, metavar="NAME", help=", ".join(known)
        )
    parser.add_argument("--concurrency", nargs="+", type=int, default=CONNECTIONS, metavar="N", help="connections")
    parser.add_argument("--seconds", type=int, default=3, help="of load for each server, case and concurrency")
    parser.add_argument("--rounds", type=int, default=3, help="times that everything is done; medians are shown")
    parser.add_argument("--before", type=Path, help="another checkout of Denge, for the server 'before'")
    parser.add_argument("--out", type=Path, default=LATEST, help="file for the measurements, as JSON lines")
    return parser.parse_args(arguments)


def command(options: argparse.Namespace) -> str:
    """The command that measures the same again, without where the results went."""
    usual = {**CHOICES, "concurrency": CONNECTIONS}
    chosen = {name: getattr(options, name) for name in usual}
    parts = [f"--{name} {' '.join(map(str, values))}" for name, values in chosen.items() if values != usual[name]]
    return " ".join(["python -m benchmarks.service", *parts, f"--seconds {options.seconds} --rounds {options.rounds}"])


def about(command: str) -> Record:
    """What the figures depend on, and nothing that names the machine."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return {
        "record": "run",
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "revision": _git("rev-parse", "--short", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--", "service", "models")),
        "cpu": next((line.split(": ", 1)[1] for line in cpuinfo if line.startswith("model name")), platform.machine()),
        "cores": os.cpu_count(),
        "versions": {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True).stdout.strip()


def shown(record: Record) -> str:
    if record["record"] == "process":
        return f"{record['server']:>14}  start {record['cold_start_s']:.2f} s, {record['rss_mib']:.0f} MiB"
    parts = [
        f"{record['server']:>14}  {record['case']:>9}  c{record['concurrency'] or '-':<3}",
        f"{record['requests_per_s']:8.0f}/s  p50 {record['p50_ms']:7.2f} ms  p99 {record['p99_ms']:7.2f} ms",
        f"CPU {record['cpu_s_per_1000'] or 0:7.3f} s/1000",
    ]
    if failures := report.failures(record):
        parts.append(f"FAILURES {failures}: {record['errors']} {record['first_wrong'] or ''}")
    return "  ".join(parts)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    missing = [tool for tool in ("wrk", "taskset", "setpriv") if not shutil.which(tool)]
    cores = sorted(os.sched_getaffinity(0))
    if missing or len(cores) < 2:
        print(f"this needs {' and '.join(missing) or 'two cores'}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that servers are stopped
    models = models_folder()
    os.sched_setaffinity(0, {cores[1]})
    plan = Plan(options.server, options.case, options.concurrency, options.seconds, options.rounds, cores[0], cores[1])
    records = [about(command(options))]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", encoding="utf-8") as file:
        file.write(json.dumps(records[0]) + "\n")
        known = SERVERS | WITHOUT | ({BEFORE: before(options.before.resolve())} if options.before else {})
        for record in Measurement(plan, models, known).records():
            print(shown(record), file=sys.stderr, flush=True)
            file.write(json.dumps(record) + "\n")
            file.flush()
            records.append(record)
    print("\n".join(report.tables(records)))
    return 1 if any(map(report.failures, records)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
