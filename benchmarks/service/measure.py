"""Rounds of measurements, one dictionary each.

All servers of a round run at once, but only one is loaded at a time: each case and concurrency goes through all of them
before the next, so that what is compared lies seconds apart. Their order moves on by one every round, and so does that
of their starts: the first one, right after those of the last round have ended, is slower.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.service.cases import CASES, Question, questions
from benchmarks.service.checker import Findings, Sampler, check, problem
from benchmarks.service.load import load
from benchmarks.service.process import Running, free_port
from benchmarks.service.servers import IN_PROCESS, PYTHON, SERVERS, Server
from benchmarks.service.workspace import ROOT

Record = dict[str, Any]

WARM_UP_SECONDS = 1
WARM_UP_CONCURRENCIES = 8, 1
"""With one connection a server has the time for what it does once for each model."""


@dataclass(frozen=True)
class Plan:
    """What is measured, in which order. Cores are as taskset reads them."""

    servers: Sequence[str]
    cases: Sequence[str]
    concurrencies: Sequence[int]
    seconds: int
    rounds: int
    server_core: int | str
    load_core: int | str


@dataclass(frozen=True)
class Started:
    """A server that has answered.

    Attributes:
        cold_start_s: from its start to its first answer.
        cold_start_cpu_s: processor time that it has taken by then.
    """

    name: str
    server: Server
    port: int
    running: Running
    cold_start_s: float
    cold_start_cpu_s: float


class Measurement:
    """Carries out a plan.

    Args:
        plan: what to do.
        models: the folder of benchmarks.service.workspace.
        known: the servers by name.
    """

    def __init__(self, plan: Plan, models: Path, known: Mapping[str, Server] = SERVERS) -> None:
        self._plan = plan
        self._known = known
        self._models = models
        self._questions = {case: questions(CASES[case], models) for case in plan.cases}

    def records(self) -> Iterator[Record]:
        for name in self._served():
            with ExitStack() as stack:
                self.start(name, stack)  # once for nothing: from now on its files are in the page cache
        for number in range(self._plan.rounds):
            for record in self._round(number):
                yield {"round": number, **record}

    def _round(self, number: int) -> Iterator[Record]:
        plan = self._plan
        with ExitStack() as stack:
            names = self._served()
            turn = number % max(len(names), 1)
            started = [self.start(name, stack) for name in names[turn:] + names[:turn]]
            for case in plan.cases:
                if IN_PROCESS in plan.servers:
                    yield self._in_process(case)
                for one in started:
                    for concurrency in WARM_UP_CONCURRENCIES:
                        self._load(one, case, concurrency, WARM_UP_SECONDS * CASES[case].longer)
                    one.running.wait_until_alone()
                for concurrency in plan.concurrencies:
                    for one in started:
                        yield self._load(one, case, concurrency, plan.seconds * CASES[case].longer)
            for one in started:
                yield {
                    "record": "process",
                    "server": one.name,
                    "cold_start_s": one.cold_start_s,
                    "rss_mib": one.running.rss_mib(),
                }

    def _served(self) -> list[str]:
        return [name for name in self._plan.servers if name != IN_PROCESS]

    def start(self, name: str, stack: ExitStack) -> Started:
        server, port = self._known[name], free_port()
        # A setting of whoever runs this must not reach the server under test.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DENGE_")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a server's second start finds its modules compiled
        environment["MODELS_FOLDER"] = str(self._models)
        command = server.start_command(port, self._models)
        running = stack.enter_context(Running(command, self._plan.server_core, environment, ROOT))

        def answers(question: Question) -> bool:
            return problem(port, question, computes=server.computes) is None

        first, *others = [asked[0] for asked in self._questions.values()]
        cold_start_s = running.wait_until(lambda: answers(first))
        cold_start_cpu_s = running.cpu_seconds()
        running.wait_until(lambda: all(map(answers, others)))  # one model may be loaded before another
        running.wait_until_idle()  # what it does after its first answer must not delay the start of the next server
        return Started(name, server, port, running, cold_start_s, cold_start_cpu_s)

    def _load(self, one: Started, case: str, concurrency: int, seconds: int) -> Record:
        asked, computes = self._questions[case], one.server.computes
        findings = Findings()
        for question in asked:
            check(findings, one.port, question, computes=computes)
        one.running.wait_until_idle()
        cpu = one.running.cpu_seconds()
        with Sampler(one.port, asked, computes=computes) as sampler:
            seen = load(one.port, asked, concurrency=concurrency, seconds=seconds, core=self._plan.load_core)
            # At once: what is still in flight was not counted as a request either.
            cpu = one.running.cpu_seconds() - cpu
            answered = seen.requests + sampler.findings.asked
        one.running.wait_until_idle()
        for question in asked:
            check(findings, one.port, question, computes=computes)
        wrong = findings.wrong + sampler.findings.wrong
        return {
            "record": "load",
            "server": one.name,
            "case": case,
            "concurrency": concurrency,
            "requests": seen.requests,
            "requests_per_s": seen.requests / seen.seconds,
            "p50_ms": seen.p50_ms,
            "p99_ms": seen.p99_ms,
            "cpu_s_per_1000": 1000 * cpu / answered if answered else None,
            "errors": seen.errors,
            "checked": findings.asked + sampler.findings.asked,
            "wrong": len(wrong),
            "first_wrong": wrong[0] if wrong else None,
        }

    def _in_process(self, case: str) -> Record:
        command = ["taskset", "--cpu-list", str(self._plan.server_core), PYTHON, "-m", "benchmarks.service.in_process"]
        command += [case, str(self._models), str(self._plan.seconds)]
        began = time.monotonic()
        ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        seen = json.loads(ran.stdout)
        return {
            "record": "load",
            "server": IN_PROCESS,
            "case": case,
            "concurrency": None,
            "requests": seen["requests"],
            "requests_per_s": seen["requests"] / seen["seconds"],
            "p50_ms": seen["p50_ms"],
            "p99_ms": seen["p99_ms"],
            "cpu_s_per_1000": 1000 * seen["cpu_seconds"] / seen["requests"],
            "cold_start_s": seen["first_answer"] - began,
            "rss_mib": seen["rss_mib"],
        }
