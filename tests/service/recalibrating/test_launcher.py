"""How the service runs the process of a job."""

import asyncio
import os
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from service.recalibrating import launcher
from service.recalibrating.messages import Order, OrderWithRows, Progress
from tests.awaiting import within_time

ORDER = OrderWithRows(
    Order(repository="none", model="tiny", version=1, prior=8, force=False),
    {"input": np.ones((2, 4), np.float32)},
    None,
)


async def run(code: str) -> tuple[int, list[Progress]]:
    """The exit code of a program, and the progress that it has reported."""
    reported: list[Progress] = []

    async def note(progress: Progress) -> None:
        reported.append(progress)

    command = (sys.executable, "-c", code)
    return await within_time(launcher.run(command, ORDER, note), "the process did not end"), reported


def test_it_gets_the_order_and_its_progress_comes_in_order() -> None:
    echo = """
import sys
from service.recalibrating.messages import OrderWithRows, Progress
order, rows, labels = OrderWithRows.read(sys.stdin.buffer)
for reason in (order.model, str(rows["input"].sum()), str(labels)):
    sys.stdout.buffer.write(Progress(reason=reason).to_line())
"""
    assert asyncio.run(run(echo)) == (0, [Progress(reason=reason) for reason in ("tiny", "8.0", "None")])


@pytest.mark.parametrize(
    ("ending", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", -9), ("os.close(1); sys.exit(4)", 4)]
)
def test_its_exit_code_or_signal_is_returned(ending: str, code: int) -> None:
    assert asyncio.run(run(f"import os, sys; {ending}")) == (code, [])


def test_what_is_no_progress_is_refused_and_the_process_ended() -> None:
    with pytest.raises(ValidationError):
        asyncio.run(run("print('{}x', flush=True); import time; time.sleep(600)"))


def test_it_is_killed_when_it_is_cancelled() -> None:
    async def cancel() -> int:
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def note(progress: Progress) -> None:
            started.set_result(int(progress.reason or ""))

        code = """
import os, sys, threading
from service.recalibrating.messages import Progress
sys.stdout.buffer.write(Progress(reason=str(os.getpid())).to_line())
sys.stdout.buffer.flush()
threading.Event().wait()
"""
        running = asyncio.create_task(launcher.run((sys.executable, "-c", code), ORDER, note))
        pid = await within_time(started, "the process did not start")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within_time(running, "the process was not killed")
        return pid

    pid = asyncio.run(cancel())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
