"""V2 inference over HTTP, against onnx's own reference implementation."""

import json
import struct
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from starlette.testclient import TestClient

from tests.bundles import tiny_bundle

URL = "/v2/models/tiny/infer"
ROWS = np.random.default_rng(5).normal(scale=3, size=(2, 4)).astype(np.float32)


def oracle(rows: np.ndarray) -> np.ndarray:
    """Logits of the source graph, with its BatchNormalization unfolded."""
    evaluator = ReferenceEvaluator(onnx.load_from_string(tiny_bundle().source))
    return evaluator.run(None, {"input": rows})[0]


def request(data: Any = None, **changes: Any) -> dict[str, Any]:
    tensor = {"name": "input", "datatype": "FP32", "shape": [2, 4], "data": ROWS.tolist() if data is None else data}
    return {"inputs": [{**tensor, **changes}]}


def error_of(response: Any, status: int = 400) -> str:
    assert response.status_code == status, response.text
    body = response.json()
    assert list(body) == ["error"]
    return body["error"]


@pytest.mark.parametrize("data", [ROWS.tolist(), ROWS.reshape(-1).tolist()], ids=["nested", "flat"])
def test_predictions_equal_the_unfolded_reference(client: TestClient, data: list[Any]) -> None:
    response = client.post(URL, json={"id": "42", **request(data)})

    assert response.status_code == 200
    body = response.json()
    output = body["outputs"][0]
    assert (body["model_name"], body["model_version"], body["id"]) == ("tiny", "1", "42")
    assert (output["name"], output["datatype"], output["shape"]) == ("logits", "FP32", [2, 2])
    got = np.array(output["data"]).reshape(output["shape"])
    np.testing.assert_allclose(got, oracle(ROWS), rtol=1e-5, atol=1e-6)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(got, oracle(ROWS[::-1]), rtol=1e-5, atol=1e-6)


def test_a_version_can_be_named(client: TestClient) -> None:
    assert client.post("/v2/models/tiny/versions/1/infer", json=request()).json()["model_version"] == "1"


def test_only_the_outputs_asked_for_are_returned(client: TestClient) -> None:
    response = client.post(URL, json={**request(), "outputs": [{"name": "logits"}]})

    assert [output["name"] for output in response.json()["outputs"]] == ["logits"]


def test_unknown_parameters_are_ignored(client: TestClient) -> None:
    assert client.post(URL, json={**request(), "parameters": {"mine": "x"}}).status_code == 200


def test_priority_and_timeout_are_taken(client: TestClient) -> None:
    parameters = {"priority": 1, "timeout": 60_000_000}

    assert client.post(URL, json={**request(), "parameters": parameters}).status_code == 200


def test_no_rows_give_no_rows(client: TestClient) -> None:
    response = client.post(URL, json=request([], shape=[0, 4]))

    assert response.json()["outputs"][0]["shape"] == [0, 2]


def test_a_request_without_content_type_is_read(client: TestClient) -> None:
    response = client.post(URL, content=json.dumps(request()), headers={"content-type": ""})

    assert response.status_code == 200


BAD_REQUESTS: dict[str, tuple[Any, str]] = {
    "no inputs": ({}, "inputs"),
    "inputs is no list": ({"inputs": 3}, "inputs"),
    "an input is no object": ({"inputs": [3]}, "inputs[0]"),
    "unknown name": (request(name="pixels"), "inputs[0].name"),
    "name missing": (request(name=None), "inputs[0].name"),
    "wrong datatype": (request(datatype="FP64"), "inputs[0].datatype"),
    "unknown datatype": (request(datatype="FLOAT"), "inputs[0].datatype"),
    "wrong rank": (request(shape=[8]), "inputs[0].shape"),
    "wrong width": (request(shape=[1, 8]), "inputs[0].shape"),
    "negative size": (request(shape=[-1, 4]), "inputs[0].shape"),
    "fractional size": (request(shape=[2.0, 4]), "inputs[0].shape"),
    "boolean size": (request([[1, 2, 3, 4]], shape=[True, 4]), "inputs[0].shape"),
    "enormous size": (request(shape=[2**62, 4]), "inputs[0].data"),
    "too few values": (request([1, 2, 3]), "inputs[0].data"),
    "too many rows": (request([[1, 2, 3, 4]] * 3), "inputs[0].data"),
    "transposed": (request(ROWS.T.tolist()), "inputs[0].data"),
    "ragged": (request([[1, 2, 3, 4], [1, 2, 3]]), "inputs[0].data"),
    "ragged, right in all": (request([[1, 2, 3, 4, 5], [1, 2, 3]]), "inputs[0].data"),
    "null": (request([1, 2, 3, 4, 5, None, 7, 8]), "inputs[0].data[5]"),
    "a string": (request([1, 2, 3, 4, 5, 6, "7", 8]), "inputs[0].data[6]"),
    "a boolean": (request([1, 2, 3, 4, 5, 6, 7, True]), "inputs[0].data[7]"),
    "an object": (request([1, 2, 3, 4, 5, 6, 7, {}]), "inputs[0].data[7]"),
    "beyond float32": (request([1, 2, 1e39, 4, 5, 6, 7, 8]), "inputs[0].data[2]"),
    "data is a number": (request(7), "inputs[0].data"),
    "given twice": ({"inputs": request()["inputs"] * 2}, "inputs[1].name"),
    "no data": ({"inputs": [{"name": "input", "datatype": "FP32", "shape": [2, 4]}]}, "inputs[0]"),
    "data twice": (request(parameters={"binary_data_size": 32}), "inputs[0]"),
    "shared memory": (request(parameters={"shared_memory_region": "x"}), "inputs[0].parameters.shared_memory_region"),
    "id is a number": ({"id": 7, **request()}, "id"),
    "parameters is a list": ({"parameters": [], **request()}, "parameters"),
    "negative priority": ({"parameters": {"priority": -1}, **request()}, "parameters.priority"),
    "binary output is a number": (
        {"parameters": {"binary_data_output": 1}, **request()},
        "parameters.binary_data_output",
    ),
    "timeout is a word": ({"parameters": {"timeout": "long"}, **request()}, "parameters.timeout"),
    "unknown output": ({"outputs": [{"name": "x"}], **request()}, "outputs[0].name"),
    "output twice": ({"outputs": [{"name": "logits"}] * 2, **request()}, "outputs[1].name"),
    "output is a string": ({"outputs": ["logits"], **request()}, "outputs[0]"),
    "outputs is an object": ({"outputs": {"name": "logits"}, **request()}, "outputs"),
    "a list": ([1], "body"),
    "a number": (7, "body"),
}


@pytest.mark.parametrize(("body", "field"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_a_bad_request_is_refused_by_the_name_of_its_field(client: TestClient, body: Any, field: str) -> None:
    assert error_of(client.post(URL, json=body)).startswith(f"{field}: ")
    assert client.post(URL, json=request()).status_code == 200


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_refused_by_its_place(client: TestClient, token: str) -> None:
    body = json.dumps(request([1, 2, 3, 4, 5, 6, 7, "x"])).replace('"x"', token)

    assert error_of(client.post(URL, content=body)).startswith("inputs[0].data[7]: ")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[" * 30_000, b'{"inputs":' * 5_000, b'{"a":1e999}', b"NaN", b'{"inputs": NaN'],
    ids=["empty", "cut", "binary", "deep list", "deep object", "huge number", "bare NaN", "cut NaN"],
)
def test_what_is_not_json_is_refused(client: TestClient, body: bytes) -> None:
    assert error_of(client.post(URL, content=body)).startswith("body: ")
    assert client.post(URL, json=request()).status_code == 200


def test_lists_that_nest_without_end_are_too_large_to_be_parsed(client: TestClient) -> None:
    assert error_of(client.post(URL, content=b"[" * 100_000), 413).startswith("body: ")


def test_deep_nesting_that_json_allows_is_refused(client: TestClient) -> None:
    body = json.dumps(request("x")).replace('"x"', "[" * 500 + "1" + "]" * 500)

    assert error_of(client.post(URL, content=body)).startswith("inputs[0].data: ")


def test_a_body_that_says_it_is_too_large_is_refused_unread(client: TestClient) -> None:
    assert error_of(client.post(URL, content=b" " * (1 << 20) + b"x"), 413).startswith("body: ")


def test_a_body_that_turns_out_too_large_is_refused(client: TestClient) -> None:
    chunks = (b" " * 65_536 for _ in range(40))

    assert error_of(client.post(URL, content=chunks), 413).startswith("body: ")


def test_a_compressed_body_is_refused(client: TestClient) -> None:
    response = client.post(URL, content=b"x", headers={"Content-Encoding": "br"})

    assert error_of(response, 415).startswith("Content-Encoding: ")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/v2/models/nobody/infer", "Request for unknown model: 'nobody' is not found; models: "),
        ("/v2/models/tiny/versions/7/infer", "Request for unknown model: 'tiny' version 7 is not found; versions: 1"),
        ("/v2/models/..%2Ftiny/infer", "no such path"),
        ("/v2/models/%2e%2e/infer", "Request for unknown model"),
        ("/v2/models/tiny%00/infer", "Request for unknown model"),
        ("/v2/models/tiny%0A/infer", "Request for unknown model"),
        ("/v2/models/.hidden/infer", "Request for unknown model"),
        ("/v2/models/" + "x" * 300 + "/infer", "Request for unknown model"),
    ],
)
def test_a_name_that_leads_nowhere_is_not_found(client: TestClient, url: str, words: str) -> None:
    assert words in error_of(client.post(url, json=request()), 404)


@pytest.mark.parametrize("version", ["0", "-1", "latest", "1.0", "99999999999999999999"])
def test_a_version_is_a_whole_number(client: TestClient, version: str) -> None:
    response = client.post(f"/v2/models/tiny/versions/{version}/infer", json=request())

    assert response.status_code in (400, 404)
    assert "version" in response.json()["error"]


# Binary tensors


def binary_request(rows: np.ndarray, tail: bytes | None = None, **parameters: Any) -> tuple[bytes, dict[str, str]]:
    raw = rows.tobytes() if tail is None else tail
    tensor = {"name": "input", "datatype": "FP32", "shape": list(rows.shape)}
    tensor["parameters"] = {"binary_data_size": rows.nbytes}
    header = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    return header + raw, {"Inference-Header-Content-Length": str(len(header))}


def test_binary_tensors_go_both_ways(client: TestClient) -> None:
    body, headers = binary_request(ROWS, binary_data_output=True)
    response = client.post(URL, content=body, headers=headers)

    length = int(response.headers["Inference-Header-Content-Length"])
    output = json.loads(response.content[:length])["outputs"][0]
    got = np.frombuffer(response.content[length:], dtype="<f4").reshape(output["shape"])
    assert response.headers["content-type"] == "application/octet-stream"
    assert output["parameters"] == {"binary_data_size": got.nbytes}
    np.testing.assert_allclose(got, oracle(ROWS), rtol=1e-5, atol=1e-6)


def test_an_output_can_refuse_the_binary_default(client: TestClient) -> None:
    request_ = {**request(), "parameters": {"binary_data_output": True}}
    request_["outputs"] = [{"name": "logits", "parameters": {"binary_data": False}}]

    assert len(client.post(URL, json=request_).json()["outputs"][0]["data"]) == 4


def test_a_raw_body_is_the_one_input(client: TestClient) -> None:
    response = client.post(URL, content=ROWS.tobytes(), headers={"Inference-Header-Content-Length": "0"})

    length = int(response.headers["Inference-Header-Content-Length"])
    got = np.frombuffer(response.content[length:], dtype="<f4").reshape(2, 2)
    np.testing.assert_allclose(got, oracle(ROWS), rtol=1e-5, atol=1e-6)


BAD_BINARY = {
    "bytes missing": (binary_request(ROWS, ROWS.tobytes()[:-1]), "inputs[0].parameters.binary_data_size"),
    "bytes left over": (binary_request(ROWS, ROWS.tobytes() + b"x"), "body"),
    "not a number": (binary_request(ROWS, ROWS.tobytes()[:-4] + struct.pack("<f", float("nan"))), "inputs[0].data[7]"),
    "half a row raw": ((b"12345", {"Inference-Header-Content-Length": "0"}), "body"),
    "length beyond the body": ((b"{}", {"Inference-Header-Content-Length": "3"}), "Inference-Header-Content-Length"),
    "length negative": ((b"{}", {"Inference-Header-Content-Length": "-1"}), "Inference-Header-Content-Length"),
    "length too long": ((b"{}", {"Inference-Header-Content-Length": "9" * 50}), "Inference-Header-Content-Length"),
    "length a word": ((b"{}", {"Inference-Header-Content-Length": "two"}), "Inference-Header-Content-Length"),
}


@pytest.mark.parametrize(("sent", "field"), BAD_BINARY.values(), ids=BAD_BINARY.keys())
def test_a_bad_binary_request_is_refused_by_its_field(
    client: TestClient, sent: tuple[bytes, dict[str, str]], field: str
) -> None:
    body, headers = sent

    assert error_of(client.post(URL, content=body, headers=headers)).startswith(f"{field}: ")
    assert client.post(URL, json=request()).status_code == 200


@pytest.mark.parametrize("size", [-1, 1.5, "32", True])
def test_a_binary_size_is_a_whole_number(client: TestClient, size: Any) -> None:
    body = {
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [2, 4], "parameters": {"binary_data_size": size}}]
    }

    assert error_of(client.post(URL, json=body)).startswith("inputs[0].parameters.binary_data_size: ")


class TestAnything:
    """Whatever is sent, the answer is a prediction or an error in the protocol's format."""

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers(-10, 10) | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=10,
    )
    tensors = st.fixed_dictionaries(
        {},
        optional={
            "name": st.just("input") | json_values,
            "datatype": st.just("FP32") | json_values,
            "shape": st.just([1, 4]) | json_values,
            "data": st.just([1, 2, 3, 4]) | json_values,
            "parameters": json_values,
        },
    )

    @given(body=st.fixed_dictionaries({}, optional={"inputs": st.lists(tensors, max_size=2), "outputs": json_values}))
    def test_objects(self, client: TestClient, body: Any) -> None:
        self.check(client.post(URL, content=json.dumps(body)))

    @given(body=st.binary(max_size=200), length=st.integers(-1, 100))
    def test_bytes(self, client: TestClient, body: bytes, length: int) -> None:
        self.check(client.post(URL, content=body, headers={"Inference-Header-Content-Length": str(length)}))

    @staticmethod
    def check(response: Any) -> None:
        assert response.status_code in (200, 400)
        if response.status_code == 400:
            assert set(response.json()) == {"error"}
