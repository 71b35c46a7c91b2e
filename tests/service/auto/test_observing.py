"""What `auto` mode reads off a job: `service.auto.observing`."""

from datetime import UTC, datetime

from models.manifest import Gate
from models.recalibration import gates
from service.auto.observing import observe_job
from service.recalibrating.job import Job


def refused(*found: Gate) -> Job:
    """A job that has ended without a version."""
    now = datetime.now(UTC)
    return Job(
        id="job",
        kind="recalibration",
        model="mine",
        version=1,
        state="refused",
        reason="a gate",
        rows=256,
        target_rows=256,
        prior=None,
        force=False,
        gates=found,
        created_at=now,
        updated_at=now,
    )


def test_a_job_whose_rows_were_still_moving_is_told_from_others() -> None:
    moving, few = gates.trend(1.0, 0.9, 0.1), gates.rows(1)

    observed = observe_job(refused(few, moving))
    assert (observed.is_finished, observed.published, observed.reason, observed.was_moving) == (
        True,
        None,
        "a gate",
        True,
    )
    assert not observe_job(refused(few)).was_moving
