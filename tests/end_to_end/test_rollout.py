"""Publish, promote, roll back and prune while requests come in: none is lost, and each answer is its version's."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2
import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import running, with_workers

ROWS = np.random.default_rng(3).normal(size=(3, 4)).astype(np.float32)
BODY = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [3, 4], "data": ROWS.tolist()}]}
VERSIONS = 8


def expected(version: int) -> np.ndarray:
    """Logits by onnx's reference, from the graph that was not folded."""
    evaluator = ReferenceEvaluator(onnx.load_from_string(tiny_bundle(seed=version).source))
    return evaluator.run(None, {"input": ROWS})[0]


class Load:
    """Asks again and again, without naming a version, and holds every answer against its version's oracle."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._oracles = {version: expected(version) for version in range(1, VERSIONS + 1)}
        self._stop = threading.Event()
        self._answer_came = threading.Condition()
        self.answered: Counter[int] = Counter()

    def ask(self) -> None:
        with closing(self), httpx2.Client(base_url=self._url, timeout=60) as client:
            while not self._stop.is_set():
                answer = client.post("/v2/models/tiny/infer", json=BODY)
                assert answer.status_code == 200, answer.text
                version = int(answer.json()["model_version"])
                logits = np.array(answer.json()["outputs"][0]["data"]).reshape(3, 2)
                np.testing.assert_allclose(logits, self._oracles[version], rtol=1e-4, atol=1e-5)
                with self._answer_came:
                    self.answered[version] += 1
                    self._answer_came.notify_all()

    def close(self) -> None:
        """Stop asking, because it is enough or because something is wrong."""
        self._stop.set()
        with self._answer_came:
            self._answer_came.notify_all()

    def wait_for(self, version: int) -> None:
        """Return when this version has answered once more."""
        with self._answer_came:
            before = self.answered[version]
            answered = self._answer_came.wait_for(
                lambda: self.answered[version] > before or self._stop.is_set(), timeout=60
            )
        assert not self._stop.is_set(), "a request was not answered as it should be"
        assert answered, f"version {version} has answered no request in 60 seconds"


def test_the_versions_differ() -> None:
    logits = [expected(version) for version in range(1, VERSIONS + 1)]

    assert all(np.abs(one - other).max() > 0.1 for one in logits for other in logits if one is not other)


@with_workers
def test_changes_under_load_lose_no_request_and_every_answer_is_right(tmp_path: Path, workers: str) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(tiny_bundle(seed=1))
    with (
        running(repository.root, "--workers", workers) as process,
        httpx2.Client(base_url=process.url, timeout=60) as admin,
        ThreadPoolExecutor(3) as pool,
    ):

        def change(method: str, path: str, body: object = None) -> None:
            answer = admin.request(method, path, json=body)
            assert answer.status_code == 200, answer.text

        load = Load(process.url)
        asking = [pool.submit(load.ask) for _ in range(3)]
        try:
            for version in range(2, VERSIONS + 1):
                assert repository.publish(tiny_bundle(seed=version), candidate=True) == version
                change("POST", "/v2/repository/models/tiny/load")
                change("PUT", "/v2/models/tiny/rollout/shadow", {"version": version})
                change("PUT", "/v2/models/tiny/rollout/canary", {"version": version, "share": 0.5})
                load.wait_for(version)
                change("POST", "/v2/models/tiny/rollout/promote")
                change("POST", "/v2/models/tiny/rollout/rollback")
                load.wait_for(version - 1)
                change("POST", "/v2/models/tiny/rollout/promote", {"version": version})
                change("POST", "/v2/repository/models/tiny/prune", {"keep": 1})
            load.wait_for(VERSIONS)
        finally:
            load.close()
        for task in asking:
            task.result()

        assert set(load.answered) == set(range(1, VERSIONS + 1))
        state = admin.get("/v2/models/tiny/rollout").json()
        assert (state["default"], state["previous"]) == ("8", ["7"])
        assert [version["version"] for version in state["versions"]] == ["7", "8"]
        assert process.stop() == 0
