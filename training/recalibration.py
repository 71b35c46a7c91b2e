"""Re-calibrating a published version from files. Works without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from models.datatypes import Arrays
from models.errors import InvalidInput
from models.manifest import Manifest
from models.recalibration import estimate
from models.recalibration.estimate import Candidate, Labelled
from models.recalibration.limits import MAX_ROWS_TO_ESTIMATE
from models.repository.bundle import DIGESTS, Bundle
from models.repository.repository import Repository
from training import row_files
from training.config import DataKind


@dataclass(frozen=True)
class Parent:
    """The version to start from, and where it is published."""

    repository: Repository
    version: int
    bundle: Bundle

    @classmethod
    def at(cls, path: Path) -> "Parent":
        """Read a version from its folder, or a model's default version from the model's folder in the repository.

        Raises:
            InvalidInput: the folder is neither.
            NotFound, BundleError: as `Repository.read`.
        """
        path = path.resolve()
        if (path / DIGESTS).is_file():
            if not path.name.isdecimal():
                raise InvalidInput(f"{path} is not in a repository: its name is no version", "bundle")
            repository, model, version = Repository(path.parent.parent), path.parent.name, int(path.name)
        else:
            repository, model = Repository(path.parent), path.name
            version = repository.default_version(model)
        return cls(repository, version, repository.read(model, version))


def read(
    data: str, manifest: Manifest, data_dir: Path, labels: Path | None = None
) -> tuple[Arrays, NDArray[np.int64] | None]:
    """Rows for the model, and their labels where they are known.

    Args:
        data: "mnist" or "digits", for the test images of that data set and their labels; else a file as
            `row_files.read` takes it.
        manifest: of the model.
        data_dir: where MNIST's four files are.
        labels: an .npy file with the index of each row's class.

    Raises:
        InvalidInput: a file is missing, or not what it should be.
    """
    known: NDArray[np.int64] | None = None
    kinds: tuple[DataKind, ...] = get_args(DataKind)
    if data in kinds:
        rows, known = _test_images(kinds[kinds.index(data)], manifest, data_dir)
    else:
        rows = row_files.read(Path(data), "data", manifest.inputs, manifest.preprocessing)
    return rows, known if labels is None else _labels(labels)


def recalibrate(
    parent: Parent, rows: Arrays, labels: NDArray[np.int64] | None, *, count: int, prior: float, seed: int
) -> Candidate:
    """Estimate from some of the rows, at random, fold and check.

    Args:
        parent: the version to start from.
        rows, labels: as `read` returns them. All rows with labels count for the accuracy, up to as many as may be
            estimated from.
        count: how many rows to estimate from, if there are as many.
        prior: as in `models.recalibration.estimate.recalibrate`.
        seed: of the choice.

    Raises:
        InvalidInput, GraphError: as `models.recalibration.estimate.recalibrate`.
    """
    found = len(next(iter(rows.values())))
    if labels is not None and len(labels) != found:
        raise InvalidInput(f"{len(labels)} of them for {found} rows", "labels")
    order = np.random.default_rng(seed).permutation(found)

    def some(number: int) -> Arrays:
        return {name: values[order[:number]] for name, values in rows.items()}

    labelled = None
    if labels is not None:
        labelled = Labelled(some(MAX_ROWS_TO_ESTIMATE), labels[order[:MAX_ROWS_TO_ESTIMATE]])
    return estimate.recalibrate(
        parent.bundle,
        parent.version,
        some(count),
        prior=prior,
        labelled=labelled,
    )


def _test_images(kind: DataKind, manifest: Manifest, data_dir: Path) -> tuple[Arrays, NDArray[np.int64]]:
    from training.data.load import load  # noqa: PLC0415 - brings scikit-learn and an HTTP client

    found = load(kind, data_dir)
    spec = row_files.only(manifest.inputs, "data")
    return {spec.name: found.prepare(found.test_images).reshape(-1, *spec.shape[1:])}, found.test_labels


def _labels(path: Path) -> NDArray[np.int64]:
    found = row_files.load(path, "labels")
    if not isinstance(found, np.ndarray) or not np.issubdtype(found.dtype, np.integer) or found.ndim != 1:
        raise InvalidInput(f"{path} does not hold one array of whole numbers", "labels")
    return found.astype(np.int64)
