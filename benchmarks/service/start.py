"""What a start is made of: processor time to the first answer, step by step, and by that of `bare`.

    python -m benchmarks.service.start --rounds 9
    python -m benchmarks.service.start --rounds 9 --write docs/benchmarks.md

Each step is done in a process of its own, after all steps before it; its figure is the difference of the least times of
the rounds. `bare` does the first three as well. In the ratio each start of Denge is compared with one of `bare` in the
same round. The last row has what is put off until the port is open: the median, since a process that has to wait for
the processor seems to have nothing to do.
"""

import argparse
import subprocess
from collections.abc import Iterator, Sequence
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

STEPS = {
    "Python": "import time",
    "uvicorn, uvloop, httptools": "import uvicorn, uvicorn.main, uvicorn.protocols.http.httptools_impl, uvloop",
    "numpy, onnxruntime": "import numpy, onnxruntime",
    "pydantic, with one class": "import pydantic; pydantic.create_model('Settings', port=(int, 1))()",
    "Denge's modules, and what they need besides": "import gc, service.__main__; gc.disable(); "
    "import service.app, service.http.server",
}
REST = "settings; read the files, compare digests, open three sessions, answer"


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
    steps, starts, until_idle = [inf] * len(codes), {DENGE: list[float](), BARE: list[float]()}, list[float]()
    for _ in range(rounds):
        steps = [min(before, _seconds(code, core)) for before, code in zip(steps, codes, strict=True)]
        for name, times in starts.items():
            with ExitStack() as stack:
                started = measurement.start(name, stack)
                times.append(started.cold_start_cpu_s)
                if name == DENGE:
                    until_idle.append(started.running.cpu_seconds())
    least = min(starts[BARE])
    yield "| step | ms | together, ms | relative to `bare` |"
    yield "|---|---:|---:|---:|"
    for title, (before, after) in zip((*STEPS, REST), pairwise([0.0, *steps, min(starts[DENGE])]), strict=True):
        yield f"| {title} | {1e3 * (after - before):.0f} | {1e3 * after:.0f} | {after / least:.2f} |"
    yield f"| `bare`, all of it | | {1e3 * least:.0f} | 1 |"
    yield f"| in the same round: median, and range | | | {_ratios(starts[DENGE], starts[BARE])} |"
    everything = median(until_idle)
    yield f"| with what is put off | | {1e3 * everything:.0f} | {everything / median(starts[BARE]):.1f} |"


def _ratios(times: Sequence[float], bare: Sequence[float]) -> str:
    ratios = [time / other for time, other in zip(times, bare, strict=True)]
    return f"**{median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"


def _seconds(code: str, core: int) -> float:
    """Processor time of a process that does some steps."""
    code = f"{code}; print(time.process_time())"
    command = ["taskset", "--cpu-list", str(core), PYTHON, "-c", code]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
