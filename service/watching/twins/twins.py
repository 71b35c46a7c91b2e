"""The twins of the served versions, each made in the background once its version has met rows."""

import threading
import weakref
from collections.abc import Callable, Mapping
from time import thread_time

import structlog

from models.accuracy.agreement import NO_ROWS, Agreement
from models.accuracy.agreement_estimator import AgreementEstimator
from models.datatypes import Array
from models.errors import DengeError
from service.catalog.served_version import ServedVersion
from service.watching.twins.twin import Twin

log = structlog.get_logger()

START_ROWS = 256
"""Observed rows of a version after which its twin is made: a process works for some seconds."""

RETRY_FACTOR = 8
"""A twin that could not be made is tried again when its version has met so many times as many rows: a full memory may
have room by then, and what can never be made costs six attempts for ten million rows."""

MAX_SHARE = 1.0
"""Processor time for the twin, relative to that for the observed graph."""

MAX_BLOCK_BYTES = 8 << 20
"""Of the rows that wait for the twin. A version whose rows are larger gets no estimate."""


class Twins:
    """Runs twins on observed rows. For one thread.

    Args:
        make: returns the twin of a version, after some seconds; None where no accuracy can be estimated by it.
        on_made: called with each estimator when its twin was made, in a thread of its own.
        clock: processor time of the calling thread, in seconds.
    """

    def __init__(
        self,
        make: Callable[[ServedVersion], Twin | None],
        on_made: Callable[[ServedVersion, AgreementEstimator], None],
        clock: Callable[[], float] = thread_time,
    ) -> None:
        self._clock = clock
        self._make = make
        self._on_made = on_made
        self._states: dict[int, _State] = {}

    def add(self, served: ServedVersion, inputs: Mapping[str, Array], scores: Array, seconds: float) -> Agreement:
        """Add observed rows. Returns the agreement on the block that they fill, or on no rows.

        Args:
            served: the version.
            inputs: by name, shape (rows, ...).
            scores: of the version for them, shape (rows, K).
            seconds: processor time that observing them took.

        Raises:
            InferenceFailed: the runtime failed on a block.
        """
        if served.manifest.num_classes is None:
            return NO_ROWS
        if (state := self._states.get(id(served))) is None:
            state = self._states[id(served)] = _State()
            weakref.finalize(served, self._states.pop, id(served)).atexit = False
        state.rows += len(scores)
        state.seconds_left += MAX_SHARE * seconds
        if state.rows >= state.next_attempt and not state.is_asked:
            state.is_asked = True
            target = threading.Thread(target=self._make_one, args=(served, state), name="twin", daemon=True)
            target.start()
        if state.twin is None or state.seconds_left < 0 or not _fits(inputs, state.twin.estimator.block_rows):
            return NO_ROWS
        began = self._clock()
        try:
            return state.twin.add(inputs, scores)
        finally:
            state.seconds_left -= self._clock() - began

    def _make_one(self, served: ServedVersion, state: "_State") -> None:
        try:
            twin = self._make(served)
        except (DengeError, OSError, MemoryError) as error:
            log.error("twin_not_made", model=served.model, version=served.version, exc_info=error)
            state.next_attempt = RETRY_FACTOR * state.rows
            state.is_asked = False
            return
        if twin is not None:
            self._on_made(served, twin.estimator)
            state.twin = twin


class _State:
    """What is known of one version.

    Attributes:
        rows: observed so far.
        seconds_left: processor time that its twin may take.
        next_attempt: rows after which its twin is made.
        is_asked: whether its twin is being made, was made, or cannot exist.
        twin: None until it was made.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.seconds_left = 0.0
        self.next_attempt = START_ROWS
        self.is_asked = False
        self.twin: Twin | None = None


def _fits(inputs: Mapping[str, Array], block_rows: int) -> bool:
    row_bytes = sum(values[:1].nbytes for values in inputs.values())
    return block_rows * row_bytes <= MAX_BLOCK_BYTES
