"""Routing by domain over HTTP: each row is answered by the version whose statistics it fits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from service.catalog.rollouts import Rollouts
from tests.bundles import INPUT
from tests.domains import DOWN, UP, domain_bundle, publish_domains, rows_of
from tests.rollouts import promote
from tests.service.catalogs import loaded
from tests.service.conftest import started
from tests.service.routes.observing import TINY, get, infer, serving, until

ROLLOUT = f"{TINY}/rollout"
DOMAINS = f"{ROLLOUT}/domains"
MIXED = np.concatenate([rows_of(version, 4, seed=5) for version in (UP, 1, DOWN)])
BY_ROW = [UP] * 4 + [1] * 4 + [DOWN] * 4


@pytest.fixture
def domains(tmp_path: Path) -> Repository:
    return publish_domains(Repository(tmp_path / "repository"))


def put(client: TestClient, *versions: object) -> Any:
    return client.put(DOMAINS, json={"versions": [*versions]})


def logits(client: TestClient, rows: np.ndarray, path: str = TINY) -> np.ndarray:
    tensor = {"name": INPUT, "datatype": "FP32", "shape": list(rows.shape), "data": rows.tolist()}
    answer = client.post(f"{path}/infer", json={"inputs": [tensor]})
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    return np.array(output["data"]).reshape(output["shape"])


class TestRows:
    def test_each_row_is_answered_by_the_version_that_it_fits(self, domains: Repository) -> None:
        with started(domains) as client:
            assert put(client, UP, DOWN).status_code == 200

            answer = infer(client, MIXED)

            assert answer["model_version"] == "1"
            assert answer["parameters"]["row_versions"] == ",".join(map(str, BY_ROW))
            found = logits(client, MIXED)
            for row, version in enumerate(BY_ROW):
                own = logits(client, MIXED[row : row + 1], f"{TINY}/versions/{version}")
                np.testing.assert_allclose(found[row : row + 1], own, rtol=1e-5, atol=1e-6)
            one = infer(client, MIXED[:1])
            assert (one["model_version"], one["parameters"]["row_versions"]) == (str(UP), str(UP))
            described = get(client, DOMAINS)
            assert [(one["version"], one["rows"], one["loaded"]) for one in described["versions"]] == [
                (str(UP), 9, True),
                (str(DOWN), 8, True),
            ]
            assert (described["default"], described["rows"]) == ("1", 8)
            metrics = client.get("/metrics").text
            assert f'denge_domain_rows_total{{model="tiny",version="{UP}"}} 9.0' in metrics

    def test_a_request_that_names_a_version_gets_it(self, domains: Repository) -> None:
        with started(domains) as client:
            put(client, UP, DOWN)
            tensor = {"name": INPUT, "datatype": "FP32", "shape": [12, 4], "data": MIXED.tolist()}
            answer = client.post(f"{TINY}/versions/1/infer", json={"inputs": [tensor]})

            assert answer.json()["model_version"] == "1"
            assert "parameters" not in answer.json()
            assert "x-row-versions" not in answer.headers

    def test_other_formats_name_the_versions_in_a_header(self, domains: Repository) -> None:
        with started(domains) as client:
            put(client, UP, DOWN)
            answer = client.post("/v1/models/tiny:predict", json={"instances": MIXED.tolist()})

            assert answer.headers["x-row-versions"] == f"1=4, {UP}=4, {DOWN}=4"
            np.testing.assert_allclose(answer.json()["predictions"], logits(client, MIXED), rtol=1e-5)

    def test_scores_are_those_of_the_version_that_answered(self, domains: Repository) -> None:
        with started(domains) as client:
            (usual,) = (
                one["data"]
                for one in infer(client, MIXED[:4], layer_statistics=True)["outputs"]
                if "score" in one["name"]
            )
            put(client, UP, DOWN)
            answer = infer(client, MIXED, layer_statistics=True)
            scores = next(np.array(one["data"]) for one in answer["outputs"] if one["name"] == "drift_score")

            assert np.min(usual) > 2
            assert np.max(scores) < 2

    def test_without_domains_nothing_is_routed(self, domains: Repository) -> None:
        with started(domains) as client:
            put(client, UP, DOWN)
            assert client.delete(DOMAINS).json()["versions"] == []

            answer = infer(client, MIXED)

            assert answer["model_version"] == "1"
            assert "parameters" not in answer
            np.testing.assert_allclose(logits(client, MIXED), logits(client, MIXED, f"{TINY}/versions/1"), rtol=1e-5)

    def test_windows_and_labels_count_the_rows_that_a_version_answered(self, domains: Repository) -> None:
        with serving(domains) as client:
            put(client, UP, DOWN)
            until(client, rows_of(UP, 20), lambda: get(client, f"{TINY}/versions/{UP}/drift?window=last")["rows"] >= 16)
            assert not get(client, f"{TINY}/versions/{UP}/drift?window=last")["alarm"]
            assert get(client, f"{TINY}/versions/1/drift?window=start")["rows"] == 0
            tensor = {"name": INPUT, "datatype": "FP32", "shape": [12, 4], "data": MIXED.tolist()}
            predicted = client.post(f"{TINY}/infer", json={"id": "mixed", "inputs": [tensor]}).json()
            classes = np.array(predicted["outputs"][0]["data"]).reshape(12, 2).argmax(axis=1).tolist()
            labelled = client.post(f"{TINY}/labels", json={"labels": [{"id": "mixed", "classes": classes}]}).json()

            assert (labelled["rows"], labelled["correct"]) == (12, 12)
            metrics = client.get("/metrics").text
            for version in (1, UP, DOWN):
                assert f'denge_labelled_rows_total{{model="tiny",version="{version}"}} 4.0' in metrics


class TestChanges:
    def test_a_bad_request_is_refused_with_its_field(self, domains: Repository) -> None:
        domains.publish(domain_bundle(1))
        cases: list[tuple[object, str]] = [
            ({"versions": []}, "versions"),
            ({"versions": [1]}, "versions: version 1 was not re-calibrated from version 1, which is the default"),
            ({"versions": [UP, 4]}, "versions: version 4 was not re-calibrated from version 1"),
            ({"versions": [UP, UP]}, "versions: a version is named twice"),
            ({"versions": [0]}, "versions[0]"),
            ({"versions": ["2"]}, "versions[0]"),
            ({"versions": [True]}, "versions[0]"),
            ({"versions": list(range(2, 20))}, "versions"),
            ({"versions": UP}, "versions"),
            ({}, "versions"),
            ({"versions": [UP], "share": 1}, "share"),
            ("", "body"),
        ]
        with started(domains) as client:
            for body, words in cases:
                refused = client.put(DOMAINS, json=body)

                assert refused.status_code == 400, body
                assert words in refused.json()["error"], body
            assert get(client, DOMAINS)["versions"] == []

    def test_a_version_that_does_not_exist_is_not_found(self, domains: Repository) -> None:
        with started(domains) as client:
            assert put(client, UP, 9).status_code == 404
            assert client.put("/v2/models/nobody/rollout/domains", json={"versions": [2]}).status_code == 404

    def test_a_model_without_held_out_rows_has_no_domains(self, tmp_path: Path) -> None:
        repository = Repository(tmp_path / "repository")
        parent = domain_bundle(1)
        repository.publish(replace(parent, held_out=None))
        promote(repository, "tiny", 1)
        repository.publish(domain_bundle(UP))
        with started(repository) as client:
            refused = put(client, UP)

            assert refused.status_code == 400
            assert "keeps no held-out rows" in refused.json()["error"]

    def test_canary_and_auto_mode_exclude_domains_and_a_shadow_does_not(self, domains: Repository) -> None:
        with serving(domains) as client:
            client.put(f"{ROLLOUT}/canary", json={"version": UP, "share": 0.5})
            assert "has a canary" in put(client, UP).json()["error"]
            client.delete(f"{ROLLOUT}/canary")
            assert client.put(f"{TINY}/auto", json={}).status_code == 200
            assert "auto mode decides" in put(client, UP).json()["error"]
            client.delete(f"{TINY}/auto")
            assert client.put(f"{ROLLOUT}/shadow", json={"version": DOWN}).status_code == 200
            assert put(client, UP).status_code == 200
            client.delete(f"{ROLLOUT}/shadow")
            assert "has domains" in client.put(f"{ROLLOUT}/canary", json={"version": UP, "share": 0.5}).json()["error"]
            assert "domains: end them first" in client.put(f"{TINY}/auto", json={}).json()["error"]

    def test_the_rollout_names_them_and_another_default_ends_them(self, domains: Repository) -> None:
        with started(domains) as client:
            put(client, UP, DOWN)
            rollout = get(client, ROLLOUT)
            assert (rollout["domains"], rollout["pinned"]) == ([str(UP), str(DOWN)], True)
            assert {one["version"]: one["roles"] for one in rollout["versions"]} == {
                "1": ["default"],
                str(UP): ["domain"],
                str(DOWN): ["domain"],
            }
            client.post(f"{ROLLOUT}/promote", json={"version": UP})
            assert get(client, DOMAINS)["versions"] == []
            client.post(f"{ROLLOUT}/rollback")
            assert get(client, DOMAINS)["versions"] == []

    def test_versions_in_use_are_neither_unloaded_nor_deleted(self, domains: Repository) -> None:
        for _ in range(3):
            domains.publish(domain_bundle(1))
        with started(domains) as client:
            put(client, UP)
            refused = client.post(f"/v2/repository/models/tiny/versions/{UP}/unload")
            assert refused.status_code == 400
            assert "has a domain" in refused.json()["error"]
            client.post("/v2/repository/models/tiny/prune", json={"keep": 1})

            assert infer(client, MIXED[:1])["model_version"] == str(UP)

    def test_a_restart_keeps_them(self, domains: Repository) -> None:
        with started(domains) as client:
            before = put(client, UP, DOWN).json()
        with started(domains) as client:
            after = get(client, DOMAINS)
            assert after == before
            assert infer(client, MIXED)["parameters"]["row_versions"] == ",".join(map(str, BY_ROW))

    def test_a_version_that_is_gone_leaves_its_rows_to_the_default_one(self, domains: Repository) -> None:
        with started(domains) as client:
            put(client, UP, DOWN)
        for file in (domains.root / "tiny" / str(UP)).iterdir():  # type: ignore[operator] # a folder
            if file.name.startswith("folded"):
                file.write_bytes(b"broken")
        with started(domains) as client:
            loaded_versions = {one["version"]: one["loaded"] for one in get(client, DOMAINS)["versions"]}
            assert loaded_versions == {str(UP): False, str(DOWN): True}
            expected = [1 if version == UP else version for version in BY_ROW]
            assert infer(client, MIXED)["parameters"]["row_versions"] == ",".join(map(str, expected))


def test_another_process_serves_the_same_domains(domains: Repository) -> None:
    catalog = loaded(domains)
    Rollouts(catalog).set_domains("tiny", [UP, DOWN])
    follower = loaded(domains)
    follower.apply_snapshots({name: model.to_published() for name, model in catalog.snapshots.items()})

    found = follower.domains_of(follower.get("tiny"))

    assert found is not None
    assert [served.version for served in found.versions] == [UP, DOWN]
    assert found.published == domains.rollout("tiny").domains
    assert follower.domains_of(follower.get("tiny", UP)) is None
