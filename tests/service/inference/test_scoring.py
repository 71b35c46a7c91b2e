"""Scores are computed in threads that nothing else waits for."""

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

from service.inference.dialect import Query
from service.inference.scoring import Scorer
from service.telemetry import logs
from tests.awaiting import within_time


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
