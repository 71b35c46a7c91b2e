"""The examples of errors in the description of the API are what the service answers, and each operation's own."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings

MLP = "/v2/models/mlp"
INVALID: dict[str, tuple[str, str, Any]] = {
    "list_versions": ("POST", "/v2/repository/index", {"redy": True}),
    "load_model": ("POST", "/v2/repository/models/mlp/load", {"parameters": {"config": "{}"}}),
    "unload_model": ("POST", "/v2/repository/models/mlp/unload", {"parametres": {}}),
    "load_version": ("POST", "/v2/repository/models/mlp/versions/latest/load", None),
    "unload_version": ("POST", "/v2/repository/models/mlp/versions/1/unload", None),
    "prune_model": ("POST", "/v2/repository/models/mlp/prune", {"keep": 0}),
    "set_canary": ("PUT", f"{MLP}/rollout/canary", {"version": 1, "share": 2}),
    "set_shadow": ("PUT", f"{MLP}/rollout/shadow", {"version": 1}),
    "promote_version": ("POST", f"{MLP}/rollout/promote", None),
    "roll_back": ("POST", f"{MLP}/rollout/rollback", None),
    "set_label": ("PUT", f"{MLP}/rollout/labels/canary", {"version": 1}),
    "start_recalibration": ("POST", f"{MLP}/recalibrations", {"collect": 5}),
    "start_reference": ("POST", f"{MLP}/reference", {"collect": 5}),
    "start_quantization": ("POST", f"{MLP}/quantizations", {"colect": 256}),
    "begin_baseline": ("POST", f"{MLP}/baseline", {"rows": "many"}),
    "start_auto": ("PUT", f"{MLP}/auto", {"rows": 5}),
    "infer": (
        "POST",
        f"{MLP}/infer",
        {"inputs": [{"name": "input", "shape": [1, 783], "datatype": "FP32", "data": [0] * 783}]},
    ),
    "predict": ("POST", "/v1/models/mlp:predict", {"instances": [[0] * 783]}),
    "classify": ("POST", "/v1/models/mlp:classify", {"examples": [{"pixels": 1}]}),
    "regress": ("POST", "/v1/models/mlp:regress", {"examples": [{"input": [0] * 784}]}),
    "predict_labels": ("POST", f"{MLP}/predict", "GIF89a"),
    "generate_images": ("POST", f"{MLP}/generate", {"count": 4}),
    "normalize_with_layer": ("POST", f"{MLP}/layers/hidden.0.norm/normalize", {"data": [[1, 2]]}),
    "normalize": ("POST", "/v2/normalize", {"data": [[1, 2], [3]]}),
    "get_live_model": ("GET", f"{MLP}/live?window=1w", None),
    "get_live_layer": ("GET", f"{MLP}/layers/hidden.0.norm/live?windw=1h", None),
    "get_channel_history": ("GET", f"{MLP}/layers/hidden.0.norm/history?channel=64", None),
    "get_drift_overview": ("GET", "/v2/drift?windw=1h", None),
    "get_drift": ("GET", f"{MLP}/drift?window=1w", None),
    "get_drift_history": ("GET", f"{MLP}/drift/history?window=1w", None),
    "send_labels": ("POST", f"{MLP}/labels", {"labels": {}}),
}
"""A request that is refused with 400, by operation."""

MISSPELT = {
    "model": ("mlp", "mpl"),
    "version": ("1", "9"),
    "layer": ("hidden.0.norm", "hidden.9.norm"),
    "label": ("stable", "stabel"),
    "job": ("0123456789abcdef", "0123456789abcdef"),
}
"""What each parameter of a path is, and what it is when it names nothing."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = Settings(repository=tmp_path_factory.mktemp("starters") / "repository", log_level="error")
    with TestClient(create_app(settings), "http://127.0.0.1:8000") as client:
        yield client


Operations = list[tuple[str, str, dict[str, Any]]]


@pytest.fixture(scope="module")
def operations(client: TestClient) -> Operations:
    """Method, path and description of each."""
    paths = client.get("/openapi.json").json()["paths"]
    return [(method, path, operation) for path, methods in paths.items() for method, operation in methods.items()]


def messages(operation: dict[str, Any], status: str) -> dict[str, str]:
    """The examples of one status, by name."""
    examples = operation["responses"][status]["content"]["application/json"].get("examples", {})
    return {name: example["value"]["error"] for name, example in examples.items()}


def test_every_error_of_every_operation_has_an_example(operations: Operations) -> None:
    missing = [
        (path, status)
        for _, path, operation in operations
        for status in operation["responses"]
        if status[0] in "45d" and not messages(operation, status)
    ]

    assert missing == []


def test_the_examples_of_what_is_not_there_are_what_the_service_answers(
    client: TestClient, operations: Operations
) -> None:
    checked = 0
    for method, path, operation in operations:
        if "404" not in operation["responses"]:
            continue
        examples = messages(operation, "404")
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        body = next(iter(content.get("examples", {}).values()), {"value": None})["value"]
        for wrong, message in examples.items():
            address = path
            for name, (right, misspelt) in MISSPELT.items():
                address = address.replace(f"{{{name}}}", misspelt if name == wrong else right)
            response = client.request(method, address, json=body)
            assert (response.status_code, response.json()["error"]) == (404, message), (method, address)
            checked += 1
    assert checked > 100


@pytest.mark.parametrize("kind", INVALID)
def test_the_examples_of_invalid_requests_are_what_the_service_answers(
    client: TestClient, operations: Operations, kind: str
) -> None:
    method, address, body = INVALID[kind]
    described = next(operation for _, _, operation in operations if operation["operationId"] == kind)

    sent = {"content": body} if isinstance(body, str) else {"json": body}
    response = client.request(method, address, **sent)

    assert (response.status_code, response.json()["error"]) == (400, messages(described, "400")["invalid"])


@pytest.mark.parametrize(
    ("status", "headers"), [("413", {"Content-Length": "99999999"}), ("415", {"Content-Encoding": "br"})]
)
def test_the_examples_of_refused_bodies_are_what_the_service_answers(
    client: TestClient, operations: Operations, status: str, headers: dict[str, str]
) -> None:
    described = [operation for _, _, operation in operations if status in operation["responses"]]

    response = client.post(f"{MLP}/infer", content=b"{}", headers=headers)

    assert len(described) > 10
    assert {message for operation in described for message in messages(operation, status).values()} == {
        response.json()["error"]
    }
