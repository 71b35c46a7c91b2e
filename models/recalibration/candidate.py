"""A version that was made from another one and has gates, before it is published."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.classification import Classes
from models.errors import VersionRefused
from models.manifest import (
    AccuracyEstimate,
    AccuracyGain,
    Gate,
    QuantizationRecord,
    RecalibrationRecord,
    ReferenceRecord,
)
from models.recalibration.gates import ABOUT_MOVED, describe
from models.recalibration.rows import choose_rows_to_label
from models.repository.bundle import Bundle


@dataclass(frozen=True)
class Candidate:
    """A version whose gates have been checked.

    Attributes:
        bundle: complete, with the gates in its manifest.
        served_accuracy: estimated accuracy of the version that has answered the rows; None where it is not known, or
            this is the parent.
        predicted: the classes of the rows by the version that has answered them and by this one, shape (n,) each; None
            where it is not known.
        gain: estimated, of this version over the one that has answered the rows; None where it is not known.
    """

    bundle: Bundle
    served_accuracy: AccuracyEstimate | None = None
    predicted: tuple[Classes, Classes] | None = None
    gain: AccuracyGain | None = None

    @classmethod
    def of(
        cls, bundle: Bundle, gates: Sequence[Gate], accuracy: tuple[AccuracyEstimate, AccuracyEstimate] | None = None
    ) -> "Candidate":
        """The bundle of a version that has a record of gates, with these gates and estimates in its manifest."""
        estimates = {} if accuracy is None else {"accuracy_before": accuracy[0], "accuracy_after": accuracy[1]}
        return cls(_change_record(bundle, gates=tuple(gates), **estimates))

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Each gate with its figure and its bounds."""
        return _record(self.bundle).gates

    @property
    def estimated_accuracy(self) -> tuple[AccuracyEstimate | None, AccuracyEstimate | None]:
        """Of the parent and of this version on the rows; None each where it is not known."""
        record = _record(self.bundle)
        return (
            (record.accuracy_before, record.accuracy_after) if isinstance(record, RecalibrationRecord) else (None, None)
        )

    @property
    def failed_gates(self) -> tuple[Gate, ...]:
        """The gates that it did not pass, and that labelled rows do not outvote."""
        return tuple(gate for gate in self.gates if not (gate.passed or gate.outvoted))

    def rows_to_label(self, labels: NDArray[np.int64] | None = None) -> tuple[int, ...]:
        """The rows whose classes would decide about this version (`models.recalibration.rows`), by index.

        Args:
            labels: of the rows, shape (n,): those that are known are left out.
        """
        return () if self.predicted is None else choose_rows_to_label(*self.predicted, labels)

    def publishable(self, *, force: bool = False) -> Bundle:
        """The bundle, if it may be published.

        Args:
            force: return it although a gate was not passed, with a manifest that records this.

        Raises:
            VersionRefused: a gate was not passed; the message has the figures, and what may help.
        """
        if not self.failed_gates:
            return self.bundle
        if not force:
            raise VersionRefused("; ".join(map(self._describe, self.failed_gates)))
        return _change_record(self.bundle, forced=True)

    def _describe(self, gate: Gate) -> str:
        is_of_part = getattr(_record(self.bundle), "moved_of", None) is not None
        helps = gate.about == ABOUT_MOVED and not is_of_part
        return (
            f"{describe(gate)} (only_moved estimates from the rows that have moved alone)" if helps else describe(gate)
        )


def _record(bundle: Bundle) -> RecalibrationRecord | ReferenceRecord | QuantizationRecord:
    lineage = bundle.manifest.lineage
    record = lineage.recalibration or lineage.reference or lineage.quantization
    assert record is not None  # noqa: S101 - for the type checker: every version with gates has one
    return record


def _change_record(bundle: Bundle, **changes: object) -> Bundle:
    record = _record(bundle).model_copy(update=changes)
    names = {RecalibrationRecord: "recalibration", ReferenceRecord: "reference", QuantizationRecord: "quantization"}
    lineage = bundle.manifest.lineage.model_copy(update={names[type(record)]: record})
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"lineage": lineage}))
