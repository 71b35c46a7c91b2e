"""What is decoded in a thread: bodies with encoded images, however short they are, and long ones of other values."""

import base64
import json

import pytest

from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.grpc.messages import message_class
from service.inference.dialect import Call, Dialect
from service.inference.v1 import V1
from service.inference.v2 import V2
from service.inference.v2_grpc import V2Grpc
from service.wire.pieces import INLINE_BYTES, RAW_INLINE_BYTES
from tests.bundles import echo_bundle, image_bundle, tiny_bundle
from tests.image_files import png_header

MAX_PIXELS = 1_000_000
FILE = png_header(500, 400)
DECODING_BYTES = 4 * 500 * 400 + 4 * 8 * 8
"""Of the pixels, and of a row."""

TENSOR = {"name": "input", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(FILE) + 4}}
HEAD = json.dumps({"inputs": [TENSOR]}).encode()
NUMBERS = json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]})


def serve(*, images: bool = True) -> ServedVersion:
    bundle = image_bundle() if images else tiny_bundle()
    return ServedVersion("m", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))


def serve_texts() -> ServedVersion:
    bundle = echo_bundle("BYTES")
    return ServedVersion("m", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))


def call(length: int | None = None) -> Call:
    headers = {} if length is None else {b"inference-header-content-length": b"%d" % length}
    return Call("", "m", None, headers, "")


def message() -> bytes:
    request = message_class("ModelInferRequest")(model_name="m")
    request.inputs.add(name="input", datatype="BYTES", shape=[1]).contents.bytes_contents.append(FILE)
    sent: bytes = request.SerializeToString()
    return sent


@pytest.mark.parametrize(
    ("dialect", "made", "body"),
    [
        (V2(finite=True, max_pixels=MAX_PIXELS), call(len(HEAD)), HEAD + len(FILE).to_bytes(4, "little") + FILE),
        (V2Grpc(finite=True, max_pixels=MAX_PIXELS), call(), message()),
        (
            V1(finite=True, max_pixels=MAX_PIXELS),
            call(),
            b'{"instances": [{"b64": "%s"}]}' % base64.b64encode(FILE),
        ),
    ],
    ids=["V2", "gRPC", "V1"],
)
def test_what_holds_images_takes_their_memory(dialect: Dialect, made: Call, body: bytes) -> None:
    assert dialect.decoding_memory(serve(), made, body) == DECODING_BYTES
    assert dialect.decoding_memory(serve(images=False), made, body) == 0
    assert dialect.decoding_memory(serve(), call(), NUMBERS.encode()) == 0


@pytest.mark.parametrize(
    ("json_bytes", "raw_bytes", "in_thread"),
    [
        (100, 0, False),
        (100, INLINE_BYTES, False),  # numbers in binary are looked at once
        (0, RAW_INLINE_BYTES, False),
        (100, RAW_INLINE_BYTES, True),
        (INLINE_BYTES + 1, 8, True),  # numbers in JSON are parsed
    ],
)
def test_numbers_in_binary_are_decoded_on_the_event_loop(json_bytes: int, raw_bytes: int, in_thread: bool) -> None:
    dialect, body = V2(finite=True, max_pixels=MAX_PIXELS), bytes(json_bytes + raw_bytes)

    assert bool(dialect.decoding_memory(serve(images=False), call(json_bytes), body)) == in_thread
    # Texts have their lengths between them, and without the header all is JSON.
    assert bool(dialect.decoding_memory(serve_texts(), call(json_bytes), body)) == (len(body) > INLINE_BYTES)
    assert bool(dialect.decoding_memory(serve(images=False), call(), body)) == (len(body) > INLINE_BYTES)
