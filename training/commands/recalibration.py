"""The command `recalibrate`: a version with statistics of other rows."""

# ruff: noqa: PLC0415

from pathlib import Path

from models.progress import ProgressLine
from training.commands.parameters import CandidateJson, DataSetFolder, Force
from training.output import Output


def recalibrate(
    bundle: str,
    *,
    data: str,
    labels: Path | None = None,
    rows: int = 256,
    prior: float | None = None,
    only_moved: bool = False,
    seed: int = 0,
    data_dir: DataSetFolder = None,
    force: Force = False,
    json: CandidateJson = False,
) -> None:
    """Estimate the normalisation statistics from unlabelled rows, and publish the result as the next version.

    The default version stays the default. A result that does not pass its gates is not published.

    Args:
        bundle: Folder or URL of a version, or of a model in a repository: then its default version is re-calibrated.
        data: .npy or .npz file of rows for the model's inputs, or of images as pixels; .txt file with a text in each
            line; or "mnist", "digits" or "rt-polarity".
        labels: .npy file with the class of each row, to compare accuracies: -1 where it is not known, -2 for none of
            the model's. Those of data sets are known.
        rows: Number of rows to estimate from, drawn at random.
        prior: Number of rows that the present statistics count for. If absent: estimated for each layer.
        only_moved: Estimate from the rows that have moved alone, where the others are as the held-out rows: for a
            version that answers the rows of its domain.
        seed: Seed of the draw.
    """
    from training import recalibration, report

    parent = recalibration.Parent.read(bundle)
    parent.repository.validate_writable()
    given, known = recalibration.read_rows(data, parent.bundle.manifest, data_dir, labels)
    with ProgressLine("recalibrate") as progress:
        candidate, rows_to_label = recalibration.recalibrate(
            parent, given, known, max_rows=rows, prior=prior, only_moved=only_moved, seed=seed, progress=progress
        )
    output = Output(as_json=json)
    output.say(report.gates(candidate.gates))
    output.say(report.estimated_accuracy(*candidate.estimated_accuracy))
    if rows_to_label:
        output.say(report.rows_to_label(rows_to_label))
    output.publish_candidate(parent.repository, candidate, force=force)
