"""Scores are computed in threads that nothing else waits for."""

import asyncio
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from models.errors import InvalidInput, NotReady
from service.inference.dialect import Query
from service.inference.scoring import Scorer
from service.telemetry import logs
from tests.awaiting import within_time
from tests.watching import watched_bundle


@dataclass
class Model:
    """Scores when it is let, and remembers where it did, and for which request."""

    gate: threading.Event = field(default_factory=threading.Event)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def scorer(self, _served: Any) -> "Model":
        return self

    def score(self, _observed: Any, inputs: Any) -> Any:
        assert self.gate.wait(60)
        self.calls.append((threading.current_thread().name.partition("_")[0], logs.request_id.get()))
        return inputs


def test_many_requests_for_scores_take_no_thread_of_others_and_know_their_request() -> None:
    async def scenario() -> None:
        model = Model()
        scorer = Scorer(model)  # type: ignore[arg-type]
        logs.request_id.set("mine")
        waiting = [
            asyncio.create_task(scorer.score(model, None, Query({}, None)))  # type: ignore[arg-type]
            for _ in range(40)
        ]
        await asyncio.sleep(0)
        await within_time(asyncio.to_thread(lambda: None), "the default threads are taken")
        model.gate.set()
        assert await within_time(asyncio.gather(*waiting), "the scores do not come") == [{}] * 40
        assert set(model.calls) == {("score", "mine")}
        scorer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("has_reference", "error"), [(True, NotReady), (False, InvalidInput)])
def test_what_could_not_be_loaded_is_no_mistake_of_the_client(has_reference: bool, error: type[Exception]) -> None:
    manifest = watched_bundle().manifest
    served = SimpleNamespace(manifest=manifest if has_reference else manifest.model_copy(update={"drift": None}))
    nothing, dialect = SimpleNamespace(scorer=lambda _served: None), SimpleNamespace(requires_scores=True)
    scorer = Scorer(nothing)  # type: ignore[arg-type]

    with pytest.raises(error):
        asyncio.run(scorer.score(dialect, served, Query({}, None)))  # type: ignore[arg-type]
    scorer.close()
