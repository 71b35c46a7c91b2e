"""What a version is re-calibrated from: always from the version that was trained, so that errors do not add up.

Its statistics are those of training, and its held-out rows are usual for it: the gates and the estimated accuracy need
both. Of a version that was re-calibrated itself, only the weights are left.
"""

from dataclasses import dataclass

from models.repository.bundle import Bundle
from models.repository.repository import Repository


@dataclass(frozen=True)
class Start:
    """Where a re-calibration starts.

    Attributes:
        version: its number.
        parent: the version.
        served: the one that has answered the rows, which the new one must not be worse than; None where that is the
            parent.
    """

    version: int
    parent: Bundle
    served: Bundle | None

    @classmethod
    def of(cls, repository: Repository, model: str, version: int, answered_by: int | None = None) -> "Start":
        """The start for rows of a version.

        Args:
            repository: with the versions.
            model: its name.
            version: to re-calibrate. One that was re-calibrated has answered the rows, and its parent is started from.
            answered_by: another version that has answered the rows.

        Raises:
            ModelNotFound, VersionNotFound, BundleError: as `Repository.read`.
        """
        trained, answering = repository.trained_version(model, version), answered_by or version
        served = None if answering == trained else repository.read(model, answering)
        return cls(trained, repository.read(model, trained), served)
