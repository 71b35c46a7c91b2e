"""`service.recalibrating.process`, killed: before it reads, when it reports something, or at a step of publishing.

python -m tests.service.recalibrating.dying_job <what>: `start`, a state of a job, or the number of a step that changes
a folder.
"""

import os
import signal
import sys

from service.recalibrating import process
from service.recalibrating.messages import Progress
from tests.models.repository.publishing import STEPS


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(state: str) -> None:
    def report_and_die(progress: Progress) -> None:
        process.report(progress)
        if progress.state == state:
            die()

    process.main(report_and_die)


def die_at_step(step: int) -> None:
    left = step
    publishing = False

    def count(event: str, _: object) -> None:
        nonlocal left
        if publishing and event in STEPS:
            left -= 1
            if left < 0:
                die()

    def report_and_count(progress: Progress) -> None:
        nonlocal publishing
        process.report(progress)
        if progress.state is not None:
            publishing = progress.state == "publishing"

    sys.addaudithook(count)
    process.main(report_and_count)


if __name__ == "__main__":
    what = sys.argv[1]
    if what == "start":
        die()
    elif what.isdigit():
        die_at_step(int(what))
    else:
        die_at(what)
