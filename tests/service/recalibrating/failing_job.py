"""`service.recalibrating.process`, with a defect: python -m tests.service.recalibrating.failing_job."""

from service.recalibrating import process
from service.recalibrating.messages import Progress


def fail(progress: Progress) -> None:
    process.report(progress)
    raise ZeroDivisionError


if __name__ == "__main__":
    process.main(fail)
