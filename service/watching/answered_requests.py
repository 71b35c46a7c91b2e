"""Requests that were answered, for labels that come later: what was predicted, and when."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.classification import Classes, predicted_classes
from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.host.clock import steady


@dataclass(slots=True)
class AnsweredRequest:
    """What was predicted for the rows of a request.

    Attributes:
        version: that has answered.
        at: when, in seconds since 1970.
        classes: of its rows, shape (rows,).
        is_labelled: whether labels have come.
    """

    version: int
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

    def add(self, request_id: str, served: ServedVersion, outputs: Mapping[str, Array]) -> None:
        """Remember what was predicted, in place of an earlier request with the same id.

        Args:
            request_id: the client's; nothing is remembered without.
            served: the version that has answered; nothing is remembered of one that does not classify.
            outputs: by name.
        """
        if not request_id or not self._max_rows or served.manifest.num_classes is None:
            return
        scores = outputs[served.manifest.outputs[0].name]
        if not 0 < len(scores) <= self._max_rows:
            return
        key = served.model, request_id
        if (replaced := self._requests.pop(key, None)) is not None:
            self._rows -= len(replaced.classes)
        self._requests[key] = AnsweredRequest(served.version, self._clock(), predicted_classes(scores))
        self._rows += len(scores)
        while self._rows > self._max_rows:
            _, oldest = self._requests.popitem(last=False)
            self._rows -= len(oldest.classes)

    def find(self, model: str, request_id: str) -> AnsweredRequest | None:
        """Returns a request; None for one that is not remembered."""
        return self._requests.get((model, request_id))
