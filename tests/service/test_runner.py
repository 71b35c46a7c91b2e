"""Bounded runs of a model."""

import asyncio
import threading

import numpy as np
import pytest

from models.errors import InferenceFailed, Overloaded
from service.catalog import Served
from service.metrics import Metrics
from service.runner import Runner
from tests.bundles import tiny_bundle

INPUTS = {"input": np.zeros((2, 4), np.float32)}


class GatedEngine:
    """Runs when it is let."""

    provider = "none"

    def __init__(self) -> None:
        self.gate = threading.Event()

    def run(self, inputs: dict) -> dict:
        assert self.gate.wait(60)
        if inputs is not INPUTS:
            raise InferenceFailed("broken")
        return {"logits": np.zeros((2, 2), np.float32)}


@pytest.fixture
def engine() -> GatedEngine:
    return GatedEngine()


@pytest.fixture
def served(engine: GatedEngine) -> Served:
    return Served("tiny", 1, tiny_bundle().manifest, engine)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_more_than_may_wait_is_refused_at_once_and_the_rest_is_answered(engine: GatedEngine, served: Served) -> None:
    metrics = Metrics(list)
    runner = Runner(metrics, concurrency=1, max_pending=3)

    async def scenario() -> list[dict]:
        waiting = [asyncio.create_task(runner.run(served, INPUTS)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await runner.run(served, INPUTS)
        assert value(metrics, "denge_inferences_pending") == 3
        engine.gate.set()
        answers = await asyncio.gather(*waiting)
        answers.append(await runner.run(served, INPUTS))
        return answers

    assert len(asyncio.run(scenario())) == 4
    runner.close()
    assert value(metrics, "denge_inferences_pending") == 0
    assert value(metrics, "denge_inference_rows_total", model="tiny", version="1") == 8


def test_a_run_that_breaks_is_counted_and_leaves_room_for_the_next(engine: GatedEngine, served: Served) -> None:
    metrics = Metrics(list)
    runner = Runner(metrics, concurrency=1, max_pending=1)
    engine.gate.set()

    async def scenario() -> None:
        with pytest.raises(InferenceFailed):
            await runner.run(served, {})
        await runner.run(served, INPUTS)

    asyncio.run(scenario())
    runner.close()
    assert value(metrics, "denge_inferences_total", model="tiny", version="1", outcome="failure") == 1
    assert value(metrics, "denge_inferences_total", model="tiny", version="1", outcome="success") == 1
