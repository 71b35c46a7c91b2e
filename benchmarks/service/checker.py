"""Are the answers right? RecalibrationRequest before, during and after the load, beside it."""

import http.client
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Self

from benchmarks.service import wire
from benchmarks.service.cases import Question

SECONDS_BETWEEN = 0.5
TIMEOUT_SECONDS = 30


@dataclass
class Findings:
    """How many questions were asked, and how each wrong answer was wrong."""

    asked: int = 0
    wrong: list[str] = field(default_factory=list)


def problem(port: int, question: Question, *, computes: bool) -> str | None:
    """Ask one question on a new connection. What is wrong with the answer; None when nothing is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", question.path, question.body, question.headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != http.client.OK:
            return f"status {response.status}: {answer[:200]!r}"
        if computes and not question.is_answered_by(wire.read(answer, response.headers.get(wire.JSON_LENGTH))):
            return f"wrong answer: {answer[:200]!r}"
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        return repr(error)
    else:
        return None
    finally:
        connection.close()


class Sampler:
    """Asks a question now and then, in a thread, until the `with` block is left."""

    def __init__(self, port: int, questions: Sequence[Question], *, computes: bool) -> None:
        self.findings = Findings()
        self._port = port
        self._questions = questions
        self._computes = computes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        for question in cycle(self._questions):
            if self._stop.wait(SECONDS_BETWEEN):
                return
            check(self.findings, self._port, question, computes=self._computes)


def check(findings: Findings, port: int, question: Question, *, computes: bool) -> None:
    found = problem(port, question, computes=computes)
    findings.asked += 1
    if found:
        findings.wrong.append(found)
