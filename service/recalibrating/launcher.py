"""Runs the process of a job from the service's side: starts it, follows its progress, and ends it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from service.recalibrating.job import JobStopped
from service.recalibrating.messages import OrderWithRows, Progress

COMMAND = (sys.executable, "-m", "service.recalibrating.process")


MAX_WORK_SECONDS = 900.0
"""A process that runs for longer is killed."""


async def run_within_time(
    command: Sequence[str], order: OrderWithRows, on_progress: Callable[[Progress], Awaitable[None]]
) -> int:
    """`run`, for `MAX_WORK_SECONDS` at most.

    Raises:
        JobStopped: it took longer.
    """
    try:
        async with asyncio.timeout(MAX_WORK_SECONDS):
            return await run(command, order, on_progress)
    except TimeoutError:
        raise JobStopped("failed", f"it took more than {MAX_WORK_SECONDS:g} seconds") from None


async def run(command: Sequence[str], order: OrderWithRows, on_progress: Callable[[Progress], Awaitable[None]]) -> int:
    """Run a process to its end. It is killed when this is cancelled.

    Args:
        command: the process, which reads the order from its standard input.
        order: what to do.
        on_progress: awaited with each message, in order.

    Returns:
        The exit code; a signal's number, negated, where a signal ended it.
    """
    payload = order.to_bytes()
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None  # noqa: S101 - for the type checker
    assert process.stdout is not None  # noqa: S101 - for the type checker
    try:
        with suppress(ConnectionError):  # it has died: its exit code says how
            process.stdin.write(payload)
            await process.stdin.drain()  # not closed: the process exits when it is
        while line := await process.stdout.readline():
            await on_progress(Progress.from_line(line))
        await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        code = await process.wait()
    return code
