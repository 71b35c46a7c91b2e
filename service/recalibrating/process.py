"""python -m service.recalibrating.process: re-calibrate one version, in a process of its own and of low priority.

So predictions keep the cores, the serving process needs no onnx, and whatever happens here happens to nobody else: a
version is published by one rename, or not at all. What to do comes on standard input (`service.wire.arrays`), and what
is done goes to standard output, one JSON object a line. When standard input ends, the service has gone, and so does
this.
"""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import orjson

from models.errors import DengeError, RecalibrationRefused
from models.recalibration.estimate import DEFAULT_PRIOR, Candidate, Labelled, recalibrate
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from service.wire import arrays

_NICENESS = 15


def say(**what: Any) -> None:
    """Tell the service."""
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


def work(order: dict[str, Any], rows: dict[str, arrays.Array]) -> None:
    """Do what was ordered, and say what came of it."""
    repository = Repository(Path(order["repository"]))
    prior = DEFAULT_PRIOR if order["prior"] is None else order["prior"]
    say(prior=prior)
    labels = rows.pop(order["labels"]) if order["labels"] else None
    try:
        candidate = recalibrate(
            repository.read(order["model"], order["version"]),
            order["version"],
            rows,
            prior=prior,
            labelled=None if labels is None else _labelled(rows, labels),
            on_step=lambda step: say(state=step),
        )
        publish(repository, candidate, force=order["force"])
    except DengeError as error:
        say(state="refused", reason=str(error))
    except OSError as error:
        say(state="failed", reason=f"the repository cannot be written: {error.strerror}")


def publish(repository: Repository, candidate: Candidate, *, force: bool) -> None:
    """Publish what passes its gates, and never as the default.

    Raises:
        RecalibrationRefused: it does not.
    """
    say(gates=[gate.model_dump() for gate in candidate.gates])
    bundle: Bundle = candidate.publishable(force=force)
    say(state="publishing")
    say(state="published", published=repository.publish(bundle, candidate=True))


def _labelled(rows: dict[str, arrays.Array], labels: arrays.Array) -> Labelled:
    known = labels >= 0
    if not known.any():
        raise RecalibrationRefused("labels: none of them is a class")
    return Labelled({name: values[known] for name, values in rows.items()}, labels[known])


def _leave_with(service: IO[bytes]) -> None:
    service.read(1)
    os._exit(1)


def main() -> None:
    """Read the order, and work."""
    with suppress(OSError):
        os.nice(_NICENESS)
    order, rows = arrays.read(sys.stdin.buffer)
    threading.Thread(target=_leave_with, args=(sys.stdin.buffer,), daemon=True).start()
    work(order, rows)
    sys.stdout.buffer.flush()
    os._exit(0)  # the thread that waits for the service would be waited for


if __name__ == "__main__":
    main()
