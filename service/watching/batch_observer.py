"""Runs the observed graph on rows, and passes what it finds to a sink."""

from collections.abc import Callable, Mapping
from time import thread_time

from models.accuracy.agreement import NO_ROWS
from models.moments.layers import LayerMoments
from models.observation import LayerStatistics, RowStatistics
from service.catalog.served_version import ServedVersion
from service.watching.observation import Observation
from service.watching.observed_models import ObservedModels
from service.watching.offered_rows import OfferedRows
from service.watching.twins.twins import Twins
from service.watching.version_fits import VersionFits


class BatchObserver:
    """Observes rows of one version after the other. For one thread.

    Args:
        observed_models: of the served versions.
        sink: called with each observation.
        twins: estimate the accuracy on the observed rows; None estimates none.
        fits: compare re-calibrated versions with those that they were made from; None compares none.
        clock: processor time of the calling thread, in seconds.
    """

    def __init__(
        self,
        observed_models: ObservedModels,
        sink: Callable[[Observation], None],
        twins: Twins | None = None,
        fits: VersionFits | None = None,
        clock: Callable[[], float] = thread_time,
    ) -> None:
        self._observed_models = observed_models
        self._sink = sink
        self._twins = twins
        self._fits = fits
        self._clock = clock

    def open(self, served: ServedVersion) -> None:
        """Open the observed graph of a version, which takes long once."""
        self._observed_models.of(served)

    def observe(self, taken: OfferedRows) -> None:
        """Observe rows; nothing where their version has no observed graph.

        Raises:
            InferenceFailed: the runtime failed on them.
        """
        served, inputs = taken.served, taken.inputs
        observed_model = self._observed_models.of(served)
        if observed_model is None:
            return
        began = self._clock()
        found = observed_model.observe(inputs)
        layers = LayerMoments.of(found.layers)
        fit = self._compare(served, found.layers)
        agreement = NO_ROWS
        if self._twins is not None:
            agreement = self._twins.add(served, inputs, found.scores, self._clock() - began)
        seconds = self._clock() - began
        batches, skipped = taken.batches, taken.skipped
        self._sink(
            Observation(served.model, served.version, layers, found.classes, batches, skipped, seconds, agreement, fit)
        )

    def _compare(self, served: ServedVersion, observed: LayerStatistics) -> float:
        """Returns how much rows fit their version better than its parent; passes on how much they fit its shadow."""
        if self._fits is None:
            return 0.0
        own, of_shadow = self._fits.of(served), self._fits.of_shadow(served)
        if own is None and of_shadow is None:
            return 0.0
        layers: Mapping[str, RowStatistics] = observed.finite_rows()
        of_parent = layers if own is None else own.restate_for_parent(layers)
        if of_shadow is not None:
            shadow, fit = of_shadow
            self._sink(Observation.of_fit(shadow.model, shadow.version, fit.evidence(of_parent)))
        return 0.0 if own is None else own.evidence(of_parent)
