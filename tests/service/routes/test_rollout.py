"""Which version answers: canary, shadow, promotion and rollback, and that a restart changes none of it."""

import asyncio
import os
import random
import threading
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from models.repository.rollout import Canary
from models.runtime.engine import Engine
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from service.catalog.served_version import ServedVersion
from service.inference.shadow import Shadow
from service.telemetry.statistics import ServiceStatistics
from tests.bundles import echo_bundle, tiny_bundle
from tests.rollouts import promote
from tests.service.conftest import started

ROLLOUT = "/v2/models/tiny/rollout"
ROWS = np.random.default_rng(11).normal(size=(64, 4)).astype(np.float32)


@pytest.fixture
def three(repository: Repository) -> Repository:
    """`tiny` has versions 1 to 3, and 1 is the default."""
    promote(repository, "tiny", 1)
    for seed in (2, 3):
        repository.publish(tiny_bundle(seed=seed))
    return repository


def load(repository: Repository, seed: int = 0) -> tuple[Catalog, Rollouts]:
    catalog = Catalog(
        repository,
        lambda bundle: Engine(bundle.folded, bundle.manifest.inputs),
        draw=random.Random(seed).random,
    )
    catalog.load_all()
    return catalog, Rollouts(catalog)


def answered_by(client: TestClient, path: str = "/v2/models/tiny/infer") -> str:
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4}
    answer = client.post(path, json={"inputs": [tensor]})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["model_version"])


def state(client: TestClient) -> dict[str, Any]:
    answer = client.get(ROLLOUT)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class TestCanary:
    @pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
    def test_it_answers_its_share_of_the_requests_that_name_no_version(self, three: Repository, share: float) -> None:
        catalog, rollouts = load(three)
        rollouts.set_canary("tiny", Canary(version=2, share=share))
        draws = 20_000

        answered = sum(catalog.choose("tiny").version == 2 for _ in range(draws))

        # Four standard deviations of a binomial; the generator is seeded.
        assert abs(answered - draws * share) <= 4 * np.sqrt(draws * share * (1 - share))
        assert {catalog.choose("tiny", 3).version for _ in range(100)} == {3}
        assert {catalog.get("tiny").version for _ in range(100)} == {1}
        assert {catalog.choose("shapes").version for _ in range(100)} == {1}

    @pytest.mark.parametrize(
        "path", ["/v2/models/tiny/infer", "/v1/models/tiny:predict", "/v2/models/shapes/predict"], ids=str
    )
    def test_every_protocol_sends_it_requests(self, repository: Repository, path: str) -> None:
        model = "shapes" if "shapes" in path else "tiny"
        bundle = repository.read(model, 1)
        repository.publish(bundle, candidate=True)
        with started(repository) as client:
            before = client.get("/metrics").text
            client.put(f"/v2/models/{model}/rollout/canary", json={"version": 2, "share": 1})
            bodies = {
                "/v2/models/tiny/infer": {"json": {"inputs": [INPUT]}},
                "/v1/models/tiny:predict": {"json": {"instances": [[0, 0, 0, 0]]}},
                "/v2/models/shapes/predict": {"content": client.get("/docs/seven.png").content},
            }
            assert client.post(path, **bodies[path]).status_code == 200
            after = client.get("/metrics").text

        counted = f'denge_inference_rows_total{{model="{model}",version="2"}} 1.0'
        assert counted not in before
        assert counted in after

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({"version": 1, "share": 0.5}, "version: 1 is the default version already"),
            ({"version": 2, "share": 0}, "share"),
            ({"version": 2, "share": 1.5}, "share"),
            ({"version": 2}, "share"),
            ({"version": 0, "share": 0.5}, "version"),
            ({"version": 2, "share": 0.5, "x": 1}, "x"),
            ("", "body"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, three: Repository, body: object, words: str) -> None:
        with started(three) as client:
            refused = client.put(f"{ROLLOUT}/canary", json=body)

            assert refused.status_code == 400
            assert words in refused.json()["error"]
            assert client.put(f"{ROLLOUT}/canary", json={"version": 9, "share": 0.5}).status_code == 404
            assert client.put(f"{ROLLOUT}/canary", content=b"x" * 100_000).status_code == 413
            assert state(client)["canary"] is None


INPUT = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4}


class TestDefault:
    def test_a_new_version_is_served_but_not_by_default_where_one_is_pinned(self, three: Repository) -> None:
        with started(three) as client:
            three.publish(tiny_bundle(seed=4))
            client.post("/v2/repository/models/tiny/load")

            assert answered_by(client) == "1"
            assert answered_by(client, "/v2/models/tiny/versions/4/infer") == "4"

    def test_a_candidate_is_never_the_default_until_it_is_promoted(self, repository: Repository) -> None:
        repository.publish(tiny_bundle(seed=1), candidate=True)
        with started(repository) as client:
            assert answered_by(client) == "1"
            assert client.post(f"{ROLLOUT}/promote", json={"version": 2}).json()["default"] == "2"
            assert answered_by(client) == "2"

    def test_the_canary_is_promoted_and_rolled_back(self, three: Repository) -> None:
        with started(three) as client:
            client.put(f"{ROLLOUT}/canary", json={"version": 2, "share": 0.5})
            client.put(f"{ROLLOUT}/shadow", json={"version": 3})
            promoted = client.post(f"{ROLLOUT}/promote").json()
            assert (promoted["default"], promoted["previous"], promoted["canary"]) == ("2", ["1"], None)
            assert promoted["shadow"] == "3"
            assert answered_by(client) == "2"

            back = client.post(f"{ROLLOUT}/rollback").json()
            assert (back["default"], back["previous"]) == ("1", [])
            assert answered_by(client) == "1"
            assert client.post(f"{ROLLOUT}/rollback").status_code == 400

    def test_the_shadow_is_promoted_where_there_is_no_canary_and_nothing_where_there_is_none(
        self, three: Repository
    ) -> None:
        with started(three) as client:
            refused = client.post(f"{ROLLOUT}/promote")
            assert refused.status_code == 400
            assert "no canary or shadow" in refused.json()["error"]
            client.put(f"{ROLLOUT}/shadow", json={"version": 3})
            assert client.post(f"{ROLLOUT}/promote").json()["default"] == "3"
            assert state(client)["shadow"] is None

    def test_what_does_not_load_is_not_promoted(self, three: Repository) -> None:
        (three.root / "tiny" / "2" / "folded.onnx").write_bytes(b"broken")
        with started(three) as client:
            before = three.rollout("tiny")
            for answer in (
                client.post(f"{ROLLOUT}/promote", json={"version": 2}),
                client.put(f"{ROLLOUT}/canary", json={"version": 2, "share": 1}),
                client.put(f"{ROLLOUT}/shadow", json={"version": 2}),
            ):
                assert answer.status_code == 503
                assert "does not match its digest" in answer.json()["error"]
            assert three.rollout("tiny") == before
            assert answered_by(client) == "1"

    def test_in_place_of_a_pinned_version_that_is_damaged_none_answers_that_nobody_chose(
        self, three: Repository
    ) -> None:
        (three.root / "tiny" / "1" / "folded.onnx").write_bytes(b"broken")
        with started(three) as client:
            assert client.post("/v2/models/tiny/infer", json={"inputs": [INPUT]}).status_code == 503
            assert client.get("/v2/health/ready").status_code == 503

    def test_where_the_repository_cannot_be_written_nothing_changes(
        self, three: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(30, "Read-only file system")

        with started(three) as client:
            monkeypatch.setattr(os, "fsync", full)
            refused = client.post(f"{ROLLOUT}/promote", json={"version": 2})

            assert refused.status_code == 503
            assert refused.json()["error"] == "the repository cannot be written: Read-only file system"
            assert answered_by(client) == "1"

    def test_the_default_before_it_answers_in_place_of_a_damaged_one(self, three: Repository) -> None:
        promote(three, "tiny", 3)
        promote(three, "tiny", 2)
        (three.root / "tiny" / "2" / "folded.onnx").write_bytes(b"broken")
        with started(three) as client:
            assert answered_by(client) == "3"

    def test_a_damaged_decision_keeps_the_model_from_answering(self, three: Repository) -> None:
        (three.root / "tiny" / "rollout.json").write_text("{")
        with started(three) as client:
            assert client.get("/v2/models/tiny/ready").status_code == 503
            assert client.get("/v2/health/ready").status_code == 503
            assert client.get("/v2/models/shapes/ready").status_code == 200
            assert "is not a rollout" in client.get(ROLLOUT).json()["error"]


def test_what_was_decided_survives_a_restart(three: Repository) -> None:
    with started(three) as client:
        client.put(f"{ROLLOUT}/canary", json={"version": 3, "share": 0.25})
        client.put(f"{ROLLOUT}/shadow", json={"version": 2})
        before = state(client)
    with started(three) as client:
        after = state(client)

    assert before == after
    assert after["canary"] == {"version": 3, "share": 0.25}
    assert {version["version"]: version["roles"] for version in after["versions"]} == {
        "1": ["default"],
        "2": ["shadow"],
        "3": ["canary"],
    }


def test_versions_are_shown_side_by_side(three: Repository) -> None:
    with started(three) as client:
        for version in (1, 2, 2):
            answered_by(client, f"/v2/models/tiny/versions/{version}/infer")
        broken = {"inputs": [{**INPUT, "shape": [3, 4]}]}
        assert client.post("/v2/models/tiny/versions/2/infer", json=broken).status_code == 400
        first, second, third = state(client)["versions"]

    assert [version["requests"] for version in (first, second, third)] == [1, 2, 0]
    assert second["rows"] == 2
    assert 0 < second["request_ms"]["p50"] <= second["request_ms"]["p99"]
    assert third["request_ms"] == {"p50": None, "p99": None}
    assert second["lineage"]["origin"] == "trained"


class TestLoading:
    def test_an_old_version_is_kept_loaded_and_a_new_one_left_out_also_after_a_restart(self, three: Repository) -> None:
        three.publish(tiny_bundle(seed=4))
        three.publish(tiny_bundle(seed=5))
        with started(three) as client:
            assert client.post("/v2/repository/models/tiny/versions/2/load").json()["versions"] == ["1", "2", "4", "5"]
            assert client.post("/v2/repository/models/tiny/versions/5/unload").json()["versions"] == ["1", "2", "4"]
            assert client.post("/v2/repository/models/tiny/load").json()["versions"] == ["1", "2", "4"]
            assert client.post("/v2/repository/models/tiny/versions/1/unload").status_code == 400
            assert client.post("/v2/repository/models/tiny/versions/9/unload").status_code == 404
            assert client.get("/v2/models/tiny/versions/5/ready").status_code == 503
        with started(three) as client:
            assert client.get("/v2/models/tiny").json()["versions"] == ["1", "2", "4"]

    def test_old_versions_are_pruned_and_those_in_use_stay(self, three: Repository) -> None:
        for seed in (4, 5, 6):
            three.publish(tiny_bundle(seed=seed))
        with started(three) as client:
            client.put(f"{ROLLOUT}/shadow", json={"version": 3})
            answer = client.post("/v2/repository/models/tiny/prune", json={"keep": 1})

            assert answer.json() == {"name": "tiny", "deleted": ["2", "4", "5"]}
            assert [version["version"] for version in state(client)["versions"]] == ["1", "3", "6"]
            assert client.post("/v2/repository/models/tiny/prune", json={"keep": 0}).status_code == 400


class Gated:
    """An engine that waits until it is let, and breaks where it is told to."""

    def __init__(self, engine: Engine) -> None:
        self.gate = threading.Event()
        self.provider = engine.provider
        self._engine = engine

    def run(self, inputs: Any) -> Any:
        assert self.gate.wait(60)
        return self._engine.run(inputs)


async def compared(shadow: Shadow) -> None:
    """Return when everything that was offered is counted: its only thread has come to this."""
    await asyncio.get_running_loop().run_in_executor(shadow._pool, lambda: None)


class TestShadow:
    @pytest.fixture
    def catalog(self, three: Repository) -> Catalog:
        catalog, rollouts = load(three)
        rollouts.set_shadow("tiny", 2)
        return catalog

    def test_it_counts_agreement_and_the_largest_difference(self, catalog: Catalog) -> None:
        statistics = ServiceStatistics()
        served, shadow = catalog.get("tiny"), catalog.get("tiny", 2)
        ours, theirs = (version.engine.run({"input": ROWS})["logits"] for version in (served, shadow))

        async def compare() -> None:
            beside = Shadow(catalog, statistics)
            for start in range(0, 64, 16):
                rows = ROWS[start : start + 16]
                beside.offer(served, {"input": rows}, served.engine.run({"input": rows}))
                await compared(beside)
            beside.close()

        asyncio.run(compare())
        found = statistics.comparisons["tiny", 1, 2]

        agreed = int((ours.argmax(1) == theirs.argmax(1)).sum())
        assert 0 < agreed < 64, "else the oracle says nothing"
        assert (found.rows, found.classified, found.agreed) == (64, 64, agreed)
        assert found.largest_difference == pytest.approx(np.abs(ours.astype(np.float64) - theirs).max(), rel=1e-5)
        assert (found.runs.count, found.failed_runs, found.dropped) == (4, 0, 0)

    def test_a_regressor_agrees_on_no_class(self, repository: Repository) -> None:
        for _ in range(2):
            repository.publish(echo_bundle("FP32", width=1))
        promote(repository, "fp32", 1)
        catalog, rollouts = load(repository)
        rollouts.set_shadow("fp32", 2)
        statistics = ServiceStatistics()
        served = catalog.get("fp32")

        async def compare() -> None:
            beside = Shadow(catalog, statistics)
            beside.offer(served, {"input": ROWS[:, :1]}, {"logits": ROWS[:, :1] + np.float32(0.5)})
            await compared(beside)
            beside.close()

        asyncio.run(compare())
        found = statistics.comparisons["fp32", 1, 2]

        assert (found.rows, found.classified, found.agreed) == (64, 0, 0)
        assert found.largest_difference == pytest.approx(0.5)

    def test_what_it_cannot_keep_up_with_is_dropped_and_counted(self, catalog: Catalog) -> None:
        statistics = ServiceStatistics()
        served, shadow = catalog.get("tiny"), catalog.get("tiny", 2)
        gated = Gated(shadow.engine)
        object.__setattr__(shadow, "engine", gated)
        inputs = {"input": ROWS}

        async def compare() -> None:
            beside = Shadow(catalog, statistics)
            for _ in range(10):
                beside.offer(served, inputs, {"logits": ROWS[:, :2]})  # returns, though the shadow stands still
            gated.gate.set()
            await compared(beside)
            beside.close()

        asyncio.run(compare())

        assert statistics.comparisons["tiny", 1, 2].dropped == 8

    def test_one_that_breaks_is_counted_and_disturbs_nobody(self, catalog: Catalog) -> None:
        statistics = ServiceStatistics()
        served = catalog.get("tiny")

        async def compare() -> None:
            beside = Shadow(catalog, statistics)
            beside.offer(served, {"input": ROWS[:, :3]}, {"logits": ROWS})
            beside.offer(served, {"input": ROWS}, {"logits": ROWS[:3]})
            await compared(beside)
            beside.close()

        asyncio.run(compare())

        assert statistics.comparisons["tiny", 1, 2].rows == 0

    def test_only_the_default_version_is_compared(self, catalog: Catalog) -> None:
        assert {version: catalog.shadow_of(catalog.get("tiny", version)) for version in (2, 3)} == {2: None, 3: None}
        assert catalog.shadow_of(catalog.get("tiny")) is catalog.get("tiny", 2)
        assert catalog.shadow_of(catalog.get("shapes")) is None

    def test_it_shows_what_was_compared_over_http(self, three: Repository) -> None:
        with started(three) as client:
            client.put(f"{ROLLOUT}/shadow", json={"version": 2})
            shown = state(client)
            while shown["versions"][1]["compared"] is None or not shown["versions"][1]["compared"]["rows"]:
                assert answered_by(client) == "1"
                shown = state(client)

        compared = shown["versions"][1]["compared"]
        assert compared["agreement"] in (0.0, 1.0)  # one row, again and again
        assert compared["largest_difference"] > 0
        assert compared["errors"] == 0
        assert [version["compared"] for version in shown["versions"]][::2] == [None, None]


def test_a_change_while_a_request_is_answered_does_not_reach_it(three: Repository) -> None:
    catalog, rollouts = load(three)
    held: ServedVersion = catalog.choose("tiny")
    rollouts.promote("tiny", 3)
    rollouts.prune("tiny", 1)

    assert (held.version, catalog.choose("tiny").version) == (1, 3)
    assert held.engine.run({"input": ROWS})["logits"].shape == (64, 2)
