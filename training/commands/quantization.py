"""The command `quantize`: a version in 8 bits."""

# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from models.progress import ProgressLine
from models.quantization.limits import MAX_ROWS, TOLERANCE
from training.commands.parameters import CandidateJson, DataSetFolder, Force
from training.output import Output

_SHARES = {"estimating": 0.0, "checking": 0.4}
"""Of the time, that has passed when a step begins."""


def quantize(
    bundle: str,
    *,
    data: str = "",
    labels: Path | None = None,
    data_free: bool = False,
    tolerance: Annotated[float, Parameter(validator=Number(gte=0, lte=100))] = TOLERANCE,
    seed: int = 0,
    data_dir: DataSetFolder = None,
    force: Force = False,
    json: CandidateJson = False,
) -> None:
    """Make the 8-bit version of a model, compare it with its parent, and publish it as the next version.

    The default version stays the default. A result that is not faster, or loses more than --tolerance, is not
    published: the command ends with exit code 1 and the figures.

    Args:
        bundle: Folder or URL of a version, or of a model in a repository: then its default version is quantised.
        data: Rows that the model was not trained on, as `recalibrate` takes them. By default the held-out rows of the
            bundle. One in four gives the ranges of the activations, the others are for the comparison.
        labels: .npy file with the class of each row, to compare accuracies. Those of data sets are known.
        data_free: Take the ranges from the beta and gamma of the batch-normalisation layers instead.
        tolerance: Points of accuracy that may be lost.
        seed: Seed of the choice of rows.
    """
    import numpy as np

    from models.quantization import version
    from models.rows import count_rows
    from training import recalibration, report

    parent = recalibration.Parent.read(bundle)
    parent.repository.validate_writable()
    rows, known = None, None
    if data:
        rows, known = recalibration.read_rows(data, parent.bundle.manifest, data_dir, labels)
        chosen = np.random.default_rng(seed).permutation(count_rows(rows))[:MAX_ROWS]
        rows = {name: values[chosen] for name, values in rows.items()}
        known = None if known is None else known[chosen]
    with ProgressLine("quantize") as progress:
        candidate = version.quantize(
            parent.bundle,
            parent.version,
            rows,
            known,
            ranges_from="batch_norm" if data_free else "rows",
            tolerance=tolerance,
            seed=seed,
            on_step=lambda step: progress(step, _SHARES[step]),
        )
    record = candidate.bundle.manifest.lineage.quantization
    assert record is not None  # noqa: S101 - for the type checker: it was quantised
    output = Output(as_json=json)
    output.say(report.quantization(record))
    output.say(report.gates(record.gates))
    output.publish_candidate(parent.repository, candidate, force=force)
