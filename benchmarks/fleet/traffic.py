"""Clients that send predictions all the time, and compare every answer with what its version must answer."""

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Self

import httpx2
import numpy as np

from benchmarks.fleet.versions import MODEL, first, second
from models.repository.held_out import unpack
from models.runtime.engine import Engine

TOLERANCE = 1e-4
SECONDS = 20.0
"""After which a request is lost."""


@dataclass
class Counts:
    """Outcomes of the requests.

    Attributes:
        sent, answered: requests, and correct answers.
        retried: by the clients themselves, where there is no balancer: after a connection that died.
        lost: without an answer, or with another status than 200.
        wrong: with other outputs than the version must give.
        outdated: by the old version, to a request that was sent after the promotion had returned.
    """

    sent: int = 0
    answered: int = 0
    retried: int = 0
    lost: int = 0
    wrong: int = 0
    outdated: int = 0


def rows() -> np.ndarray:
    """Rows like those that the model was trained on: they raise no alarm."""
    bundle = first()
    assert bundle.held_out is not None
    (values,) = unpack(bundle.held_out, bundle.manifest.inputs).values()
    return values


def expected() -> dict[str, np.ndarray]:
    """The outputs of all rows, by version."""
    found = {}
    for version, bundle in (("1", first()), ("2", second())):
        (spec,) = bundle.manifest.inputs
        engine = Engine(bundle.folded, bundle.manifest.inputs)
        (found[version],) = engine.run({spec.name: rows()}).values()
    return found


class Traffic:
    """Some clients in threads.

    Args:
        urls: of the balancer; or of all replicas, where the clients balance themselves.
        clients: how many.
    """

    def __init__(self, urls: Sequence[str], clients: int = 6) -> None:
        self.counts = Counts()
        self.problems: list[str] = []
        self._urls = urls
        (spec,) = first().manifest.inputs
        shape = [1, *spec.shape[1:]]
        self._bodies = [
            {"inputs": [{"name": spec.name, "datatype": "FP32", "shape": shape, "data": row.tolist()}]}
            for row in rows()
        ]
        self._expected = expected()
        self._promoted = float("inf")
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._send_all, args=(seed,)) for seed in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def note_promotion(self) -> None:
        """From now on only version 2 may answer."""
        self._promoted = perf_counter()

    def _send_all(self, seed: int) -> None:
        draw = random.Random(seed)
        with httpx2.Client(timeout=SECONDS) as client:
            while not self._stopping.is_set():
                row = draw.randrange(len(self._bodies))
                started = perf_counter()
                answer, retries = self._send(client, draw, row)
                with self._lock:
                    self._count(answer, retries, row, started)

    def _send(self, client: httpx2.Client, draw: random.Random, row: int) -> tuple[httpx2.Response | str, int]:
        """The answer, or why there is none, and how often it was sent again."""
        reason = ""
        for retry, url in enumerate(draw.sample(self._urls, len(self._urls))):
            try:
                return client.post(f"{url}/v2/models/{MODEL}/infer", json=self._bodies[row]), retry
            except httpx2.TransportError as error:
                reason = repr(error)
        return reason, len(self._urls) - 1

    def _count(self, answer: httpx2.Response | str, retries: int, row: int, started: float) -> None:
        counts = self.counts
        counts.sent += 1
        counts.retried += retries
        if isinstance(answer, str) or answer.status_code != 200:
            counts.lost += 1
            self.problems.append(answer if isinstance(answer, str) else f"{answer.status_code} {answer.text[:200]}")
            return
        body = answer.json()
        version = body["model_version"]
        values = np.asarray(body["outputs"][0]["data"])
        if version not in self._expected or np.abs(values - self._expected[version][row]).max() > TOLERANCE:
            counts.wrong += 1
            self.problems.append(f"version {version} answered row {row} with {values[:3]}...")
        elif started > self._promoted and version != "2":
            counts.outdated += 1
            self.problems.append("version 1 answered after version 2 was promoted")
        else:
            counts.answered += 1


def shifted(count: int) -> Mapping[str, object]:
    """A request with negatives of images: white where they are black."""
    (spec,) = first().manifest.inputs
    data = 1 - rows()[:count].reshape(count, -1)
    return {
        "inputs": [{"name": spec.name, "datatype": "FP32", "shape": [count, *spec.shape[1:]], "data": data.tolist()}]
    }
