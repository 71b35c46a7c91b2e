"""The life of jobs: started, waited for, cancelled, bounded, and remembered by the next service."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.errors import InvalidInput, Overloaded
from models.repository.repository import Repository
from service.catalog.catalog import Catalog
from service.recalibrating.collector import RowCollector
from service.recalibrating.job import Job, JobNotFound
from service.recalibrating.jobs import MAX_OPEN_JOBS, MAX_RECORDS, Recalibrations
from service.recalibrating.open_collections import OpenCollections
from service.recalibrating.records import JobRecords
from service.wire.recalibration import RecalibrationParameters, RecalibrationRequest
from tests.awaiting import within_time
from tests.bundles import tiny_bundle
from tests.recalibrating import ROWS

SENT = RecalibrationRequest({"input": ROWS}, None, 0, RecalibrationParameters())
COLLECT = RecalibrationRequest(None, None, 64, RecalibrationParameters())
STANDING_STILL = (
    sys.executable,
    "-c",
    """import sys; print('{"state": "estimating"}', flush=True); sys.stdin.buffer.read()""",
)
"""A process that begins, and never comes to an end by itself."""


@asynccontextmanager
async def opened(catalog: Catalog, max_bytes: int = 1 << 20, **options: Any) -> AsyncIterator[Recalibrations]:
    """The jobs of a service, from its start to its end."""
    collector, has_keys = options.pop("collector", None) or RowCollector(), options.pop("has_api_keys", False)
    collections = OpenCollections(collector, max_bytes, has_api_keys=has_keys)
    jobs = Recalibrations(catalog, state_folder(catalog), collections, **options)
    await jobs.open()
    try:
        yield jobs
    finally:
        await within_time(jobs.close(), "the jobs did not end")


def state_folder(catalog: Catalog) -> Path:
    return catalog.repository.root / ".state"


def records(catalog: Catalog) -> JobRecords:
    return JobRecords(state_folder(catalog) / "recalibrations")


async def finished(jobs: Recalibrations, job: Job) -> Job:
    done = await jobs.wait("tiny", job.id, 60)
    assert done.is_finished, f"the job is still {done.state}"
    return done


async def reached(jobs: Recalibrations, job: Job, state: str) -> None:
    async def look() -> None:
        while (await jobs.wait("tiny", job.id, 0.01)).state != state:
            pass

    await within_time(look(), f"the job is not {state}")


async def cancelled(jobs: Recalibrations, job: Job) -> Job:
    return await within_time(jobs.cancel("tiny", job.id), "the job was not cancelled")


def test_a_job_publishes_a_version_which_is_loaded(catalog: Catalog) -> None:
    async def start() -> None:
        async with opened(catalog) as jobs:
            job = await jobs.start(catalog.get("tiny"), SENT)
            assert (job.state, job.rows, job.target_rows, job.prior) == ("waiting", 128, 128, None)
            done = await finished(jobs, job)

        assert (done.state, done.published, done.reason) == ("published", 2, None)
        assert all(gate.passed for gate in done.gates)
        assert done.updated_at > done.created_at
        assert catalog.versions("tiny") == [1, 2]

    asyncio.run(start())


def test_waiting_ends_with_the_time_and_shows_the_job_as_it_is(catalog: Catalog) -> None:
    async def wait() -> None:
        async with opened(catalog) as jobs:
            job = await jobs.start(catalog.get("tiny"), COLLECT)
            assert (await jobs.wait("tiny", job.id, 0.001)).state == "collecting"

    asyncio.run(wait())


def test_a_job_belongs_to_its_model(catalog: Catalog) -> None:
    async def ask() -> None:
        async with opened(catalog) as jobs:
            job = await jobs.start(catalog.get("tiny"), COLLECT)
            assert [found.id for found in jobs.jobs_of("tiny")] == [job.id]
            assert jobs.jobs_of("other") == []
            with pytest.raises(JobNotFound, match=f"'other' has no re-calibration '{job.id}'"):
                jobs.get("other", job.id)

    asyncio.run(ask())


def test_rows_of_its_version_are_collected_and_no_others(catalog: Catalog, repository: Repository) -> None:
    repository.publish(tiny_bundle(seed=7), candidate=True)
    catalog.load("tiny")
    collector = RowCollector()

    async def collect() -> None:
        async with opened(catalog, collector=collector) as jobs:
            first = await jobs.start(catalog.get("tiny", 1), COLLECT)
            second = await jobs.start(catalog.get("tiny", 2), COLLECT)
            collector.offer(catalog.get("tiny", 1), {"input": ROWS[:40]}, "client")

            assert (jobs.get("tiny", first.id).rows, jobs.get("tiny", first.id).seen) == (40, 40)
            assert (jobs.get("tiny", second.id).rows, jobs.get("tiny", second.id).seen) == (0, 0)
            await jobs.cancel("tiny", first.id)
            assert collector.targets == {("tiny", 2)}

    asyncio.run(collect())


def test_only_one_job_collects_rows_of_a_version(catalog: Catalog) -> None:
    async def start() -> None:
        async with opened(catalog) as jobs:
            await jobs.start(catalog.get("tiny"), COLLECT)
            with pytest.raises(InvalidInput, match="collect: rows of this version are being collected"):
                await jobs.start(catalog.get("tiny"), COLLECT)

    asyncio.run(start())


@pytest.mark.parametrize(("has_api_keys", "max_share", "kept"), [(False, None, 64), (True, None, 16), (True, 0.5, 32)])
def test_one_client_fills_no_more_than_its_share(
    catalog: Catalog, has_api_keys: bool, max_share: float | None, kept: int
) -> None:
    collector = RowCollector()
    request = RecalibrationRequest(None, None, 64, RecalibrationParameters(max_share=max_share))

    async def collect() -> None:
        async with opened(catalog, collector=collector, has_api_keys=has_api_keys) as jobs:
            job = await jobs.start(catalog.get("tiny"), request)
            collector.offer(catalog.get("tiny"), {"input": ROWS}, "client")
            assert jobs.get("tiny", job.id).rows == kept

    asyncio.run(collect())


def test_rows_that_take_too_much_memory_are_refused(catalog: Catalog) -> None:
    collector = RowCollector()

    async def collect() -> None:
        async with opened(catalog, max_bytes=1000, collector=collector) as jobs:
            job = await jobs.start(catalog.get("tiny"), COLLECT)
            collector.offer(catalog.get("tiny"), {"input": ROWS[:1]}, "client")  # 64 rows of 16 bytes are 1024
            done = await finished(jobs, job)
        assert (done.state, done.reason) == ("refused", "64 rows take more than 1000 bytes")

    asyncio.run(collect())


def test_one_job_works_at_a_time(catalog: Catalog) -> None:
    async def start() -> None:
        async with opened(catalog, command=STANDING_STILL) as jobs:
            first, second = [await jobs.start(catalog.get("tiny"), SENT) for _ in range(2)]
            await reached(jobs, first, "estimating")
            assert jobs.get("tiny", second.id).state == "waiting"
            await cancelled(jobs, first)
            await reached(jobs, second, "estimating")

    asyncio.run(start())


def test_few_jobs_are_open(catalog: Catalog) -> None:
    async def start() -> None:
        async with opened(catalog, command=STANDING_STILL) as jobs:
            started = [await jobs.start(catalog.get("tiny"), SENT) for _ in range(MAX_OPEN_JOBS)]
            with pytest.raises(Overloaded, match=f"{MAX_OPEN_JOBS} jobs are open already"):
                await jobs.start(catalog.get("tiny"), SENT)
            await cancelled(jobs, started[-1])
            await jobs.start(catalog.get("tiny"), SENT)

    asyncio.run(start())


def test_a_job_is_cancelled_once_and_stays_on_record(catalog: Catalog) -> None:
    async def cancel() -> None:
        async with opened(catalog, command=STANDING_STILL) as jobs:
            job = await jobs.start(catalog.get("tiny"), SENT)
            done = await cancelled(jobs, job)
            assert (done.state, done.reason) == ("cancelled", None)
            with pytest.raises(InvalidInput, match="id: this job is cancelled already"):
                await jobs.cancel("tiny", job.id)
            assert records(catalog).read_all() == [done]

    asyncio.run(cancel())


def test_a_job_that_breaks_fails_without_details(catalog: Catalog) -> None:
    async def start() -> None:
        async with opened(catalog, command=(sys.executable, "-c", "print('no progress')")) as jobs:
            done = await finished(jobs, await jobs.start(catalog.get("tiny"), SENT))
        assert (done.state, done.reason) == ("failed", "internal error; the service's log has the details")

    asyncio.run(start())


class TestNextService:
    def test_open_jobs_are_lost(self, catalog: Catalog) -> None:
        async def restart() -> None:
            async with opened(catalog, command=STANDING_STILL) as jobs:
                collecting = await jobs.start(catalog.get("tiny"), COLLECT)
                working = await jobs.start(catalog.get("tiny"), SENT)
            async with opened(catalog) as jobs:
                for job in (collecting, working):
                    found = jobs.get("tiny", job.id)
                    assert (found.state, found.reason) == ("lost", "the service ended")

        asyncio.run(restart())

    def test_a_job_of_a_killed_service_is_lost(self, catalog: Catalog) -> None:
        records(catalog).write(recorded("folding"))

        async def restart() -> None:
            async with opened(catalog) as jobs:
                (found,) = jobs.jobs_of("tiny")
                assert found.state == "lost"
                assert found.reason == "the service ended while it was folding; its rows were in memory only"

        asyncio.run(restart())

    def test_a_finished_job_is_remembered_without_its_rows(self, catalog: Catalog) -> None:
        async def restart() -> None:
            async with opened(catalog) as jobs:
                done = await finished(jobs, await jobs.start(catalog.get("tiny"), SENT))
            async with opened(catalog) as jobs:
                assert jobs.get("tiny", done.id) == done

        asyncio.run(restart())
        written = b"".join(path.read_bytes() for path in state_folder(catalog).rglob("*.json"))
        assert b"published" in written
        assert ROWS[:1].tobytes() not in written
        assert str(float(ROWS[0, 0])).encode() not in written

    def test_the_oldest_finished_jobs_are_forgotten(self, catalog: Catalog) -> None:
        for age in range(MAX_RECORDS):
            records(catalog).write(recorded("refused", age))

        async def start() -> None:
            async with opened(catalog) as jobs:
                started = await jobs.start(catalog.get("tiny"), COLLECT)
                assert len(jobs.jobs_of("tiny")) == MAX_RECORDS
                assert jobs.jobs_of("tiny")[0].id == started.id
                with pytest.raises(JobNotFound):
                    jobs.get("tiny", recorded("refused", MAX_RECORDS - 1).id)

        asyncio.run(start())
        assert len(records(catalog).read_all()) == MAX_RECORDS


def recorded(state: str, age: int = 0) -> Job:
    """A job of an earlier service, so many hours old."""
    created = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(hours=age)
    return Job.model_validate(
        {
            "id": f"{age:016x}",
            "model": "tiny",
            "version": 1,
            "state": state,
            "rows": 64,
            "target_rows": 64,
            "prior": 8,
            "force": False,
            "created_at": created,
            "updated_at": created,
        }
    )


def test_where_the_records_cannot_be_written_jobs_go_on(catalog: Catalog) -> None:
    state_folder(catalog).write_text("a file where the folder should be")

    async def start() -> None:
        async with opened(catalog) as jobs:
            done = await finished(jobs, await jobs.start(catalog.get("tiny"), SENT))
        assert done.state == "published"

    asyncio.run(start())
