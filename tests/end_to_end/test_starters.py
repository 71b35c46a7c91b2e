"""What a newcomer meets: the starter models, the docs page, and that every example on it runs as it stands."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from tests.end_to_end.conftest import TIMEOUT_SECONDS, Process


@pytest.fixture(scope="module")
def client(starters: Process) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=starters.url, timeout=TIMEOUT_SECONDS) as client:
        yield client


def operations(client: httpx2.Client) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, verbs in client.get("/openapi.json").json()["paths"].items():
        for verb, operation in verbs.items():
            yield verb, path, operation


def example_requests(client: httpx2.Client) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Every operation with its own examples filled in, as the docs page does: verb, path, description and body."""
    for verb, path, operation in operations(client):
        query = {}
        for parameter in operation.get("parameters", []):
            # The docs page fills in examples of the parameter itself, and only shows those of its schema.
            (example,) = parameter["examples"].values()
            if parameter["in"] == "query":
                # As JavaScript writes it: true, and not True.
                query[parameter["name"]] = str(example["value"]).lower()
            path = path.replace("{" + parameter["name"] + "}", str(example["value"]))
        if query:
            path = f"{path}?{urlencode(query)}"
        content = operation.get("requestBody", {}).get("content", {})
        if "image/png" in content:  # its other examples are for models of texts
            yield verb, path, operation["description"], {"content": client.get("/docs/seven.png").content}
        elif "application/json" in content:
            for example in content["application/json"]["examples"].values():
                yield verb, path, operation["description"], {"json": example["value"]}
        else:
            yield verb, path, operation["description"], {}


EVENTS = "/v2/events"
NEEDS_MORE = {
    ("get", "/v2/models/mlp/recalibrations/0123456789abcdef?wait=0"),
    ("delete", "/v2/models/mlp/recalibrations/0123456789abcdef"),
    ("post", "/v2/models/mlp/versions/1/recalibrations"),
    ("post", "/v2/models/mlp/reference"),
    ("post", "/v2/models/mlp/versions/1/reference"),
    ("get", "/v2/models/mlp/reference/0123456789abcdef?wait=0"),
    ("delete", "/v2/models/mlp/reference/0123456789abcdef"),
    ("get", "/v2/models/mlp/quantizations/0123456789abcdef?wait=0"),
    ("delete", "/v2/models/mlp/quantizations/0123456789abcdef"),
    ("post", "/v2/models/mlp/generate"),
    ("post", "/v2/models/mlp/versions/1/generate"),
    ("put", "/v2/models/mlp/rollout/canary"),
    ("put", "/v2/models/mlp/rollout/shadow"),
    ("put", "/v2/models/mlp/rollout/domains"),
    ("post", "/v2/models/mlp/rollout/rollback"),
    ("post", "/v2/repository/models/mlp/versions/1/unload"),
    ("post", "/v1/models/mlp:regress"),
    ("post", "/v1/models/mlp/versions/1:regress"),
    ("post", "/v1/models/mlp/labels/stable:regress"),
}
"""A newcomer has one version of each model, no regression or generator among them, and rows are collected already."""


def test_every_example_on_the_docs_page_runs_as_it_stands(client: httpx2.Client) -> None:
    requests = list(example_requests(client))
    assert len(requests) > 20
    # Unloading comes last, so that it does not take the others' model away.
    for verb, path, description, body in sorted(requests, key=lambda request: "unload" in request[1]):
        if path == EVENTS:
            continue  # without an end: the test below reads its beginning
        response = client.request(verb, path, **body)
        expected = {400, 404} if (verb, path) in NEEDS_MORE else {200, 202}
        assert response.status_code in expected, (verb, path, response.text)
        if (verb, path) in NEEDS_MORE:
            assert "\n\nThe example needs " in description, (verb, path)
    assert client.post("/v2/repository/models/mlp/load").status_code == 200


def test_events_come_as_they_happen(client: httpx2.Client) -> None:
    with client.stream("GET", EVENTS) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        kind, data = next(lines), next(lines)

    assert kind == "event: statistics"
    assert {"mlp", "convnet"} >= {found["model"] for found in json.loads(data.removeprefix("data: "))["models"]}


def test_every_operation_is_described(client: httpx2.Client) -> None:
    for verb, path, operation in operations(client):
        assert operation["summary"], (verb, path)
        successes = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        assert successes, (verb, path)
        assert all("content" in success for success in successes), (verb, path)
        assert "422" not in operation["responses"], (verb, path)


@pytest.mark.parametrize("model", ["mlp", "convnet"])
def test_both_starters_read_the_example_image_as_a_seven(client: httpx2.Client, model: str) -> None:
    answer = client.post(f"/v2/models/{model}/predict", content=client.get("/docs/seven.png").content).json()

    assert answer["label"] == "7"
    assert answer["probability"] > 0.5
    assert sum(entry["probability"] for entry in answer["probabilities"]) == pytest.approx(1)


@pytest.mark.parametrize("model", ["mlp", "convnet"])
def test_every_layer_of_the_starters_is_folded(client: httpx2.Client, model: str) -> None:
    layers = client.get(f"/v2/models/{model}/layers").json()["layers"]

    assert layers
    assert {layer["placement"]["kind"] for layer in layers} == {"folded_back"}


def test_the_docs_page_needs_no_other_host(client: httpx2.Client) -> None:
    page = client.get("/docs").text

    assert "http://" not in page
    assert "https://" not in page
