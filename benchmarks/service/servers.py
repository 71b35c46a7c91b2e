"""What is measured: how each server is started, and what may be expected of its answers.

A new one needs an entry here. It is good to go when it answers the first question, which `checker` decides.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PYTHON = sys.executable


@dataclass(frozen=True)
class Server:
    """A server that takes V2 requests under /v2/models/{model}/infer.

    Attributes:
        command: {port} is where to listen, {models} the folder of benchmarks.service.workspace.
        computes: whether the answers are the model's; of others only the status is looked at.
        about: one line for the report.
    """

    command: tuple[str, ...]
    about: str
    computes: bool = True

    def start_command(self, port: int, models: Path) -> list[str]:
        return [part.format(port=port, models=models) for part in self.command]


def _uvicorn(app: str) -> tuple[str, ...]:
    options = "--factory --host 127.0.0.1 --port {port} --loop uvloop --http httptools --no-access-log"
    return (PYTHON, "-m", "uvicorn", f"benchmarks.service.limits.{app}", *options.split(), "--log-level", "warning")


def _denge(*program: str) -> tuple[str, ...]:
    options = "--host 127.0.0.1 --port {port} --repository {models}/repository --no-starters --threads 1"
    return (PYTHON, "-m", *program, *options.split())


def _without(piece: str) -> tuple[str, ...]:
    return _denge("benchmarks.service.without", piece)


DENGE, BARE, IN_PROCESS = "denge", "bare", "in-process"

SERVERS = {
    DENGE: Server(_denge("service"), "`python -m service`, one process, `--threads 1`"),
    BARE: Server(_uvicorn("bare:with_orjson"), "uvicorn, orjson, numpy, onnxruntime; one route, no checks"),
    "bare-simdjson": Server(_uvicorn("bare:with_simdjson"), "the same, numbers read by pysimdjson into a buffer"),
    "echo": Server(_uvicorn("echo:create"), "uvicorn reads the body and sends a fixed answer", computes=False),
}
"""By name. `in-process`, onnxruntime in a loop, is no server: see benchmarks.service.in_process."""

WITHOUT = {
    "without-plain": Server(_without("plain"), "Denge with every prediction by ASGI and FastAPI"),
    "without-templates": Server(_without("templates"), "Denge with every request checked as if it were the first"),
    "without-watching": Server((*_denge("service"), "--watch-percent", "0"), "Denge that observes nothing"),
    "without-reader": Server(_without("reader"), "Denge with all numbers in JSON read by simdjson"),
    "without-simdjson": Server(_without("simdjson"), "Denge with numbers in JSON read as Python objects"),
}
"""Denge without one piece of its fast path, or without observation: measured when they are asked for."""

BEFORE = "before"


def before(checkout: Path) -> Server:
    """Denge as another checkout of it has it, with models that it has made itself: the form of bundles may differ."""
    # For the processes that it starts as well: a safe path has no current folder, which is this checkout.
    python = ("env", "PYTHONSAFEPATH=1", f"PYTHONPATH={checkout}", PYTHON)
    make = "from benchmarks.service.workspace import models_folder; print(models_folder())"
    made = subprocess.run([*python, "-c", make], cwd=checkout, check=True, capture_output=True, text=True)
    _, *options = _denge("service")
    own = [option.replace("{models}", made.stdout.split()[-1]) for option in options]
    return Server((*python, *own), "Denge as it was before")
