"""Re-calibrations over HTTP: rows in, sent or from the traffic; a new version out, or a reason."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from models.recalibration.estimate import recalibrate
from models.recalibration.rows import NO_CLASS, UNKNOWN
from models.repository.repository import Repository
from service.app import create_app
from service.recalibrating.jobs import MAX_OPEN_JOBS
from service.settings import Settings
from tests.bundles import tiny_bundle
from tests.recalibrating import ROWS, URL, confident_repository, recalibrated, tensor
from tests.service.conftest import started

ONE_CLASS = np.tile(ROWS[:1], (128, 1))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return confident_repository(tmp_path / "repository")


@pytest.fixture
def client(repository: Repository) -> Iterator[TestClient]:
    with started(repository) as client:
        yield client


def begin(client: TestClient, rows: np.ndarray = ROWS, **parameters: Any) -> dict[str, Any]:
    answer = client.post(URL, json={"inputs": [tensor(rows)], "parameters": parameters})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def outcome(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    answer = client.get(f"{URL}/{job['id']}", params={"wait": 60})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class TestPosted:
    def test_a_good_candidate_is_published_and_loaded_but_not_the_default(
        self, client: TestClient, repository: Repository
    ) -> None:
        job = outcome(client, begin(client, prior=8))

        assert (job["state"], job["published"], job["reason"]) == ("published", 2, None)
        assert {gate["name"] for gate in job["gates"]} >= {"rows", "drift", "diversity", "growth"}
        assert client.get("/v2/models/tiny").json()["properties"]["version"] == "1"
        assert client.get("/v2/models/tiny/versions/2/ready").status_code == 200
        lineage = client.get("/v2/models/tiny/versions/2/card").json()["lineage"]
        assert (lineage["origin"], lineage["parent"]) == ("recalibrated", {"model": "tiny", "version": 1})
        assert lineage["recalibration"]["prior"] == 8
        # What is published is what the arithmetic says, run here.
        bundle = repository.read("tiny", 1)
        expected = recalibrate(bundle, 1, {"input": ROWS}, prior=8)
        got = repository.read("tiny", 2).manifest.norm_layers[0]
        assert got.running_mean == expected.bundle.manifest.norm_layers[0].running_mean
        assert got.running_mean != bundle.manifest.norm_layers[0].running_mean

    def test_it_may_be_promoted_and_rolled_back(self, client: TestClient) -> None:
        outcome(client, begin(client))

        assert client.post("/v2/models/tiny/rollout/promote", json={"version": 2}).json()["default"] == "2"
        assert client.post("/v2/models/tiny/rollout/rollback").json()["default"] == "1"

    def test_rows_of_one_class_are_refused_with_the_figures_and_published_only_by_force(
        self, client: TestClient, repository: Repository
    ) -> None:
        job = outcome(client, begin(client, ONE_CLASS))
        assert (job["state"], job["published"]) == ("refused", None)
        assert "diversity" in job["reason"]
        assert repository.versions("tiny") == [1]

        forced = outcome(client, begin(client, ONE_CLASS, force=True))
        assert (forced["state"], forced["published"]) == ("published", 2)
        assert repository.read("tiny", 2).manifest.lineage.recalibration.forced  # type: ignore[union-attr]
        assert repository.default_version("tiny") == 1

    def test_labels_make_accuracy_a_gate(self, client: TestClient) -> None:
        labels = np.full(len(ROWS), -1)
        labels[::2] = 0
        body = {"inputs": [tensor(ROWS), tensor(labels, "labels", "INT64")]}
        job = outcome(client, client.post(URL, json=body).json())

        assert job["labelled"]
        assert "accuracy" in {gate["name"] for gate in job["gates"]}

    def test_labels_of_the_rows_that_it_names_decide_about_a_refused_version(self, tmp_path: Path) -> None:
        # So uncertain a model is refused, without labels.
        repository = Repository(tmp_path / "uncertain")
        repository.publish(tiny_bundle())

        def answers(version: int) -> np.ndarray:
            body = {"inputs": [tensor(ROWS)]}
            (scores,) = client.post(f"/v2/models/tiny/versions/{version}/infer", json=body).json()["outputs"]
            return np.reshape(scores["data"], scores["shape"]).argmax(axis=1)

        def with_labels(right: Any, others: int) -> dict[str, Any]:
            labels = np.full(len(ROWS), UNKNOWN)
            labels[asked[:4]], labels[asked[4:6]] = right, others
            inputs = [tensor(ROWS), tensor(labels, "labels", "INT64")]
            return outcome(client, client.post(URL, json={"inputs": inputs}).json())

        with started(repository) as client:
            refused = outcome(client, begin(client))
            assert refused["state"] == "refused"
            asked = refused["rows_to_label"]
            forced = outcome(client, begin(client, force=True))
            old, new = answers(1), answers(forced["published"])
            assert set(asked) == set(np.flatnonzero(old != new))

            no_class = with_labels(NO_CLASS, NO_CLASS)
            assert no_class["state"] == "refused"
            assert no_class["rows_to_label"] == asked[6:], "without those that have a label"
            assert with_labels(old[asked[:4]], NO_CLASS)["state"] == "refused"
            decided = with_labels(new[asked[:4]], NO_CLASS)
            assert decided["state"] == "published"
            assert {gate["name"] for gate in decided["gates"] if gate["outvoted"]} >= {"diversity", "information"}

    def test_rows_come_in_binary_too(self, client: TestClient) -> None:
        raw = client.post(URL, content=ROWS.tobytes(), headers={"Inference-Header-Content-Length": "0"})
        assert raw.status_code == 202, raw.text
        assert outcome(client, raw.json())["state"] == "published"

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({}, "inputs: "),
            ({"inputs": []}, "inputs: "),
            ({"inputs": [tensor(ROWS[:, :3])]}, "inputs[0].shape: "),
            ({"inputs": [tensor(ROWS)], "collect": 64}, "collect: "),
            ({"collect": 1}, "collect: "),
            ({"collect": 63}, "collect: got 63, expected at least 64"),
            ({"collect": 10**6}, "collect: "),
            ({"collect": 64.0}, "collect: "),
            ({"collect": 64, "parameters": {"prior": -1}}, "parameters.prior: "),
            ({"collect": 64, "parameters": {"forse": True}}, "parameters.forse: unknown field, did you mean 'force'?"),
            ({"collect": 64, "parameters": {"force": 1}}, "parameters.force: "),
            ({"collect": 64, "parameters": []}, "parameters: "),
            ({"inputs": [tensor(ROWS), tensor(ROWS[:, 0], "labels")]}, "inputs[1].datatype: "),
            ({"inputs": [tensor(ROWS), tensor(np.zeros(3), "labels", "INT64")]}, "inputs"),
        ],
    )
    def test_a_bad_request_is_refused_with_its_field(self, client: TestClient, body: object, words: str) -> None:
        answer = client.post(URL, json=body)

        assert answer.status_code == 400, answer.text
        assert answer.json()["error"].startswith(words)
        assert client.get(URL).json() == {"recalibrations": []}

    def test_too_few_rows_are_refused_by_the_job(self, client: TestClient) -> None:
        job = outcome(client, begin(client, ROWS[:1]))

        assert job["state"] == "refused"
        assert job["reason"].startswith("rows: ")

    def test_jobs_are_listed_the_latest_first_and_of_their_model_only(self, client: TestClient) -> None:
        jobs = [outcome(client, begin(client, ROWS[:1])) for _ in range(2)]

        assert client.get(URL).json()["recalibrations"] == jobs[::-1]
        assert client.get("/v2/models/nobody/recalibrations").status_code == 404
        assert "no re-calibration '0123'" in client.get(f"{URL}/0123").json()["error"]
        assert "nobody" in client.get("/v2/models/nobody/recalibrations/0123").json()["error"]
        assert "re-calibration" not in client.delete("/v2/models/nobody/recalibrations/0123").json()["error"]
        assert client.delete(f"{URL}/{jobs[0]['id']}").status_code == 400


class TestCollected:
    @staticmethod
    def send(client: TestClient, rows: np.ndarray, headers: dict[str, str] | None = None) -> None:
        answer = client.post("/v2/models/tiny/infer", json={"inputs": [tensor(rows)]}, headers=headers)
        assert answer.status_code == 200, answer.text

    def test_rows_of_the_traffic_become_a_version(self, client: TestClient) -> None:
        job = client.post(URL, json={"collect": 64, "parameters": {"spread": 2}}).json()
        assert job["state"] == "collecting"
        for row in range(0, 120, 8):
            self.send(client, ROWS[row : row + 8])
        known = client.get(f"{URL}/{job['id']}").json()
        assert (known["state"], known["rows"], known["seen"]) == ("collecting", 64, 120)
        self.send(client, ROWS[120:])
        done = outcome(client, job)

        assert (done["state"], done["rows"], done["seen"]) == ("published", 64, 128)
        # These rows are gone, so nobody could label them; of the same rows, sent, some would be named.
        assert done["rows_to_label"] == []
        assert outcome(client, begin(client))["rows_to_label"]

    def test_rows_of_other_versions_are_not_collected(self, client: TestClient, repository: Repository) -> None:
        repository.publish(tiny_bundle(seed=7), candidate=True)
        client.post("/v2/repository/models/tiny/load")
        job = client.post("/v2/models/tiny/versions/2/recalibrations", json={"collect": 64}).json()
        self.send(client, ROWS)

        assert client.get(f"{URL}/{job['id']}").json()["seen"] == 0
        assert client.delete(f"{URL}/{job['id']}").json()["state"] == "cancelled"

    def test_rows_that_another_version_answers_are_collected_if_it_was_made_from_this_one(
        self, client: TestClient, repository: Repository
    ) -> None:
        repository.publish(recalibrated(tiny_bundle(seed=7), 1), candidate=True)
        repository.publish(tiny_bundle(seed=8), candidate=True)
        client.post("/v2/repository/models/tiny/load")
        url = "/v2/models/tiny/versions/1/recalibrations"
        body = {"collect": 64, "parameters": {"answered_by": 3}}
        answer = client.post(url, json=body)
        assert answer.status_code == 400
        assert "parameters.answered_by: version 3 was not re-calibrated from version 1" in answer.json()["error"]

        job = client.post(url, json={"collect": 64, "parameters": {"answered_by": 2}}).json()
        self.send(client, ROWS)
        assert client.get(f"{URL}/{job['id']}").json()["seen"] == 0
        sent = client.post("/v2/models/tiny/versions/2/infer", json={"inputs": [tensor(ROWS)]})
        assert sent.status_code == 200
        assert client.get(f"{URL}/{job['id']}").json()["seen"] == len(ROWS)
        assert client.delete(f"{URL}/{job['id']}").json()["state"] == "cancelled"

    def test_what_is_not_estimated_to_be_better_is_not_published(self, client: TestClient) -> None:
        """This model has no held-out rows, so that nothing is estimated."""
        job = outcome(client, begin(client, require_gain=True))

        assert job["state"] == "refused"
        assert job["reason"].startswith("the estimated accuracy is not better: not known")

    def test_rows_that_have_moved_are_told_by_held_out_rows_only(self, client: TestClient) -> None:
        """This model has none."""
        job = outcome(client, begin(client, only_moved=True))

        assert job["only_moved"]
        assert job["state"] == "refused"
        assert job["reason"] == "only_moved: the version keeps no held-out rows that others can be told from"

    def test_it_is_refused_when_too_few_rows_come_in_time(self, client: TestClient) -> None:
        body = {"collect": 64, "parameters": {"timeout_seconds": 0.001}}
        job = outcome(client, client.post(URL, json=body).json())

        assert (job["state"], job["reason"]) == ("refused", "0 of 64 rows came in 0.001 seconds")

    def test_one_job_collects_rows_of_a_version_and_few_are_open(
        self, client: TestClient, repository: Repository
    ) -> None:
        first = client.post(URL, json={"collect": 64}).json()
        assert client.post(URL, json={"collect": 64}).json()["error"].startswith("collect: ")
        for number in range(2, MAX_OPEN_JOBS + 2):
            repository.publish(tiny_bundle(seed=number), candidate=True)
            client.post(f"/v2/repository/models/tiny/versions/{number}/load")
        answers = [
            client.post(f"/v2/models/tiny/versions/{number}/recalibrations", json={"collect": 64}).status_code
            for number in range(2, MAX_OPEN_JOBS + 2)
        ]
        assert answers == [202] * (MAX_OPEN_JOBS - 1) + [503]
        assert client.delete(f"{URL}/{first['id']}").json()["state"] == "cancelled"
        assert client.post(URL, json={"collect": 64}).status_code == 202

    def test_one_client_fills_at_most_a_quarter_where_clients_have_keys(self, repository: Repository) -> None:
        keys = [f"the-key-of-client-{number}" for number in range(4)]
        settings = Settings(repository=repository.root, api_keys=SecretStr(",".join(keys)))
        with TestClient(create_app(settings), "http://127.0.0.1:8000") as client:
            job = client.post(URL, json={"collect": 64, "parameters": {"spread": 1}}).json()
            self.send(client, ROWS, {"Authorization": f"Bearer {keys[0]}"})
            known = client.get(f"{URL}/{job['id']}").json()
            assert (known["state"], known["rows"]) == ("collecting", 16)
            for key in keys[1:]:
                self.send(client, ROWS[:32], {"Authorization": f"Bearer {key}"})

            assert outcome(client, job)["rows"] == 64
