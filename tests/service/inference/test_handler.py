"""Predictions below every transport: who may ask, what is decoded where, and who gets the result."""

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from models.errors import InvalidInput, Overloaded, Unauthenticated
from models.runtime.engine import Engine
from service.access import Guard
from service.catalog.served_version import ServedVersion
from service.inference import handler as handler_module
from service.inference.batcher import Batcher
from service.inference.dialect import Answer, Call, Query
from service.inference.handler import Handler
from service.inference.limits import Limits
from service.telemetry.statistics import ServiceStatistics
from tests.bundles import tiny_bundle

KEY = "a-key-of-the-tests-of-the-handler"
BODY = np.zeros((2, 4), np.float32).tobytes()


@dataclass
class Catalog:
    """Has one version."""

    served: ServedVersion

    def choose(self, _model: str, _version: int | None) -> ServedVersion:
        return self.served


class ObservedModels:
    """Scores no version."""

    def scorer(self, _served: ServedVersion) -> None:
        return None


@dataclass
class Raw:
    """A dialect of float32 bytes, which remembers the threads that it was called in."""

    decodes_in_thread: bool = False
    requires_scores: bool = False
    layer_statistics: bool = False
    threads: list[str] = field(default_factory=list)

    def decode(self, _served: ServedVersion, _call: Call, body: bytes) -> Query:
        self.threads.append(threading.current_thread().name)
        rows = np.frombuffer(body, np.float32).reshape(-1, 4)
        return Query({"input": rows}, None, layer_statistics=self.layer_statistics)

    def score(self, *_: Any) -> Any:
        raise AssertionError("no version has scores")

    def encode(self, _served: Any, _call: Any, _query: Any, outputs: Any, scores: Any) -> Answer:
        return Answer([], outputs["logits"].tobytes() + (b"scored" if scores else b""))


@pytest.fixture
def seen() -> list[tuple[int, str]]:
    """Rows and client of each result."""
    return []


def build(dialect: Raw, seen: list[tuple[int, str]], inline: float = 1.0, keys: tuple[str, ...] = ()) -> Handler:
    bundle = tiny_bundle()
    served = ServedVersion("tiny", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))

    def on_result(_served: ServedVersion, inputs: Any, _outputs: Any, client: str) -> None:
        seen.append((len(inputs["input"]), client))

    batcher = Batcher(ServiceStatistics(), Limits(inline=inline), on_result)
    return Handler(Catalog(served), batcher, Guard(None, keys), ObservedModels(), {"raw": dialect})  # type: ignore[arg-type]


def call(**headers: str) -> Call:
    named = {name.encode(): value.encode() for name, value in headers.items()}
    return Call("raw", "tiny", None, named, "127.0.0.1")


async def forever() -> None:
    await asyncio.Event().wait()


def answer(handler: Handler, asked: Call) -> Answer:
    async def whole() -> Answer:
        return await asyncio.wait_for(handler.answer(handler.admit(asked), BODY, forever), 60)

    return asyncio.run(whole())


@pytest.mark.parametrize("inline", [0.0, 1.0], ids=["queued", "at once"])
def test_a_result_goes_on_with_the_identity_of_its_client(seen: list[tuple[int, str]], inline: float) -> None:
    given = answer(build(Raw(), seen, inline), call())

    assert len(given.body) == 2 * 2 * 4
    assert seen == [(2, "127.0.0.1")]


def test_the_identity_of_a_client_with_a_key_is_not_its_address(seen: list[tuple[int, str]]) -> None:
    handler = build(Raw(), seen, keys=(KEY,))

    with pytest.raises(Unauthenticated):
        handler.admit(call())
    answer(handler, call(authorization=f"Bearer {KEY}"))

    assert [client for _, client in seen] != ["127.0.0.1"]
    assert KEY not in seen[0][1]


def test_a_short_run_is_answered_without_waiting(seen: list[tuple[int, str]]) -> None:
    quick, slow = build(Raw(), seen), build(Raw(), seen, inline=0.0)

    for handler, at_once in ((quick, True), (slow, False)):
        prediction = handler.decode(handler.admit(call()), BODY)
        assert prediction is not None
        assert (handler.run_now(prediction) is not None) == at_once


def test_what_takes_long_to_decode_is_decoded_in_a_thread(seen: list[tuple[int, str]]) -> None:
    heavy, light = Raw(decodes_in_thread=True), Raw()

    assert build(heavy, seen).decode(build(heavy, seen).admit(call()), BODY) is None
    assert answer(build(heavy, seen), call()).body == answer(build(light, seen), call()).body
    assert light.threads == [threading.main_thread().name]
    assert heavy.threads != light.threads


def test_scores_of_a_version_without_held_out_rows_are_refused_or_left_out(seen: list[tuple[int, str]]) -> None:
    with pytest.raises(InvalidInput, match="held-out rows"):
        answer(build(Raw(layer_statistics=True, requires_scores=True), seen), call())
    assert seen == []

    assert not answer(build(Raw(layer_statistics=True), seen), call()).body.endswith(b"scored")


def test_only_so_many_requests_wait_for_scores(seen: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_module, "MAX_SCORING", 0)

    with pytest.raises(Overloaded, match="layer statistics"):
        answer(build(Raw(layer_statistics=True), seen), call())
