"""What watching the layers costs: processor time of a request with and without, in alternating blocks of one process.

    python -m benchmarks.watching --pairs 5                                 a first look
    python -m benchmarks.watching --out benchmarks/results/watching.jsonl --write docs/watching.md

Without HTTP, which makes the ratios larger than users see. Neighbouring blocks are compared, and time of the processor
is counted, so that other work on the machine does little harm.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from starlette.types import Message

from benchmarks.pages import write_between
from benchmarks.service.__main__ import about
from benchmarks.service.cases import CASES, Question, questions
from benchmarks.service.workspace import ROOT, models_folder
from service.app import create_app
from service.settings import Settings
from service.telemetry import logs

DEFAULT, FULL = Settings.model_fields["watch_percent"].default, 100.0
WARM_UP_REQUESTS = 50


@asynccontextmanager
async def application(models: Path, percent: float) -> Any:
    with tempfile.TemporaryDirectory() as state:
        settings = Settings(
            repository=str(models / "repository"),
            state_dir=Path(state),
            watch_percent=percent,
            starters=False,
            log_level="error",
        )
        app = create_app(settings)
        began, ends = asyncio.Event(), asyncio.Event()

        async def receive() -> Message:
            if not began.is_set():
                return {"type": "lifespan.startup"}
            await ends.wait()
            return {"type": "lifespan.shutdown"}

        async def send(_message: Message) -> None:
            began.set()

        running = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send))
        await began.wait()
        yield app
        ends.set()
        await running


async def ask(app: Any, question: Question) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in question.headers.items()]
    scope = {"type": "http", "method": "POST", "path": question.path, "query_string": b"", "headers": headers}
    messages = iter([{"type": "http.request", "body": question.body, "more_body": False}])
    status = []

    async def receive() -> Any:
        return next(messages, None) or await asyncio.Event().wait()

    async def send(message: Any) -> None:
        status.append(message.get("status"))

    await app(scope, receive, send)
    if status[0] != 200:
        raise RuntimeError(f"answered {status[0]}")


async def block(app: Any, asked: Sequence[Question], seconds: float) -> float:
    """Processor time of a request, in ms."""
    count, spent, ends = 0, time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < ends:
        await ask(app, asked[count % len(asked)])
        await asyncio.sleep(0)
        count += 1
    return 1e3 * (time.process_time() - spent) / count


async def compare(models: Path, case: str, percent: float, pairs: int) -> Iterator[dict[str, Any]]:
    asked, seconds = questions(CASES[case], models), CASES[case].longer
    async with AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(application(models, share)) for share in (0.0, percent)]
        for app in apps:
            for number in range(WARM_UP_REQUESTS):
                await ask(app, asked[number % len(asked)])
        found = []
        for pair in range(pairs):
            order = (0, 1) if pair % 2 else (1, 0)
            cpu = {which: await block(apps[which], asked, seconds) for which in order}
            found.append({"case": case, "percent": percent, "off_ms": cpu[0], "on_ms": cpu[1]})
        return iter(found)


def tables(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    run, *measured = records
    yield "| request | `watch_percent` | ms of processor, off | on | ratio, median | quartiles |"
    yield "|---|---:|---:|---:|---:|---:|"
    for case, percent in dict.fromkeys((record["case"], record["percent"]) for record in measured):
        here = [record for record in measured if (record["case"], record["percent"]) == (case, percent)]
        off, on = (median(record[name] for record in here) for name in ("off_ms", "on_ms"))
        ratios = [record["on_ms"] / record["off_ms"] for record in here]
        low, middle, high = quantiles(ratios, n=4) if len(ratios) > 1 else 3 * ratios
        cells = f"{off:.3f} | {on:.3f} | {middle:.3f} | {low:.3f} to {high:.3f}"
        yield f"| {CASES[case].title} | {percent:g} | {cells} |"
    yield ""
    yield f"Made by `{run['command']}` on {run['date']} at {run['revision']}, without HTTP. {run['cpu']}, one core."


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.watching", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="+", choices=CASES, default=["json1", "digit1", "image1"])
    parser.add_argument("--pairs", type=int, default=25, help="of blocks of a second, or of three for slow models")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/latest.jsonl", help="file of JSON lines")
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    logs.configure("error", "json")
    models = models_folder()
    records = [about(f"python -m benchmarks.watching --case {' '.join(options.case)} --pairs {options.pairs}")]
    for case in options.case:
        for percent in (DEFAULT, FULL):
            records += asyncio.run(compare(models, case, percent, options.pairs))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    text = "\n".join(tables(records))
    print(text)
    if options.write:
        write_between(options.write, "watching", text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
