"""python -m tests.faults.probe PORT PROCESS: a well-behaved client, in a process of its own.

It asks for the health and for a small prediction, turn by turn, until its standard input is closed, and then prints how
long the slowest of each took and every answer that was wrong. Of the slowest health it says how much was a wait for a
processor: the attacker, the service and this client share the machine, which is no fault of the service.
"""

import http.client
import json
import os
import select
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter

PAUSE_SECONDS = 0.005
TIMEOUT_SECONDS = 30.0
ROUNDS_AFTER = 5
"""What an attack leaves behind may come to light after it."""

MODEL = "mlp"
FEATURES = 784


@dataclass
class ProbeResult:
    """What a client observed.

    Attributes:
        asked: number of requests.
        health_seconds, prediction_seconds: the longest wait for an answer.
        processor_seconds: of `health_seconds`, while the event loop or this client could run and had no processor.
        wrong: answers that were not as they should be.
    """

    asked: int = 0
    health_seconds: float = 0.0
    processor_seconds: float = 0.0
    prediction_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class RunQueue:
    """How long threads could run and had no processor, as Linux counts it.

    Args:
        processes: their main threads are looked at.
    """

    def __init__(self, *processes: int) -> None:
        self._files = [Path(f"/proc/{process}/task/{process}/schedstat") for process in processes]

    def seconds(self) -> float:
        """So far, of all of them; 0 where the system does not count it."""
        nanoseconds = 0
        for file in self._files:
            with suppress(OSError):
                nanoseconds += int(file.read_text().split()[1])
        return nanoseconds / 1e9


class _Client:
    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, float]:
        """Status, body and seconds of an answer."""
        start = perf_counter()
        self._connection.request(method, path, body)
        response = self._connection.getresponse()
        content = response.read()
        return response.status, content, perf_counter() - start


def watch(port: int, process: int) -> ProbeResult:
    """Ask the service of a process until standard input ends."""
    run_queue = RunQueue(process, os.getpid())
    # Each as its own client would: one that waits must not delay the other.
    health, predictor = _Client(port), _Client(port)
    row = {"name": "input", "datatype": "FP32", "shape": [1, FEATURES], "data": [[0.0] * FEATURES]}
    body = json.dumps({"inputs": [row]}).encode()
    path = f"/v2/models/{MODEL}/infer"
    probed = ProbeResult()
    expected: list[float] | None = None
    print("watching", flush=True)  # noqa: T201 - for the parent
    rounds_left = ROUNDS_AFTER
    while rounds_left:
        rounds_left -= bool(select.select([sys.stdin], [], [], PAUSE_SECONDS)[0])
        try:
            waited = run_queue.seconds()
            status, _, seconds = health.ask("GET", "/v2/health/live")
            if seconds > probed.health_seconds:
                probed.health_seconds = seconds
                probed.processor_seconds = min(run_queue.seconds() - waited, seconds)
            if status != http.client.OK:
                probed.wrong.append(f"health: {status}")
            status, content, seconds = predictor.ask("POST", path, body)
            probed.prediction_seconds = max(probed.prediction_seconds, seconds)
            scores = _scores(content) if status == http.client.OK else None
            if scores is None or scores != (expected := expected or scores):
                probed.wrong.append(f"prediction: {status} {content[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            probed.wrong.append(repr(error))
            health, predictor = _Client(port), _Client(port)
        probed.asked += 2
    return probed


def _scores(content: bytes) -> list[float]:
    """The scores of an answer, rounded: rows that share a run are equal to a few parts in a million only."""
    return [round(score, 3) for score in json.loads(content)["outputs"][0]["data"]]


if __name__ == "__main__":
    print(json.dumps(asdict(watch(int(sys.argv[1]), int(sys.argv[2])))))  # noqa: T201 - for the parent
