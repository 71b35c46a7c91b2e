"""Waiting that fails with a sentence instead of hanging."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

Result = TypeVar("Result")

SECONDS = 30


async def until(holds: Callable[[], object], failure: str) -> None:
    """Return when something holds; the test fails with this sentence if it does not in time."""

    async def wait() -> None:
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)

    await within_time(wait(), failure)


async def within_time(awaitable: Awaitable[Result], failure: str) -> Result:
    """The result, if it comes in time; the test fails with this sentence if it does not."""
    try:
        async with asyncio.timeout(SECONDS):
            return await awaitable
    except TimeoutError:
        pytest.fail(f"{failure} within {SECONDS} seconds")
