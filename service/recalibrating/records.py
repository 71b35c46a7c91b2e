"""The records of jobs on disk: one JSON file each, without rows."""

from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from models.durable_files import delete_abandoned, replace_file
from service.recalibrating.job import Job


class JobRecords:
    """A folder of records.

    Args:
        folder: created with the first record.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read_all(self) -> list[Job]:
        """All jobs, oldest first. A file that is no record is skipped."""
        delete_abandoned(self._folder)
        jobs = []
        for path in self._folder.glob("*.json"):
            with suppress(OSError, ValidationError):
                job = Job.model_validate_json(path.read_bytes())
                if path == self._path(job.id):
                    jobs.append(job)
        return sorted(jobs, key=lambda job: job.created_at)

    def write(self, job: Job) -> None:
        """Create or replace a record by one rename.

        Raises:
            OSError: the disk is full or may not be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_file(self._path(job.id), job.model_dump_json().encode())

    def delete(self, job_id: str) -> None:
        """Delete a record, if it exists."""
        self._path(job_id).unlink(missing_ok=True)

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.json"
