"""Re-calibrating a published version from files. Works without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from models.datatypes import Arrays
from models.errors import InvalidInput
from models.manifest import Manifest
from models.progress import Progress, silent
from models.recalibration import estimate
from models.recalibration.candidate import Candidate
from models.recalibration.limits import MAX_ROWS_TO_ESTIMATE
from models.recalibration.rows import UNKNOWN, LabelledRows
from models.recalibration.start import Start
from models.repository.bundle import DIGESTS, Bundle
from models.repository.location import parse_location
from models.repository.repository import Repository
from models.rows import count_rows
from training import row_files
from training.bucket_urls import resolve
from training.config import DataKind
from training.data.dataset import ImageDataset

_SHARES = {"estimating": 0.0, "folding": 0.3, "checking": 0.6}
"""Of the time, that has passed when a step begins."""


@dataclass(frozen=True)
class Parent:
    """The version to start from, and where it is published."""

    repository: Repository
    version: int
    bundle: Bundle

    @classmethod
    def read(cls, text: str) -> "Parent":
        """Read a version from its folder or URL, or a model's default version from the model's.

        Raises:
            InvalidInput: the folder is not in a repository.
            NotFound, BundleError: as `Repository.read`.
        """
        location = parse_location(text)
        if isinstance(location, str):
            return cls._read_from_bucket(location)
        path = location.resolve()
        if (path / DIGESTS).is_file():
            if not path.name.isdecimal():
                raise InvalidInput(f"{path} is not in a repository: its name is not a version number", "bundle")
            repository, model, version = Repository(path.parent.parent), path.parent.name, int(path.name)
        else:
            repository, model = Repository(path.parent), path.name
            version = repository.default_version(model)
        return cls(repository, version, repository.read(model, version))

    @classmethod
    def _read_from_bucket(cls, url: str) -> "Parent":
        repository, model, version = resolve(url)
        if model is None:
            raise InvalidInput(f"{url} is no model: there is no version in it", "bundle")
        version = version or repository.default_version(model)
        return cls(repository, version, repository.read(model, version))


def read_rows(
    data: str, manifest: Manifest, data_dir: Path | None, labels: Path | None = None
) -> tuple[Arrays, NDArray[np.int64] | None]:
    """Rows for a model, and their labels where they are known.

    Args:
        data: name of a data set, for its test rows and their labels; else a file as
            `row_files.read` takes it.
        manifest: of the model.
        data_dir: the folder with the files of the data set.
        labels: an .npy file with the index of each row's class.

    Raises:
        InvalidInput: a file is missing or has other contents.
    """
    known: NDArray[np.int64] | None = None
    kinds: tuple[DataKind, ...] = get_args(DataKind)
    if data in kinds:
        rows, known = _read_test_rows(kinds[kinds.index(data)], manifest, data_dir)
    else:
        rows = row_files.read(Path(data), "data", manifest.inputs, manifest.preprocessing, manifest.tokenization)
    return rows, known if labels is None else _read_labels(labels)


def recalibrate(
    parent: Parent,
    rows: Arrays,
    labels: NDArray[np.int64] | None,
    *,
    max_rows: int,
    prior: float | None,
    only_moved: bool,
    seed: int,
    progress: Progress = silent,
) -> tuple[Candidate, tuple[int, ...]]:
    """Estimate new statistics from rows drawn at random, and check the version that they make.

    Args:
        parent: the version to start from, or that was re-calibrated from the one to start from.
        rows, labels: as `read_rows` returns them. The accuracy is measured on all rows with known labels, up to as many
            as statistics may be estimated from.
        max_rows: how many rows to estimate from, if there are as many.
        prior, only_moved: as in `models.recalibration.estimate.recalibrate`.
        seed: of the draw.
        progress: of the steps.

    Returns:
        The version; and the rows, by index, whose labels would decide about it (`models.recalibration.rows`).

    Raises:
        InvalidInput, GraphError: as `models.recalibration.estimate.recalibrate`.
    """
    count = count_rows(rows)
    if labels is not None and len(labels) != count:
        raise InvalidInput(f"got {len(labels)} labels for {count} rows", "labels")
    order = np.random.default_rng(seed).permutation(count)

    def first(number: int) -> Arrays:
        return {name: values[order[:number]] for name, values in rows.items()}

    labelled = drawn_labels = None
    if labels is not None:
        known = order[labels[order] != UNKNOWN][:MAX_ROWS_TO_ESTIMATE]
        labelled = LabelledRows.of({name: values[known] for name, values in rows.items()}, labels[known])
        drawn_labels = labels[order[:max_rows]]
    start = Start.of(parent.repository, parent.bundle.manifest.model, parent.version)
    candidate = estimate.recalibrate(
        start.parent,
        start.version,
        first(max_rows),
        prior=prior,
        only_moved=only_moved,
        labelled=labelled,
        served=start.served,
        on_step=lambda step: progress(step, _SHARES[step]),
    )
    return candidate, tuple(int(order[row]) for row in candidate.rows_to_label(drawn_labels))


def _read_test_rows(kind: DataKind, manifest: Manifest, data_dir: Path | None) -> tuple[Arrays, NDArray[np.int64]]:
    from training.data.load import load  # noqa: PLC0415 - imports scikit-learn and an HTTP client

    found = load(kind, data_dir)
    tokenization = None if isinstance(found, ImageDataset) else found.tokenization
    if tokenization != manifest.tokenization:
        raise InvalidInput(
            f"'{kind}' does not have the tokens of this model: give a .txt file with a text in each line", "data"
        )
    spec = row_files.single_input(manifest.inputs, "data")
    return {spec.name: found.test_rows.reshape(-1, *spec.shape[1:])}, found.test_labels


def _read_labels(path: Path) -> NDArray[np.int64]:
    found = row_files.load(path, "labels")
    if not isinstance(found, np.ndarray) or not np.issubdtype(found.dtype, np.integer) or found.ndim != 1:
        raise InvalidInput(f"{path} does not hold one array of whole numbers", "labels")
    return found.astype(np.int64)
