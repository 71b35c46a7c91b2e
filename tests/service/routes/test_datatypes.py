"""Every data type of the protocol, both ways, in JSON, as binary tensors and as raw bodies.

The models give back what they are given, so the oracle is the request itself.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_dtypes import bfloat16
from starlette.testclient import TestClient

from models.datatypes import DATATYPES, FLOATING, Datatype, to_numpy
from models.repository.repository import Repository
from service.app import create_app
from service.settings import Settings
from tests.bundles import echo_bundle

LENGTH = "Inference-Header-Content-Length"

VALUES: dict[Datatype, list[Any]] = {
    "BOOL": [True, False, False, True],
    "UINT8": [0, 255, 1, 2],
    "UINT16": [0, 65535, 1, 2],
    "UINT32": [0, 2**32 - 1, 1, 2],
    "UINT64": [0, 2**64 - 1, 2**53 + 1, 2],
    "INT8": [-128, 127, 0, 1],
    "INT16": [-32768, 32767, 0, 1],
    "INT32": [-(2**31), 2**31 - 1, 0, 1],
    "INT64": [-(2**63), 2**63 - 1, 2**53 + 1, 1],
    "FP16": [65504.0, -0.5, 0.0999755859375, 6e-8],
    "BF16": [3.3895313892515355e38, -0.5, 0.10009765625, 0.0],
    "FP32": [3.4028234663852886e38, -0.5, 0.10000000149011612, 1e-45],
    "FP64": [1.7976931348623157e308, -0.5, 0.1, 5e-324],
    "BYTES": ["", 'é\n"\\', "\U0001f600", "nul\0"],
}

BEYOND: dict[Datatype, list[Any]] = {
    "UINT8": [256, -1, 2**80],
    "UINT64": [2**64, -1],
    "INT8": [128, -129],
    "INT64": [2**63, -(2**63) - 1],
    "FP16": [65520, -65520.0, 1e39, 10**400],
    "BF16": [3.4e38, -1e39, 10**400],
    "FP32": [3.41e38, -1e39, 10**400],
    "FP64": [10**400],
}

NOT_OF_THE_TYPE: dict[Datatype, list[Any]] = {
    "BOOL": [1, 0.0, "true", None],
    "INT8": [1.0, True, "1", None],
    "BF16": [True, "1", None, {}],
    "FP32": [True, "1", None, {}],
    "BYTES": [1, 1.5, True, None, {"b64": "AA=="}],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("types") / "repository"
    for datatype in DATATYPES:
        Repository(root).publish(echo_bundle(datatype))
    return root


@pytest.fixture(scope="module", params=[0.0, 1000.0], ids=["in a thread", "inline"])
def client(root: Path, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    settings = Settings(repository=root, starters=False, max_body_mib=1, concurrency=2, inline_ms=request.param)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def accepting(root: Path) -> Iterator[TestClient]:
    """A service that takes NaN and infinities."""
    settings = Settings(repository=root, starters=False, nan="accept")
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def url(datatype: Datatype) -> str:
    return f"/v2/models/{datatype.lower()}/infer"


def packed(values: Any, datatype: Datatype) -> bytes:
    """The binary form, from the protocol's text and not from the service's code."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)
    return np.array(values, to_numpy(datatype)).tobytes()


def tensor(datatype: Datatype, shape: list[int], **members: Any) -> dict[str, Any]:
    return {"name": "input", "datatype": datatype, "shape": shape, **members}


def post_binary(
    client: TestClient, datatype: Datatype, shape: list[int], raw: bytes, *, binary_out: bool = True
) -> Any:
    described = tensor(datatype, shape, parameters={"binary_data_size": len(raw)})
    header = json.dumps({"inputs": [described], "parameters": {"binary_data_output": binary_out}}).encode()
    return client.post(url(datatype), content=header + raw, headers={LENGTH: str(len(header))})


def binary_answer(response: Any) -> tuple[dict[str, Any], bytes]:
    assert response.status_code == 200, response.text
    length = int(response.headers.get(LENGTH, len(response.content)))
    return json.loads(response.content[:length])["outputs"][0], response.content[length:]


def error_of(response: Any) -> str:
    assert response.status_code == 400, response.text
    return response.json()["error"]


@pytest.mark.parametrize("datatype", DATATYPES)
class TestBothWays:
    """What goes in comes out, to the last bit."""

    @pytest.mark.parametrize("nested", [False, True])
    def test_in_json(self, client: TestClient, datatype: Datatype, nested: bool) -> None:
        values = VALUES[datatype]
        data = [values[:2], values[2:]] if nested else values

        output = client.post(url(datatype), json={"inputs": [tensor(datatype, [2, 2], data=data)]}).json()["outputs"][0]

        assert (output["datatype"], output["shape"]) == (datatype, [2, 2])
        assert packed(output["data"], datatype) == packed(values, datatype)

    def test_in_binary(self, client: TestClient, datatype: Datatype) -> None:
        raw = packed(VALUES[datatype], datatype)

        output, answer = binary_answer(post_binary(client, datatype, [2, 2], raw))

        assert (output["datatype"], output["shape"]) == (datatype, [2, 2])
        assert output["parameters"] == {"binary_data_size": len(raw)}
        assert answer == raw

    def test_in_binary_and_out_in_json(self, client: TestClient, datatype: Datatype) -> None:
        raw = packed(VALUES[datatype], datatype)

        output = post_binary(client, datatype, [2, 2], raw, binary_out=False).json()["outputs"][0]

        assert packed(output["data"], datatype) == raw

    def test_as_a_raw_body(self, client: TestClient, datatype: Datatype) -> None:
        raw = packed(VALUES[datatype], datatype)
        response = client.post(url(datatype), content=raw, headers={LENGTH: "0"})

        if datatype == "BYTES":  # a raw body is one element, and this model takes two a row
            assert error_of(response).startswith("body: ")
        else:
            output, answer = binary_answer(response)
            assert (output["shape"], answer) == ([2, 2], raw)

    @pytest.mark.parametrize("data", [[], [[]]], ids=["no rows", "one row of nothing"])
    def test_of_no_elements_in_json(self, client: TestClient, datatype: Datatype, data: list[Any]) -> None:
        response = client.post(url(datatype), json={"inputs": [tensor(datatype, [0, 2], data=data)]})

        if data:
            assert error_of(response).startswith("inputs[0].data: ")
        else:
            assert response.json()["outputs"][0]["shape"] == [0, 2]
            assert response.json()["outputs"][0]["data"] == []

    def test_of_no_elements_in_binary_and_raw(self, client: TestClient, datatype: Datatype) -> None:
        responses = [post_binary(client, datatype, [0, 2], b"")]
        if datatype != "BYTES":
            responses.append(client.post(url(datatype), content=b"", headers={LENGTH: "0"}))
        for response in responses:
            output, answer = binary_answer(response)
            # Nothing follows the JSON part, so there is no header that says where it ends.
            assert LENGTH not in response.headers
            assert (output["shape"], output["parameters"], answer) == ([0, 2], {"binary_data_size": 0}, b"")

    def test_in_rows(self, client: TestClient, datatype: Datatype) -> None:
        values = VALUES[datatype]
        rows = [values[:2], values[2:]]

        for sent in ({"instances": rows}, {"inputs": rows}):
            answer = client.post(f"/v1/models/{datatype.lower()}:predict", json=sent).json()
            (got,) = answer.values()
            assert packed([value for row in got for value in row], datatype) == packed(values, datatype)


def places(cases: dict[Datatype, list[Any]]) -> list[Any]:
    return [pytest.param(name, value, id=f"{name} {value!r:.12}") for name, values in cases.items() for value in values]


@pytest.mark.parametrize(("datatype", "value"), places(BEYOND))
def test_a_number_beyond_the_type_is_refused_by_its_place(client: TestClient, datatype: Datatype, value: Any) -> None:
    error = error_of(client.post(url(datatype), json={"inputs": [tensor(datatype, [1, 2], data=[1, value])]}))

    if value == 10**400:  # the parser's own limit comes first
        assert error.startswith(("body: ", "inputs[0].data[1]: "))
    else:
        assert error.startswith("inputs[0].data[1]: ")


@pytest.mark.parametrize(("datatype", "value"), places(NOT_OF_THE_TYPE))
def test_a_value_of_another_type_is_refused_by_its_place(client: TestClient, datatype: Datatype, value: Any) -> None:
    good = VALUES[datatype][1]
    response = client.post(url(datatype), json={"inputs": [tensor(datatype, [1, 2], data=[good, value])]})

    assert error_of(response).startswith("inputs[0].data[1]: ")


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1.00390625, 1.01171875, -1e-40])
def test_bfloat16_rounds_to_the_nearest(client: TestClient, value: float) -> None:
    sent = {"inputs": [tensor("BF16", [1, 2], data=[value, -value])]}

    (got, _) = client.post(url("BF16"), json=sent).json()["outputs"][0]["data"]

    got = float(bfloat16(got))  # it is written with the digits of float32
    neighbours = (np.array([bfloat16(value)]).view(np.int16) + np.array([-1, 0, 1], np.int16)).view(bfloat16)
    assert abs(got - value) == min(abs(float(other) - value) for other in neighbours)


class TestText:
    """BYTES: what lengths and encodings can do wrong."""

    good = struct.pack("<I", 1) + b"a"

    @pytest.mark.parametrize(
        ("raw", "field"),
        [
            (good + b"\x05\0\0\0bcd", "inputs[0].data[1]"),
            (good + b"\xff\xff\xff\xffbcd", "inputs[0].data[1]"),
            (good + good[:3], "inputs[0].data[1]"),
            (good + b"\0\0\0", "inputs[0].data[1]"),
            (good + good + b"\0", "inputs[0].data"),
            (good * 3, "inputs[0].data"),
            (good, "inputs[0].data"),
            (b"", "inputs[0].data"),
            (good + struct.pack("<I", 2) + b"\xff\xfe", "inputs[0].data[1]"),
            (good + struct.pack("<I", 3) + b"\xed\xa0\x80", "inputs[0].data[1]"),
        ],
        ids=[
            "length beyond the body",
            "greatest length",
            "cut in a length",
            "cut in a length of nothing",
            "a byte left over",
            "an element too many",
            "an element too few",
            "nothing",
            "no UTF-8",
            "half a surrogate pair",
        ],
    )
    def test_bad_elements_are_refused_by_their_place(self, client: TestClient, raw: bytes, field: str) -> None:
        assert error_of(post_binary(client, "BYTES", [1, 2], raw)).startswith(f"{field}: ")
        assert binary_answer(post_binary(client, "BYTES", [1, 2], self.good * 2))[1] == self.good * 2

    def test_an_enormous_shape_is_refused_before_anything_is_made_of_it(self, client: TestClient) -> None:
        assert error_of(post_binary(client, "BYTES", [2**62, 2], self.good)).startswith("inputs[0].data: ")

    def test_other_bytes_than_text_are_refused_with_the_reason(self, client: TestClient) -> None:
        error = error_of(post_binary(client, "BYTES", [1, 2], self.good + struct.pack("<I", 2) + b"\xff\xfe"))

        assert error == (
            "inputs[0].data[1]: the bytes are not valid UTF-8 (invalid start byte), and strings of ONNX are"
        )

    def test_half_a_surrogate_pair_is_no_json(self, client: TestClient) -> None:
        for tail in ("", ',"parameters":{"x":NaN}'):
            body = f'{{"inputs":[{{"name":"input","datatype":"BYTES","shape":[1,2],"data":["\\ud800","a"]}}]{tail}}}'
            assert error_of(client.post(url("BYTES"), content=body)).startswith("body: ")

    def test_a_raw_body_is_the_one_element(self, tmp_path: Path) -> None:
        repository = Repository(tmp_path / "repository")
        repository.publish(echo_bundle("BYTES", width=1))
        with TestClient(create_app(Settings(repository=repository.root, starters=False))) as client:
            for text in ("é\0", ""):
                output, answer = binary_answer(client.post(url("BYTES"), content=text.encode(), headers={LENGTH: "0"}))
                assert (output["shape"], answer) == ([1, 1], packed([text], "BYTES"))
            assert error_of(client.post(url("BYTES"), content=b"\xff", headers={LENGTH: "0"})).startswith("body: ")

    def test_has_no_best_classes(self, client: TestClient) -> None:
        output = {"name": "logits", "parameters": {"classification": 1}}
        sent = {"inputs": [tensor("BYTES", [1, 2], data=["a", "b"])], "outputs": [output]}

        assert error_of(client.post(url("BYTES"), json=sent)).startswith("outputs[0].parameters.classification: ")

    @given(texts=st.lists(st.text(max_size=5), min_size=2, max_size=8).filter(lambda texts: len(texts) % 2 == 0))
    def test_any_text_goes_both_ways(self, client: TestClient, texts: list[str]) -> None:
        raw = packed(texts, "BYTES")
        shape = [len(texts) // 2, 2]

        assert binary_answer(post_binary(client, "BYTES", shape, raw))[1] == raw
        answer = client.post(url("BYTES"), json={"inputs": [tensor("BYTES", shape, data=texts)]})
        assert answer.json()["outputs"][0]["data"] == texts

    @given(raw=st.binary(max_size=40), rows=st.integers(0, 3))
    def test_any_bytes_are_answered(self, client: TestClient, raw: bytes, rows: int) -> None:
        assert post_binary(client, "BYTES", [rows, 2], raw).status_code in (200, 400)


@pytest.mark.parametrize("datatype", sorted(FLOATING))
class TestNumbersThatAreNone:
    """NaN and infinities, refused unless the service was told to take them."""

    tokens = ("NaN", "Infinity", "-Infinity", "null")

    def post(self, client: TestClient, datatype: Datatype, data: str, *, binary: bool = True) -> Any:
        described = json.dumps(tensor(datatype, [1, 2], data="?")).replace('"?"', data)
        parameters = json.dumps({"binary_data_output": binary})
        return client.post(url(datatype), content=f'{{"inputs":[{described}],"parameters":{parameters}}}')

    def test_are_refused_by_default(self, client: TestClient, datatype: Datatype) -> None:
        for token in self.tokens:
            assert error_of(self.post(client, datatype, f"[1, {token}]")).startswith("inputs[0].data[1]: ")
        for value in (np.nan, np.inf, -np.inf):
            raw = packed([1, value], datatype)
            assert error_of(post_binary(client, datatype, [1, 2], raw)).startswith("inputs[0].data[1]: ")
            raw_body = client.post(url(datatype), content=raw, headers={LENGTH: "0"})
            assert error_of(raw_body).startswith("body[1]: ")

    def test_are_taken_where_they_may(self, accepting: TestClient, datatype: Datatype) -> None:
        for token, value in zip(self.tokens, (np.nan, np.inf, -np.inf, np.nan), strict=True):
            _, answer = binary_answer(self.post(accepting, datatype, f"[1, {token}]"))
            got = np.frombuffer(answer, to_numpy(datatype)).astype(np.float64)
            np.testing.assert_array_equal(got, [1, value])

    def test_are_taken_in_binary_and_raw(self, accepting: TestClient, datatype: Datatype) -> None:
        raw = packed([np.nan, -np.inf], datatype)

        assert binary_answer(post_binary(accepting, datatype, [1, 2], raw))[1] == raw
        response = accepting.post(url(datatype), content=raw, headers={LENGTH: "0"})
        assert binary_answer(response)[1] == raw

    def test_are_null_in_json(self, accepting: TestClient, datatype: Datatype) -> None:
        data = self.post(accepting, datatype, "[NaN, Infinity]", binary=False).json()["outputs"][0]["data"]

        assert data == [None, None]

    def test_are_taken_in_rows(self, accepting: TestClient, datatype: Datatype) -> None:
        response = accepting.post(f"/v1/models/{datatype.lower()}:predict", content='{"instances": [[NaN, null]]}')

        assert response.json() == {"predictions": [[None, None]]}

    def test_are_not_what_overflows(self, accepting: TestClient, datatype: Datatype) -> None:
        big = {"FP16": "7e4", "BF16": "3.4e38", "FP32": "1e39", "FP64": "1e309"}[datatype]
        for data in (f"[1, {big}]", f"[NaN, {big}]", f"[null, -{big}]"):
            assert error_of(self.post(accepting, datatype, data)).startswith(("inputs[0].data[1]: ", "body: "))


@pytest.mark.parametrize("datatype", sorted(set(DATATYPES) - FLOATING))
def test_types_without_fractions_have_no_nan_even_where_it_is_taken(accepting: TestClient, datatype: Datatype) -> None:
    for token in ("NaN", "null"):
        body = json.dumps(tensor(datatype, [1, 2], data="?")).replace('"?"', f"[{token}, {token}]")

        assert error_of(accepting.post(url(datatype), content=f'{{"inputs":[{body}]}}')).startswith(
            "inputs[0].data[0]: "
        )
