"""Metrics of drift."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from models.accuracy.agreement import Agreement
from service.catalog.served_version import ServedVersion
from service.watching.metrics import WatchingMetrics
from service.watching.monitor import DriftMonitor
from service.watching.observed_model import ObservedModel
from tests.bundles import NORM
from tests.service.watching.doubles import ESTIMATOR, Catalog, Clock, observation
from tests.watching import usual_rows

VERSION = {"model": "tiny", "version": "1"}


def samples(collector: Collector) -> dict[str, list[tuple[dict[str, str], float]]]:
    families: Iterable[Metric] = collector.collect()
    return {family.name: [(sample.labels, sample.value) for sample in family.samples] for family in families}


@pytest.fixture
def catalog(served: ServedVersion) -> Catalog:
    return Catalog(served)


@pytest.fixture
def monitor(catalog: Catalog, clock: Clock) -> DriftMonitor:
    return DriftMonitor(catalog, rows=64, clock=clock)


def test_drift_is_that_of_the_last_judged_window(
    monitor: DriftMonitor, catalog: Catalog, served: ServedVersion, observed_model: ObservedModel
) -> None:
    monitor.record(observation(observed_model, usual_rows(63) + np.float32(3)))
    assert samples(WatchingMetrics(catalog, monitor))["denge_drift_alarm"] == []

    monitor.record(observation(observed_model, usual_rows(1) + np.float32(3)))
    metrics, layer = samples(WatchingMetrics(catalog, monitor)), VERSION | {"layer": NORM}
    shift = monitor.of(served).judged.assessment.layers[NORM]
    assert metrics["denge_drift_alarm"] == [(VERSION, 1)]
    assert metrics["denge_drift_window_rows"] == [(VERSION, 64)]
    assert metrics["denge_drift_score"] == [(layer, shift.symmetric_kl)]
    assert metrics["denge_drift_significance"] == [(layer, shift.statistic / shift.threshold)]
    assert shift.statistic > shift.threshold


def test_the_estimated_accuracy_is_that_of_the_last_judged_window(
    monitor: DriftMonitor, catalog: Catalog, served: ServedVersion, observed_model: ObservedModel
) -> None:
    seen, agreement = observation(observed_model, usual_rows(64)), Agreement(64, 40, 20.0, 60)
    monitor.record(replace(seen, agreement=agreement))
    assert samples(WatchingMetrics(catalog, monitor))["denge_estimated_accuracy"] == []

    monitor.use_estimator(served, ESTIMATOR)
    monitor.record(replace(seen, agreement=agreement))

    metrics, expected = samples(WatchingMetrics(catalog, monitor)), ESTIMATOR.current(agreement)
    assert expected is not None
    assert metrics["denge_estimated_accuracy"] == [(VERSION, expected.value)]
    assert metrics["denge_estimated_accuracy_low"] == [(VERSION, expected.low)]
    assert metrics["denge_estimated_accuracy_high"] == [(VERSION, expected.high)]
