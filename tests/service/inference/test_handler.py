"""Predictions below every transport: who may ask, what is decoded where, and who gets the result."""

import asyncio
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from models.errors import InvalidInput, Overloaded, Unauthenticated
from models.runtime.engine import Engine
from service.access import Guard
from service.catalog.served_version import ServedVersion
from service.host.codec_pool import CodecPool
from service.inference import scoring
from service.inference.batcher import Batcher
from service.inference.dialect import Answer, Call, Query
from service.inference.domains import DomainRouter
from service.inference.handler import Handler, Undecoded
from service.inference.limits import Limits
from service.inference.scoring import Scorer
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

    def domains_of(self, _served: ServedVersion) -> None:
        return None


class ObservedModels:
    """Scores no version."""

    def scorer(self, _served: ServedVersion) -> None:
        return None


@dataclass
class Raw:
    """A dialect of float32 bytes, which remembers the threads that it was called in."""

    decoding_bytes: int = 0
    requires_scores: bool = False
    layer_statistics: bool = False
    threads: list[str] = field(default_factory=list)

    def decoding_memory(self, _served: ServedVersion, _call: Call, _body: bytes) -> int:
        return self.decoding_bytes

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


class GatedEngine(Engine):
    """Runs when it is let."""

    gate: threading.Event | None = None

    def run(self, inputs: Any, seconds: float = math.inf) -> Any:
        assert self.gate is None or self.gate.wait(60)
        return super().run(inputs, seconds)


def build(
    dialect: Raw,
    seen: list[tuple[int, str]],
    inline: float = 1.0,
    keys: tuple[str, ...] = (),
    max_pending: int = 256,
    gate: threading.Event | None = None,
    remember: Callable[[str, ServedVersion, Any, Any], None] = lambda *_: None,
) -> Handler:
    bundle = tiny_bundle()
    engine = GatedEngine(bundle.folded, bundle.manifest.inputs)
    engine.gate = gate
    served = ServedVersion("tiny", 1, bundle.manifest, engine)

    def on_result(_served: ServedVersion, inputs: Any, _outputs: Any, client: str) -> None:
        seen.append((len(inputs["input"]), client))

    batcher = Batcher(ServiceStatistics(), Limits(inline=inline, max_pending=max_pending), on_result)
    scorer = Scorer(ObservedModels())  # type: ignore[arg-type]
    guard, router = Guard(None, keys), DomainRouter(ObservedModels(), ServiceStatistics(), 1)  # type: ignore[arg-type]
    catalog, codec_pool = Catalog(served), CodecPool(1, 1 << 20)
    return Handler(catalog, batcher, guard, scorer, router, {"raw": dialect}, codec_pool, remember)  # type: ignore[arg-type]


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


def test_short_runs_alone_are_done_without_a_task(seen: list[tuple[int, str]]) -> None:
    async def submit(handler: Handler) -> bool:
        return handler.submit(handler.decode(handler.admit(call()), BODY), lambda _: None)

    assert asyncio.run(submit(build(Raw(), seen)))
    assert not asyncio.run(submit(build(Raw(), seen, inline=0.0)))


def test_what_takes_long_to_decode_is_decoded_in_a_thread(seen: list[tuple[int, str]]) -> None:
    heavy, light = Raw(decoding_bytes=1), Raw()

    admitted = build(heavy, seen).admit(call())
    assert build(heavy, seen).decode(admitted, BODY) == Undecoded(admitted, BODY, memory=1)
    assert answer(build(heavy, seen), call()).body == answer(build(light, seen), call()).body
    assert light.threads == [threading.main_thread().name]
    assert heavy.threads != light.threads


def test_scores_of_a_version_without_held_out_rows_are_refused_or_left_out(seen: list[tuple[int, str]]) -> None:
    with pytest.raises(InvalidInput, match="held-out rows"):
        answer(build(Raw(layer_statistics=True, requires_scores=True), seen), call())
    assert seen == []

    assert not answer(build(Raw(layer_statistics=True), seen), call()).body.endswith(b"scored")


def test_only_so_many_requests_wait_for_scores(seen: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "MAX_WAITING", 0)

    with pytest.raises(Overloaded, match="layer statistics"):
        answer(build(Raw(layer_statistics=True), seen), call())


@dataclass
class Prioritized(Raw):
    """A dialect whose body states a priority by its length."""

    def may_have_priority(self, call: Call) -> bool:
        return b"small" in call.headers

    def has_priority(self, _call: Call, body: bytes) -> bool:
        return len(body) > len(BODY)

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:
        return super().decode(served, call, body)._replace(priority=int(self.has_priority(call, body)))


async def fill_queue(handler: Handler, requests: int) -> list[asyncio.Task[Answer]]:
    """One request is in a run that does not end, and others wait."""
    tasks = [asyncio.create_task(handler.answer(handler.admit(call()), BODY, forever)) for _ in range(requests)]
    await asyncio.sleep(0)
    return tasks


def test_a_full_queue_refuses_from_the_head_unless_a_priority_may_follow(
    seen: list[tuple[int, str]],
) -> None:
    dialect, gate = Prioritized(), threading.Event()
    handler = build(dialect, seen, inline=0.0, max_pending=3, gate=gate)

    async def scenario() -> list[Any]:
        tasks = await fill_queue(handler, 3)
        decoded = len(dialect.threads)
        with pytest.raises(Overloaded, match="waiting already") as refused:
            handler.admit(call())
        assert refused.value.retry_after > 0
        admitted = handler.admit(call(small=""))
        with pytest.raises(Overloaded, match="waiting already"):
            handler.decode(admitted, BODY)
        assert len(dialect.threads) == decoded
        tasks.append(asyncio.create_task(handler.answer(admitted, 2 * BODY, forever)))
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, evicted, newcomer = asyncio.run(asyncio.wait_for(scenario(), 60))

    assert all(isinstance(answer, Answer) for answer in (first, second, newcomer))
    assert isinstance(evicted, Overloaded)
    assert "more right" in str(evicted)


@pytest.mark.parametrize("inline", [0.0, 1.0], ids=["queued", "at once"])
def test_what_is_predicted_is_remembered_by_the_id_of_the_client(inline: float) -> None:
    remembered: list[tuple[str, int]] = []
    handler = build(
        Raw(),
        [],
        inline,
        remember=lambda identity, _, outputs, __: remembered.append((identity, len(outputs["logits"]))),
    )

    answer(handler, call())
    answer(handler, call(**{"x-request-id": "mine"}))

    assert remembered == [("mine", len(BODY) // 16)]
