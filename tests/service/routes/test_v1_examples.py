"""TensorFlow Serving's classify and regress."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from service.app import create_app
from service.settings import Settings
from tests.bundles import text_bundle

ROWS = [[0.5, -1.0, 2.0, 0.25], [1.0, 1.0, -1.0, 3.0]]


@pytest.fixture(scope="module")
def regressing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Half of a number plus two, as TensorFlow Serving's own example has it; and the product of two features."""
    repository = Repository(tmp_path_factory.mktemp("regress") / "repository")
    constants = "half = Constant <value_float = 0.5> () two = Constant <value_float = 2.0> ()"
    graph = f"(float[N, 1] x) => (float[N, 1] y) {{ {constants} h = Mul(x, half) y = Add(h, two) }}"
    repository.publish(text_bundle("half_plus_two", graph))
    repository.publish(text_bundle("product", "(float[N] a, float[N] b) => (float[N] y) { y = Mul(a, b) }"))
    repository.publish(text_bundle("single", "(float[1] x) => (float[1] y) { y = Neg(x) }"))
    settings = Settings(repository=repository.root, starters=False)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("path", ["", "/versions/1", "/labels/stable"])
def test_every_class_comes_with_its_label_and_probability(client: TestClient, path: str) -> None:
    examples = [{"input": row} for row in ROWS]
    logits = np.array(client.post("/v1/models/tiny:predict", json={"instances": ROWS}).json()["predictions"])

    results = client.post(f"/v1/models/tiny{path}:classify", json={"examples": examples}).json()["results"]

    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert [[label for label, _ in classes] for classes in results] == [["no", "yes"]] * 2
    np.testing.assert_allclose([[score for _, score in classes] for classes in results], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "body", "results"),
    [
        ("half_plus_two", {"examples": [{"x": 1.0}, {"x": [2.0]}, {"x": 5}]}, [2.5, 3, 4.5]),
        ("half_plus_two", {"signature_name": "tensorflow/serving/regress", "examples": [{"x": 0}]}, [2.0]),
        ("product", {"examples": [{"a": 2, "b": 3}, {"a": 4, "b": 5}]}, [6, 20]),
        ("product", {"context": {"a": 2}, "examples": [{"b": 3}, {"b": 5}]}, [6, 10]),
    ],
)
def test_each_example_gets_a_number(regressing: TestClient, model: str, body: Any, results: list[float]) -> None:
    assert regressing.post(f"/v1/models/{model}:regress", json=body).json() == {"results": results}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "examples: missing or null, expected a list"),
        ({"examples": []}, "examples: got an empty list"),
        ({"examples": [1]}, "examples[0]: got a number, expected an object"),
        ({"examples": [{"y": 1}]}, "examples[0]: got ['y'], expected exactly ['x']"),
        ({"examples": [{"x": [1, 2]}]}, "examples[*].x.shape: got [1, 2]"),
        ({"examples": [{"x": 1}, {"x": [1, 2]}]}, "examples[*].x: got lists that differ in length"),
        ({"examples": [{"x": "1"}]}, "examples[*].x[0]: got a string, expected FP32"),
        ({"context": {"x": 1}, "examples": [{"x": 1}]}, "examples[0]: 'x' is in the context already"),
        ({"context": 1, "examples": [{"x": 1}]}, "context: got a number, expected an object"),
        ({"signature_name": "other", "examples": [{"x": 1}]}, "signature_name: got 'other'"),
    ],
)
def test_what_is_no_example_is_refused_by_its_field(regressing: TestClient, body: Any, message: str) -> None:
    response = regressing.post("/v1/models/half_plus_two:regress", json=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(message)


@pytest.mark.parametrize(
    ("model", "verb"), [("half_plus_two", "classify"), ("single", "classify"), ("single", "regress")]
)
def test_a_model_that_does_not_say_so(regressing: TestClient, model: str, verb: str) -> None:
    response = regressing.post(f"/v1/models/{model}:{verb}", json={"examples": [{"x": 1}]})

    assert response.status_code == 400
    assert response.json()["error"].startswith("model: output 'y' ")


def test_a_model_with_classes_has_no_one_number(client: TestClient) -> None:
    response = client.post("/v1/models/tiny:regress", json={"examples": [{"input": ROWS[0]}]})

    assert response.json()["error"] == "model: output 'logits' is not one number a row: send the request to :predict"


@pytest.mark.parametrize("name", ["serving_default", ""])
def test_the_one_signature_can_be_named(client: TestClient, name: str) -> None:
    body = {"signature_name": name, "instances": ROWS}

    assert client.post("/v1/models/tiny:predict", json=body).status_code == 200


@pytest.mark.parametrize("name", ["other", 1, None])
def test_no_other_signature_can(client: TestClient, name: Any) -> None:
    response = client.post("/v1/models/tiny:predict", json={"signature_name": name, "instances": ROWS})

    assert response.status_code == 400
    assert response.json()["error"].startswith("signature_name: ")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_long_answers_are_compressed(client: TestClient, encoding: str) -> None:
    body = {"instances": ROWS * 100}
    plain = client.post("/v1/models/tiny:predict", json=body, headers={"Accept-Encoding": "identity"})

    packed = client.post("/v1/models/tiny:predict", json=body, headers={"Accept-Encoding": encoding})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == encoding
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert packed.json() == plain.json()
