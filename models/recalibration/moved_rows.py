"""The rows to re-calibrate from where a part of the traffic has moved, and the rest is as the held-out rows."""

from models.datatypes import Arrays
from models.errors import InvalidInput
from models.observation import LayerStatistics, ObservationReader
from models.recalibration.evaluation import usual_rows
from models.recalibration.moved import MovedPart
from models.recalibration.rows import LabelledRows
from models.repository.bundle import Bundle
from models.runtime.load import load

MAX_ERROR = 0.08
"""Expected share of the chosen rows that have not moved. Chosen on `benchmarks.corruptions`: there, up to a sixth had
not, and the version was as good as one from the shifted rows alone."""


class MovedRows:
    """Tells the rows that have moved from the others.

    Args:
        parent: the version that the rows were sent to, not re-calibrated itself.
        rows: for every input of the model, shape (n, ...).

    Attributes:
        rows: those that have moved.
        chosen: whether each row has, shape (n,).

    Raises:
        InvalidInput: the version does not keep what rows are compared with, or the rows cannot be told from each other.
    """

    def __init__(self, parent: Bundle, rows: Arrays) -> None:
        kept, drift = usual_rows(parent), parent.manifest.drift
        if parent.observed is None or drift is None or kept is None:
            raise InvalidInput("the version keeps no held-out rows that others can be told from", "only_moved")
        self._parent = parent
        self._run = load(parent.observed, optimize=True)
        observed = self._observe(rows)
        self._part = MovedPart.find(observed, self._observe(kept), drift)
        if self._part.error > MAX_ERROR:
            raise InvalidInput(
                "the rows that have moved cannot be told from the others: "
                f"{self._part.error:.1%} of the chosen ones would not have moved, at most {MAX_ERROR:.0%} may",
                "only_moved",
            )
        self.chosen = self._part.contains(observed)
        self.rows: Arrays = {name: values[self.chosen] for name, values in rows.items()}

    def labelled(self, given: LabelledRows) -> LabelledRows | None:
        """The labelled rows that have moved; None where none has."""
        chosen = self._part.contains(self._observe(given.rows))
        if not chosen.any():
            return None
        return LabelledRows({name: values[chosen] for name, values in given.rows.items()}, given.labels[chosen])

    def _observe(self, rows: Arrays) -> LayerStatistics:
        outputs = self._run(rows)
        return ObservationReader(self._parent.manifest.layers, outputs).read(outputs)
