"""True classes of rows that were predicted before: which requests they belong to, and how many rows were correct."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.accuracy.labelled import Labelled
from models.errors import InvalidInput
from models.validation import shorten
from service.catalog.catalog import Catalog
from service.telemetry.statistics import ServiceStatistics
from service.watching.labels.answered_requests import MAX_ID_CHARACTERS, AnsweredRequest, AnsweredRequests
from service.watching.monitor import DriftMonitor

MAX_REQUESTS = 1000
"""That one call has labels for."""


class LabelledRequest(BaseModel, defer_build=True):
    """The true classes of the rows of one request."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(
        min_length=1, description="The id that the client gave the request: its header `X-Request-ID`, or the V2 `id`."
    )
    classes: list[int | str | None] = Field(
        min_length=1, description="Of each of its rows: the index of the class or its label; null where it is unknown."
    )


class LabelReport(BaseModel, defer_build=True):
    """What became of labels."""

    rows: int = Field(0, description="Rows that have got a label.")
    correct: int = Field(0, description="Of these, the rows that were predicted to be of this class.")
    unknown: list[str] = Field(
        default_factory=list,
        description="Ids of requests that no replica remembers: it has not answered them, their id has more than "
        f"{MAX_ID_CHARACTERS} characters, more than `label_rows` rows have come since, or their version is not loaded "
        "any more.",
    )
    repeated: list[str] = Field(
        default_factory=list, description="Ids of requests that had labels already; these do not count twice."
    )
    refused: dict[str, str] = Field(
        default_factory=dict, description="Why, by id, the labels of a request do not fit its rows. None of them count."
    )
    unreached: list[str] = Field(
        default_factory=list, description="Replicas that did not answer, and may remember the unknown requests."
    )

    def add(self, other: "LabelReport") -> None:
        """Add what another replica has made of the requests that were unknown here."""
        self.rows += other.rows
        self.correct += other.correct
        self.unknown = other.unknown
        self.repeated += other.repeated
        self.refused |= other.refused


class Labels:
    """Labels for the requests that this replica has answered. For one event loop.

    Args:
        catalog: the loaded versions.
        answered: requests that were answered.
        monitor: counts the rows in the windows of their time.
        statistics: of this process, which count them as well.
    """

    def __init__(
        self, catalog: Catalog, answered: AnsweredRequests, monitor: DriftMonitor, statistics: ServiceStatistics
    ) -> None:
        self._catalog = catalog
        self._answered = answered
        self._monitor = monitor
        self._statistics = statistics

    def apply(self, model: str, requests: Sequence[LabelledRequest]) -> LabelReport:
        """Compare labels with what was predicted, and count the rows in the windows of the time of the prediction."""
        report = LabelReport()
        for request in requests:
            answered = self._answered.find(model, request.id)
            labels = None if answered is None else self._labels(model, answered.versions)
            if answered is None or labels is None:
                report.unknown.append(request.id)
            elif answered.is_labelled:
                report.repeated.append(request.id)
            else:
                try:
                    compared = _compare(answered, request.classes, labels)
                except InvalidInput as error:
                    report.refused[request.id] = str(error)
                    continue
                answered.is_labelled = True
                for version, labelled in compared.items():
                    self._monitor.record_labels(model, version, answered.at, labelled)
                    counted = self._statistics.of(model, version)
                    counted.labelled += labelled.rows
                    counted.correct += labelled.correct
                    report.rows += labelled.rows
                    report.correct += labelled.correct
        return report

    def _labels(self, model: str, versions: NDArray[np.int64]) -> tuple[str, ...] | None:
        """Labels of the classes, their numbers without any; None where one of the versions is not loaded."""
        loaded = [self._catalog.find(model, version) for version in set(versions.tolist())]
        if loaded[0] is None or None in loaded:
            return None
        manifest = loaded[0].manifest
        return tuple(manifest.labels or map(str, range(manifest.num_classes or 0)))


def _compare(
    answered: AnsweredRequest, given: Sequence[int | str | None], labels: tuple[str, ...]
) -> dict[int, Labelled]:
    """Counts rows, by the version that has answered them.

    Raises:
        InvalidInput: there are more or fewer rows, or a class does not exist.
    """
    rows = len(answered.classes)
    if len(given) != rows:
        raise InvalidInput(f"got {len(given)}, the request had {rows} rows", "classes")
    true = [_class_index(found, labels, f"classes[{row}]") for row, found in enumerate(given)]
    counts: dict[int, Labelled] = {}
    versions = np.broadcast_to(answered.versions, rows).tolist()
    for version, found, predicted in zip(versions, true, answered.classes, strict=True):
        counted = counts.setdefault(version, Labelled())
        if found is not None:
            counts[version] = Labelled(counted.rows + 1, counted.correct + int(found == predicted))
    return counts


def _class_index(given: int | str | None, labels: tuple[str, ...], where: str) -> int | None:
    if isinstance(given, str):
        if given not in labels:
            raise InvalidInput(f"got '{shorten(given)}', expected a label of the version", where)
        return labels.index(given)
    if given is not None and not 0 <= given < len(labels):
        raise InvalidInput(f"got {given}, expected a class from 0 to {len(labels) - 1}", where)
    return given
