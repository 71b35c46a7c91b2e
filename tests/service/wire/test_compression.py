"""Compressed bodies."""

import gzip
import json
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from models.errors import InvalidInput, TooLarge, UnsupportedEncoding
from service.wire.compression import compress, decompress, inflate_small, negotiate
from service.wire.pieces import LARGE_BYTES

PACK = {"gzip": gzip.compress, "deflate": zlib.compress}
DAMAGES = {
    "cut": lambda data: data[:-5],
    "longer": lambda data: data + b"x",
    "not its own": lambda data: b"x" + data,
    "empty": lambda _: b"",
}
UNPACK = {"gzip": gzip.decompress, "deflate": zlib.decompress}


@given(data=st.binary(max_size=500), encoding=st.sampled_from(["gzip", "deflate"]))
def test_what_is_compressed_comes_out_again(data: bytes, encoding: str) -> None:
    assert decompress(PACK[encoding](data), encoding, 500) == data
    assert UNPACK[encoding](compress(data, encoding)) == data


def test_identity_is_left_as_it_is() -> None:
    assert decompress(b"data", " Identity", 4) == b"data"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_refused_without_being_inflated(encoding: str) -> None:
    bomb = PACK[encoding](bytes(50_000_000))

    with pytest.raises(TooLarge):
        decompress(bomb, encoding, 1000)


def test_data_of_many_pieces_comes_out_whole() -> None:
    data = np.random.default_rng(0).integers(0, 50, 3_000_000, dtype=np.uint8).tobytes()

    assert decompress(gzip.compress(data, 1), "gzip", len(data)) == data
    with pytest.raises(InvalidInput):
        decompress(gzip.compress(data, 1) + bytes(1_000_000), "gzip", len(data))


def test_a_ratio_that_no_numbers_have_is_refused_where_the_data_is_long() -> None:
    assert decompress(gzip.compress(bytes(1 << 20)), "gzip", 1 << 30) == bytes(1 << 20)
    with pytest.raises(TooLarge, match="200 bytes for each compressed one"):
        decompress(gzip.compress(bytes(20 << 20)), "gzip", 1 << 30)


def test_only_what_stays_small_is_inflated_on_the_event_loop() -> None:
    assert inflate_small(gzip.compress(bytes(LARGE_BYTES)), "gzip") == bytes(LARGE_BYTES)
    assert inflate_small(gzip.compress(bytes(LARGE_BYTES + 1)), "gzip") is None
    assert inflate_small(bytes(LARGE_BYTES + 1), "gzip") is None


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", ""])
def test_another_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedEncoding):
        decompress(b"", encoding, 10)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_broken_body_is_refused(encoding: str, damage) -> None:
    with pytest.raises(InvalidInput):
        decompress(damage(PACK[encoding](b"hello world")), encoding, 1000)


@given(data=st.binary(max_size=100), encoding=st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_inflated_or_refused(data: bytes, encoding: str) -> None:
    with suppress(InvalidInput):  # and nothing else
        decompress(data, encoding, 1000)


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("deflate, gzip", "gzip"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip;q=0", None),
        ("br, zstd", None),
        ("GZIP", "gzip"),
        ("gzip;q=0.2, identity;q=0.9", None),
        ("gzip;q=many", None),
    ],
)
def test_the_client_chooses_the_encoding_of_the_answer(accepted: str, chosen: str | None) -> None:
    assert negotiate(accepted) == chosen


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_request_over_http_is_answered(client: TestClient, encoding: str) -> None:
    tensor = {"name": "input", "datatype": "FP32", "shape": [200, 4], "data": np.ones(800).tolist()}
    body = json.dumps({"inputs": [tensor]}).encode()
    plain = client.post("/v2/models/tiny/infer", content=body)

    packed = client.post("/v2/models/tiny/infer", content=PACK[encoding](body), headers={"Content-Encoding": encoding})

    assert packed.json() == plain.json()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_an_answer_is_compressed_for_those_who_accept_it(client: TestClient, encoding: str, binary: bool) -> None:
    tensor = {"name": "input", "datatype": "FP32", "shape": [200, 4], "data": np.ones(800).tolist()}
    body = {"inputs": [tensor], "parameters": {"binary_data_output": binary}}
    plain = client.post("/v2/models/tiny/infer", json=body, headers={"Accept-Encoding": "identity"})
    length = "Inference-Header-Content-Length"

    packed = client.post("/v2/models/tiny/infer", json=body, headers={"Accept-Encoding": encoding})

    assert packed.headers["Content-Encoding"] == encoding
    assert "Content-Encoding" not in plain.headers
    assert packed.content == plain.content  # the client has inflated it
    assert packed.headers.get(length) == plain.headers.get(length)
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"])


def test_a_bomb_over_http_is_too_large(client: TestClient) -> None:
    bomb = gzip.compress(bytes(5_000_000))

    response = client.post("/v2/models/tiny/infer", content=bomb, headers={"Content-Encoding": "gzip"})

    assert response.status_code == 413
