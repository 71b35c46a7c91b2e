"""python -m benchmarks.service.without PIECE [service's options]: the service without one piece of its fast path.

Each piece has to earn its place: `python -m benchmarks.service --server denge without-plain without-templates
without-simdjson without-reader --case json1 json32 binary32` measures all of them in one run.
"""

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service import __main__ as program
from service.http import server
from service.wire import json_numbers, json_tensors, v2_request
from service.wire.v2_decoder import V2Decoder


def plain_predictions() -> None:
    """Every request goes through ASGI and the framework."""
    patch.object(server, "Protocol", HttpToolsProtocol).start()


def templates() -> None:
    """Every request is checked from its first byte to its last."""

    def decode(self: Any, body: bytes, header_length: str | None, *, finite: bool = True) -> v2_request.InferRequest:
        return v2_request.decode(body, header_length, self._inputs, self._outputs, finite=finite)

    patch.object(V2Decoder, "decode", decode).start()


def simdjson() -> None:
    """Numbers in JSON become Python objects before they become an array."""
    for module, name in ((json_tensors, "FAST"), (json_numbers, "FAST"), (json_numbers, "HAS_READER")):
        patch.object(module, name, new=False).start()


def reader() -> None:
    """Float32 in JSON are read by simdjson, as where there is no C compiler."""
    json_numbers.HAS_READER = False


PIECES: dict[str, Callable[[], None]] = {
    "plain": plain_predictions,
    "templates": templates,
    "simdjson": simdjson,
    "reader": reader,
}


if __name__ == "__main__":
    PIECES[sys.argv[1]]()
    sys.exit(program.main(sys.argv[2:]))
