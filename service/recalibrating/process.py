"""python -m service.recalibrating.process: makes one version from rows, in a process of its own with low priority.

So predictions keep the cores, the service needs no onnx, and a crash here harms nothing: a version is published by one
rename, or not at all. `service.recalibrating.messages` says what is read from standard input and written to standard
output. Standard input stays open as long as the service runs; when it ends, this process exits.
"""

import os
import sys
import traceback
from collections.abc import Callable

from models.errors import DengeError
from models.quantization.limits import TOLERANCE
from models.quantization.version import quantize
from models.recalibration.candidate import Candidate
from models.recalibration.estimate import recalibrate
from models.recalibration.observed import require_better
from models.recalibration.references import make_reference
from models.recalibration.rows import LabelledRows
from models.recalibration.start import Start
from models.repository.repository import Repository
from service.host.background_process import receive_order
from service.recalibrating.messages import OrderWithRows, Progress

Report = Callable[[Progress], None]


def report(progress: Progress) -> None:
    """Send progress to the service."""
    sys.stdout.buffer.write(progress.to_line())
    sys.stdout.buffer.flush()


def main(report: Report = report) -> None:
    """Read the order and carry it out; never returns.

    Args:
        report: sends progress.
    """
    order = receive_order(OrderWithRows.read)
    code = 1
    try:
        _carry_out(order, report)
        code = 0
    except Exception:  # noqa: BLE001 - the last place that sees it
        traceback.print_exc()
    sys.stdout.buffer.flush()
    os._exit(code)


def _carry_out(given: OrderWithRows, report: Report) -> None:
    order = given.order
    repository = Repository(order.repository)
    try:
        candidate = _make(repository, given, report)
        before, after = candidate.estimated_accuracy
        served = candidate.served_accuracy
        report(
            Progress(
                gates=candidate.gates,
                accuracy_before=before,
                accuracy_after=after,
                accuracy_served=served,
                accuracy_gain=candidate.gain,
                # Collected rows are gone when the job ends: nobody could label them.
                rows_to_label=() if order.is_in_order else candidate.rows_to_label(given.labels),
            )
        )
        if order.require_gain:
            parent = candidate.bundle.manifest.lineage.parent
            is_parent = parent is not None and parent.version == (order.answered_by or order.version)
            require_better(after, before if is_parent else served, candidate.gain)
        bundle = candidate.publishable(force=order.force)
        report(Progress(state="publishing"))
        version = repository.publish(bundle, candidate=True)
        report(Progress(state="published", published=version))
    except DengeError as error:
        report(Progress(state="refused", reason=str(error)))
    except OSError as error:
        report(Progress(state="failed", reason=f"the repository cannot be written: {error.strerror}"))


def _make(repository: Repository, given: OrderWithRows, report: Report) -> Candidate:
    order, rows, labels = given
    parent = repository.read(order.model, order.version)
    if order.kind == "reference":
        return make_reference(parent, order.version, rows, on_step=lambda step: report(Progress(state=step)))
    labelled = None if labels is None else LabelledRows.of(rows, labels)
    if order.kind == "quantization":
        return quantize(
            parent,
            order.version,
            (labelled.rows if labelled else rows) or None,
            labelled.labels if labelled else None,
            ranges_from="batch_norm" if order.data_free else "rows",
            tolerance=TOLERANCE if order.tolerance is None else order.tolerance,
            on_step=lambda step: report(Progress(state=step)),
        )
    start = Start.of(repository, order.model, order.version, order.answered_by)
    return recalibrate(
        start.parent,
        start.version,
        rows,
        prior=order.prior,
        only_moved=order.only_moved,
        labelled=labelled,
        is_in_order=order.is_in_order,
        served=start.served,
        on_step=lambda step: report(Progress(state=step)),
    )


if __name__ == "__main__":
    main()
