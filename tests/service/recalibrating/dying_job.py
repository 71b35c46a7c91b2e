"""`service.recalibrating.process`, killed: before it reads, when it says something, or at a step of publishing.

python -m tests.service.recalibrating.dying_job <what>: `start`, a state of a job, or the number of a step that changes
a folder.
"""

import os
import signal
import sys
from typing import Any

from service.recalibrating import process as recalibrate_job
from tests.models.repository.publishing import STEPS

say = recalibrate_job.say


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(state: str) -> None:
    def say_and_die(**what: Any) -> None:
        say(**what)
        if what.get("state") == state:
            die()

    recalibrate_job.say = say_and_die


def die_at_step(step: int) -> None:
    left = step

    def count(event: str, _: object) -> None:
        nonlocal left
        if publishing and event in STEPS:
            left -= 1
            if left < 0:
                die()

    publishing: list[bool] = []

    def say_and_count(**what: Any) -> None:
        say(**what)
        if what.get("state") == "publishing":
            publishing.append(True)
        if what.get("state") == "published":
            publishing.clear()

    recalibrate_job.say = say_and_count
    sys.addaudithook(count)


if __name__ == "__main__":
    what = sys.argv[1]
    if what == "start":
        die()
    elif what.isdigit():
        die_at_step(int(what))
    else:
        die_at(what)
    recalibrate_job.main()
