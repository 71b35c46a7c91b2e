"""Waiting that fails with a sentence instead of hanging."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import pytest

Result = TypeVar("Result")

SECONDS = 30


async def within_time(awaitable: Awaitable[Result], failure: str) -> Result:
    """The result, if it comes in time; the test fails with this sentence if it does not."""
    try:
        async with asyncio.timeout(SECONDS):
            return await awaitable
    except TimeoutError:
        pytest.fail(f"{failure} within {SECONDS} seconds")
