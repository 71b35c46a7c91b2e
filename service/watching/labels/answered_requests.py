"""Requests that were answered, for labels that come later: what was predicted, and when."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.classification import Classes, predicted_classes
from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.host.clock import steady

MAX_ID_CHARACTERS = 128
"""Of an id that is remembered: as many as those of `X-Request-ID` that are used in the log."""


@dataclass(slots=True)
class AnsweredRequest:
    """What was predicted for the rows of a request.

    Attributes:
        versions: that have answered: one for all rows, or one for each, shape (1,) or (rows,).
        at: when, in seconds since 1970.
        classes: of its rows, shape (rows,).
        is_labelled: whether labels have come.
    """

    versions: NDArray[np.int64]
    at: float
    classes: Classes
    is_labelled: bool = False


class AnsweredRequests:
    """The latest requests that carried an id of the client's own. For one event loop.

    Args:
        max_rows: of all of them; the oldest are forgotten. 0 remembers none.
        clock: seconds since 1970, never going back.
    """

    def __init__(self, max_rows: int, clock: Callable[[], float] = steady) -> None:
        self._max_rows = max_rows
        self._clock = clock
        self._requests: OrderedDict[tuple[str, str], AnsweredRequest] = OrderedDict()
        self._rows = 0

    def add(
        self,
        request_id: str,
        served: ServedVersion,
        outputs: Mapping[str, Array],
        row_versions: NDArray[np.int64] | None = None,
    ) -> None:
        """Remember what was predicted, in place of an earlier request with the same id.

        Args:
            request_id: the client's; nothing is remembered without one, or with one that is too long.
            served: the version that has answered; nothing is remembered of one that does not classify.
            outputs: by name.
            row_versions: the version that has answered each row, shape (rows,), where there are several.
        """
        if not 0 < len(request_id) <= MAX_ID_CHARACTERS:
            return
        if not self._max_rows or served.manifest.num_classes is None:
            return
        scores = outputs[served.manifest.outputs[0].name]
        if not 0 < len(scores) <= self._max_rows:
            return
        key = served.model, request_id
        if (replaced := self._requests.pop(key, None)) is not None:
            self._rows -= len(replaced.classes)
        versions = np.array([served.version]) if row_versions is None else row_versions
        self._requests[key] = AnsweredRequest(versions, self._clock(), predicted_classes(scores))
        self._rows += len(scores)
        while self._rows > self._max_rows:
            _, oldest = self._requests.popitem(last=False)
            self._rows -= len(oldest.classes)

    def find(self, model: str, request_id: str) -> AnsweredRequest | None:
        """Returns a request; None for one that is not remembered."""
        return self._requests.get((model, request_id))
