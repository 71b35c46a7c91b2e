"""The process of a job: killed at any point, it leaves a whole repository; it does not outlive the service."""

import asyncio
import sys

import pytest

from models.repository.repository import Repository
from service.catalog.catalog import Catalog
from service.recalibrating.collector import RowCollector
from service.recalibrating.job import Job
from service.recalibrating.jobs import Recalibrations
from service.recalibrating.messages import Order, OrderWithRows
from service.recalibrating.open_collections import OpenCollections
from service.wire.recalibration import RecalibrationParameters, RecalibrationRequest
from tests.awaiting import within_time
from tests.recalibrating import ROWS

REQUEST = RecalibrationRequest({"input": ROWS}, None, 0, RecalibrationParameters())


async def recalibrate(catalog: Catalog, *module: str) -> Job:
    """Start a job of which a module is the process, and wait for its end."""
    state_folder = catalog.repository.root / ".state"
    command = (sys.executable, "-m", *module)
    jobs = Recalibrations(catalog, state_folder, OpenCollections(RowCollector(), 1 << 20), command=command)
    await jobs.open()
    job = await jobs.start(catalog.get("tiny", 1), REQUEST)
    done = await jobs.wait("tiny", job.id, 60)
    assert done.is_finished, f"the job is still {done.state}"
    return done


@pytest.mark.parametrize(
    "when",
    [
        "publishing",
        *(
            pytest.param(when, marks=pytest.mark.slow)
            for when in ("start", "estimating", "checking", "folding", "0", "9", "18", "27", "published")
        ),
    ],
)
def test_killing_it_leaves_the_parent_serving_and_no_half_version(
    catalog: Catalog, repository: Repository, when: str
) -> None:
    killed = asyncio.run(recalibrate(catalog, "tests.service.recalibrating.dying_job", when))

    assert killed.state in {"failed", "published"}
    assert killed.state == "published" or "by SIGKILL" in (killed.reason or "")
    assert catalog.get("tiny").version == repository.default_version("tiny") == 1
    for version in repository.versions("tiny"):
        repository.read("tiny", version)  # verified: whole
    assert (killed.state == "published") <= (repository.versions("tiny") == [1, 2])
    if killed.state == "failed":
        assert asyncio.run(recalibrate(catalog, "service.recalibrating.process")).state == "published"


def test_an_error_that_nothing_foresees_ends_it_with_code_1(catalog: Catalog) -> None:
    """In place of SIGABRT, by the thread that reads standard input."""
    failed = asyncio.run(recalibrate(catalog, "tests.service.recalibrating.failing_job"))

    assert (failed.state, failed.reason) == ("failed", "its process ended with exit code 1 while it was estimating")


def test_when_the_service_ends_it_ends() -> None:
    """Its standard input ends, also when the service was killed."""

    async def leave_it() -> int:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WAITING), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        order = Order(repository="none", model="tiny", version=1, prior=8, force=False)
        process.stdin.write(OrderWithRows(order, {"input": ROWS}, None).to_bytes())
        await process.stdin.drain()
        assert await within_time(process.stdout.readline(), "it did not begin") == b"working\n"
        process.stdin.close()
        return await within_time(process.wait(), "it outlived the service")

    assert asyncio.run(leave_it()) == 1


WAITING = """
import threading
from service.recalibrating import process

def wait_for_ever(progress):
    print("working", flush=True)
    threading.Event().wait()

process.main(wait_for_ever)
"""
