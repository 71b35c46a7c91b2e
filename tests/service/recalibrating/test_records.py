"""Records of jobs on disk."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.manifest import Gate
from service.recalibrating.job import Job
from service.recalibrating.records import JobRecords

JOB = Job(
    id="0123456789abcdef",
    model="tiny",
    version=1,
    state="refused",
    reason="diversity 0.31 is below 0.9",
    rows=64,
    target_rows=64,
    prior=8,
    force=False,
    gates=(Gate(name="diversity", about="entropy", figure=0.31, lower=0.9),),
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
    updated_at=datetime(2026, 1, 3, tzinfo=UTC),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "recalibrations"


@pytest.fixture
def records(folder: Path) -> JobRecords:
    return JobRecords(folder)


def test_without_a_folder_there_are_none(records: JobRecords) -> None:
    assert records.read_all() == []
    records.delete(JOB.id)


def test_what_was_written_is_read_oldest_first(records: JobRecords) -> None:
    older = JOB.model_copy(update={"id": "ff", "created_at": datetime(2026, 1, 1, tzinfo=UTC)})
    records.write(JOB)
    records.write(older)

    assert records.read_all() == [older, JOB]


def test_a_record_is_replaced_and_deleted(records: JobRecords, folder: Path) -> None:
    records.write(JOB.model_copy(update={"state": "checking"}))
    records.write(JOB)
    assert records.read_all() == [JOB]

    records.delete(JOB.id)
    assert list(folder.iterdir()) == []


def test_what_is_no_record_is_skipped(records: JobRecords, folder: Path) -> None:
    records.write(JOB)
    text = (folder / f"{JOB.id}.json").read_text()
    (folder / "broken.json").write_text("{")
    (folder / "copy.json").write_text(text)
    (folder / ".incoming-0123456789abcdef").mkdir()
    (folder / "folder.json").mkdir()

    assert records.read_all() == [JOB]
