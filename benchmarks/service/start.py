"""What a start is made of: processor time to the first answer, step by step, beside what any server of its kind takes.

    python -m benchmarks.service.start --rounds 9
    python -m benchmarks.service.start --rounds 9 --write docs/benchmarks.md

Each step is done in a process of its own, after all steps before it; its figure is the difference of the least times of
the rounds. The first steps are what `bare` does as well. Then come those that a service with checked settings and
verified files cannot do without, however it is written. What is left is Denge's. The last row has what is put off until
the port is open as well: the median, since a process that has to wait for the processor seems to have nothing to do.
"""

import argparse
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import accumulate, pairwise
from math import inf
from pathlib import Path
from statistics import median

from benchmarks.pages import write_between
from benchmarks.service.measure import Measurement, Plan
from benchmarks.service.servers import BARE, DENGE, PYTHON
from benchmarks.service.workspace import ROOT, models_folder

COMMAND = "python -m benchmarks.service.start"

BARE_STEPS = {
    "Python": "import time",
    "uvicorn, uvloop, httptools": "import uvicorn, uvicorn.main, uvicorn.protocols.http.httptools_impl, uvloop",
    "numpy, onnxruntime": "import numpy, onnxruntime",
    "open three sessions": "from pathlib import Path; from benchmarks.service.session import open_session; "
    "sessions = [open_session(file) for file in Path({models!r}).glob('*.onnx')]",
}
NEEDED_STEPS = {
    "pydantic, with one class": "import pydantic; pydantic.create_model('Settings', port=(int, 1))()",
    "read the files that are served, and compare digests": "import hashlib; "
    "digests = [hashlib.sha256(file.read_bytes()) for file in Path({models!r}).glob('repository/*/*/*') "
    "if not file.name.startswith('source')]",
}
OWN_STEPS = {
    "import Denge's modules, and what they need besides": "import gc, service.__main__; gc.disable(); "
    "import service.app, service.http.server"
}
STEPS = BARE_STEPS | NEEDED_STEPS | OWN_STEPS


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=9, help="of which the least times count")
    parser.add_argument("--core", type=int, default=0, help="on which everything runs")
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    options = parser.parse_args()
    models = models_folder()
    table = "\n".join(_table(models, options.rounds, options.core))
    print(table)
    if options.write:
        write_between(options.write, "start", f"{table}\n\nMade by `{COMMAND} --rounds {options.rounds}`.")


def _table(models: Path, rounds: int, core: int) -> Iterator[str]:
    measurement = Measurement(Plan([DENGE, BARE], ["json1"], [], 0, 0, core, core), models)
    codes = list(accumulate(STEPS.values(), "{}; {}".format))
    steps, whole, until_idle = [inf] * len(codes), {DENGE: inf, BARE: inf}, list[float]()
    for _ in range(rounds):
        steps = [min(before, _seconds(code, models, core)) for before, code in zip(steps, codes, strict=True)]
        for name, before in whole.items():
            with ExitStack() as stack:
                started = measurement.start(name, stack)
                whole[name] = min(before, started.cold_start_cpu_s)
                if name == DENGE:
                    until_idle.append(started.running.cpu_seconds())
    yield "| step | ms | together, ms | relative to `bare` |"
    yield "|---|---:|---:|---:|"
    for title, (before, after) in zip((*STEPS, "the rest"), pairwise([0.0, *steps, whole[DENGE]]), strict=True):
        yield f"| {title} | {1e3 * (after - before):.0f} | {1e3 * after:.0f} | {after / whole[BARE]:.2f} |"
    yield f"| `bare`, all of it | | {1e3 * whole[BARE]:.0f} | 1 |"
    later, everything = median(until_idle) - whole[DENGE], median(until_idle)
    yield f"| what Denge puts off | {1e3 * later:.0f} | {1e3 * everything:.0f} | {everything / whole[BARE]:.2f} |"


def _seconds(code: str, models: Path, core: int) -> float:
    """Processor time of a process that does some steps."""
    code = f"{code.format(models=str(models))}; print(time.process_time())"
    command = ["taskset", "--cpu-list", str(core), PYTHON, "-c", code]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
