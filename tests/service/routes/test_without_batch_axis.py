"""Models whose first axis is no batch: fixed, independent, data-dependent, or no axis at all.

The oracle is numpy. Every model is predicted by each protocol and encoding that can express its tensors.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.datatypes import from_numpy
from models.repository.repository import Repository
from service.app import create_app
from service.settings import Settings
from tests.bundles import text_bundle

LENGTH = "Inference-Header-Content-Length"
Arrays = dict[str, np.ndarray]


class Case(NamedTuple):
    """A graph, what it is given, and what it gives."""

    graph: str
    inputs: Arrays
    expected: Callable[..., list[Any]]
    batch_axis: bool | None = None


X, Y = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(12, dtype=np.float32).reshape(4, 3) - 5
SCALAR = np.array(2.5, np.float32)

CASES = {
    "fixed": Case("(float[2, 3] x) => (float[2, 3] y) { y = Neg(x) }", {"x": X}, lambda x: [-x]),
    "fixed-one": Case("(float[1, 3] x) => (float[1, 3] y) { y = Neg(x) }", {"x": X[:1]}, lambda x: [-x]),
    "vector": Case("(float[3] x) => (float[3] y) { y = Neg(x) }", {"x": X[0]}, lambda x: [-x]),
    "free-vector": Case("(float[N] x) => (float[N] y) { y = Neg(x) }", {"x": X[0]}, lambda x: [-x]),
    "scalar": Case("(float x) => (float y) { y = Neg(x) }", {"x": SCALAR}, lambda x: [-x]),
    "text": Case("(string x) => (string y) { y = Identity(x) }", {"x": np.array("é", object)}, lambda x: [x]),
    "sum": Case(
        "(float[N, 3] x) => (float y) { y = ReduceSum <keepdims = 0> (x) }", {"x": X}, lambda x: [x.sum(dtype=x.dtype)]
    ),
    "independent": Case(
        "(float[N, 3] x, float[M, 3] y) => (float[N, M] z) { t = Transpose <perm = [1, 0]> (y) z = MatMul(x, t) }",
        {"x": X, "y": Y},
        lambda x, y: [x @ y.T],
        batch_axis=False,
    ),
    "mixed": Case(
        "(float[N, 3] x, float s) => (float[N, 3] z, float[3] t) { axes = Constant <value_ints = [0]> () "
        "z = Mul(x, s) t = ReduceSum <keepdims = 0> (x, axes) }",
        {"x": X, "s": SCALAR},
        lambda x, s: [x * s, x.sum(axis=0)],
    ),
    "data-dependent": Case(
        "(float[N, 3] x) => (int64[2, K] y) { y = NonZero(x) }", {"x": X}, lambda x: [np.array(np.nonzero(x))]
    ),
}
"""By name of the model."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    repository = Repository(tmp_path_factory.mktemp("shapes") / "repository")
    for name, case in CASES.items():
        repository.publish(text_bundle(name, case.graph, batch_axis=case.batch_axis))
    settings = Settings(repository=repository.root, starters=False, concurrency=2)
    with TestClient(create_app(settings), "http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


every_case = pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES)


def tensors(case: Case, *, binary: bool) -> tuple[list[dict[str, Any]], bytes]:
    """The inputs, and what follows the JSON."""
    described, raw = [], []
    for name, array in case.inputs.items():
        tensor: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": from_numpy(array.dtype)}
        if binary:
            raw.append(to_bytes(array))
            tensor["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            tensor["data"] = array.reshape(-1).tolist()
        described.append(tensor)
    return described, b"".join(raw)


def to_bytes(array: np.ndarray) -> bytes:
    if array.dtype != object:
        return array.tobytes()
    return b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in array.reshape(-1))


def matches(case: Case, outputs: list[np.ndarray]) -> bool:
    expected = [np.asarray(value) for value in case.expected(**case.inputs)]
    return len(outputs) == len(expected) and all(
        got.shape == wanted.shape and (got == wanted).all() for got, wanted in zip(outputs, expected, strict=True)
    )


def outputs_of(response: Any) -> list[np.ndarray]:
    assert response.status_code == 200, response.text
    return [np.array(output["data"]).reshape(output["shape"]) for output in response.json()["outputs"]]


def test_the_comparison_can_fail() -> None:
    assert not matches(CASES["fixed"], [X])
    assert not matches(CASES["vector"], [-X[:1]])


@every_case
def test_tensors_in_json(client: TestClient, name: str, case: Case) -> None:
    described, _ = tensors(case, binary=False)

    assert matches(case, outputs_of(client.post(f"/v2/models/{name}/infer", json={"inputs": described})))


@every_case
def test_tensors_in_binary(client: TestClient, name: str, case: Case) -> None:
    described, raw = tensors(case, binary=True)
    head = json.dumps({"inputs": described}).encode()

    response = client.post(f"/v2/models/{name}/infer", content=head + raw, headers={LENGTH: str(len(head))})

    assert matches(case, outputs_of(response))


@pytest.mark.parametrize("name", ["fixed", "fixed-one", "vector", "free-vector", "scalar", "sum", "data-dependent"])
def test_a_raw_body(client: TestClient, name: str) -> None:
    case = CASES[name]
    (array,) = case.inputs.values()

    response = client.post(f"/v2/models/{name}/infer", content=to_bytes(array), headers={LENGTH: "0"})

    assert response.status_code == 200, response.text
    length = int(response.headers[LENGTH])
    (output,) = json.loads(response.content[:length])["outputs"]
    dtype = np.int64 if output["datatype"] == "INT64" else np.float32
    assert matches(case, [np.frombuffer(response.content[length:], dtype).reshape(output["shape"])])


@every_case
def test_columns(client: TestClient, name: str, case: Case) -> None:
    named = {key: array.tolist() for key, array in case.inputs.items()}

    for inputs in (named, *([named["x"]] if len(named) == 1 else [])):
        response = client.post(f"/v1/models/{name}:predict", json={"inputs": inputs})
        assert response.status_code == 200, response.text
        outputs = response.json()["outputs"]
        columns = outputs.values() if isinstance(outputs, dict) else [outputs]
        assert matches(case, [np.array(column) for column in columns])


@pytest.mark.parametrize("name", ["fixed", "fixed-one", "vector", "free-vector"])
def test_rows_where_the_outputs_are_made_of_as_many(client: TestClient, name: str) -> None:
    case = CASES[name]

    response = client.post(f"/v1/models/{name}:predict", json={"instances": case.inputs["x"].tolist()})

    assert matches(case, [np.array(response.json()["predictions"])])


@pytest.mark.parametrize("name", ["sum", "scalar", "independent", "mixed"])
def test_rows_that_do_not_exist_are_refused(client: TestClient, name: str) -> None:
    rows = [{key: array.tolist() for key, array in CASES[name].inputs.items()}] if name != "sum" else X.tolist()

    response = client.post(f"/v1/models/{name}:predict", json={"instances": rows})

    assert response.status_code == 400
    assert "instances" in response.json()["error"]


@pytest.mark.parametrize(("name", "shape"), [("vector", [2]), ("scalar", [1]), ("fixed", [2])])
def test_classes_are_of_the_whole_tensor(client: TestClient, name: str, shape: list[int]) -> None:
    described, _ = tensors(CASES[name], binary=False)
    body = {"inputs": described, "outputs": [{"name": "y", "parameters": {"classification": 2}}]}

    output = client.post(f"/v2/models/{name}/infer", json=body).json()["outputs"][0]

    assert (output["shape"], output["datatype"]) == (shape, "BYTES")
    (expected,) = CASES[name].expected(**CASES[name].inputs)
    best = np.argsort(-np.asarray(expected).reshape(-1), kind="stable")[: shape[0]]
    assert [int(text.split(":")[1]) for text in output["data"]] == best.tolist()


@every_case
def test_a_tensor_of_another_shape_is_refused(client: TestClient, name: str, case: Case) -> None:
    described, _ = tensors(case, binary=False)
    described[0]["shape"] = [*described[0]["shape"], 1]

    response = client.post(f"/v2/models/{name}/infer", json={"inputs": described})

    assert response.status_code == 400
    assert response.json()["error"].startswith("inputs[0].shape: ")


@every_case
def test_what_needs_rows_is_refused_in_words(client: TestClient, name: str, case: Case) -> None:
    unwatched = uncalibrated = "the model has no batch axis"
    if name == "free-vector":
        unwatched = "the model has no layers that can be observed"
        uncalibrated = "the model has no batch-normalisation layers"
    described, _ = tensors(case, binary=False)
    url = f"/v2/models/{name}"

    scored = client.post(f"{url}/infer", json={"inputs": described, "parameters": {"layer_statistics": True}})
    collected = client.post(f"{url}/recalibrations", json={"collect": 256})
    sent = client.post(f"{url}/recalibrations", json={"inputs": described})
    drift, live, card = (client.get(f"{url}/{path}") for path in ("drift", "live", "card"))

    for refused, reason in ((scored, unwatched), (collected, uncalibrated), (sent, uncalibrated)):
        assert refused.status_code == 400
        assert reason in refused.json()["error"]
    assert unwatched in drift.json()["message"]
    assert live.json()["rows"] == 0
    assert unwatched in card.json()["unavailable"]["watching"]


@pytest.mark.parametrize("name", CASES)
def test_the_configuration_has_whole_shapes(client: TestClient, name: str) -> None:
    configuration = client.get(f"/v2/models/{name}/config").json()
    statistics = client.get(f"/v2/models/{name}/stats").json()["model_stats"][0]
    metadata = client.get(f"/v2/models/{name}").json()

    is_batched = name == "free-vector"
    assert (configuration["max_batch_size"] == 0) is not is_batched
    assert ("dynamic_batching" in configuration) is is_batched
    dims = [tensor["dims"] for tensor in configuration["input"]]
    assert dims == [tensor["shape"][is_batched:] for tensor in metadata["inputs"]]
    assert is_batched or statistics["inference_count"] == statistics["inference_stats"]["success"]["count"]
