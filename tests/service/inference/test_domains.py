"""Rows of one request, answered by several versions."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.errors import Overloaded
from service.catalog.served_domains import ServedDomains
from service.inference.domains import DomainRouter, describe_versions, join_rows, split_rows
from service.telemetry.statistics import ServiceStatistics
from tests.awaiting import within_time


def served(version: int) -> Any:
    return SimpleNamespace(model="tiny", version=version, count_rows=lambda inputs: len(inputs["input"]))


def served_domains(choose: Any = None) -> Any:
    rule: Any = SimpleNamespace(choose=choose)
    return ServedDomains(served(1), (served(2), served(3)), (0.0, 0.0), rule)


def test_parts_are_joined_in_the_order_of_the_rows() -> None:
    versions = np.array([2, 1, 3, 2, 1])

    parts = split_rows(served_domains(), versions)
    joined = join_rows([(rows, {"logits": np.stack([rows, 10 * rows], axis=1)}) for _, rows in parts])

    assert [(one.version, rows.tolist()) for one, rows in parts] == [(1, [1, 4]), (2, [0, 3]), (3, [2])]
    np.testing.assert_array_equal(joined["logits"], np.stack([np.arange(5), 10 * np.arange(5)], axis=1))
    assert describe_versions(versions) == b"1=2, 2=2, 3=1"


def test_a_request_without_rows_is_the_default_versions() -> None:
    ((version, rows),) = split_rows(served_domains(), np.zeros(0, np.int64))

    assert (version.version, rows.tolist()) == (1, [])


class ObservedModels:
    """Puts out the rows themselves, when it is let."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.rows: list[int] = []

    def of(self, _served: Any) -> Any:
        def observe_layers(inputs: Any) -> Any:
            assert self.gate.wait(60)
            self.rows.append(len(inputs["input"]))
            return inputs["input"]

        return SimpleNamespace(observe_layers=observe_layers)


def test_large_requests_are_observed_in_parts_and_rows_are_counted_by_version() -> None:
    async def scenario() -> None:
        models, statistics = ObservedModels(), ServiceStatistics()
        models.gate.set()
        router = DomainRouter(models, statistics, 1)  # type: ignore[arg-type]
        rows = np.arange(600) % 3

        versions = await router.choose(served_domains(lambda found: found - 1), {"input": rows})

        np.testing.assert_array_equal(versions, np.array([1, 2, 3])[rows])
        assert models.rows == [256, 256, 88]
        assert [statistics.of("tiny", version).routed for version in (1, 2, 3)] == [200, 200, 200]
        router.close()

    asyncio.run(scenario())


def test_more_requests_than_may_wait_are_refused() -> None:
    async def scenario() -> None:
        models = ObservedModels()
        router = DomainRouter(models, ServiceStatistics(), 1)  # type: ignore[arg-type]
        inputs, domains = {"input": np.zeros(1, np.int64)}, served_domains(lambda found: found)
        first = asyncio.create_task(router.choose(domains, inputs))
        await asyncio.sleep(0)

        with pytest.raises(Overloaded, match="1 requests wait for their domain"):
            await router.choose(domains, inputs)
        models.gate.set()
        assert (await within_time(first, "no version is chosen")).tolist() == [2]
        assert (await router.choose(domains, inputs)).tolist() == [2]
        router.close()

    asyncio.run(scenario())
