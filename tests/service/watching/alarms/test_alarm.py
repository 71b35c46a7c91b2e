"""Alarms are logged and reach every subscriber."""

import structlog

from service.catalog.served_version import ServedVersion
from service.watching.alarms.alarm import Alarm, Alarms
from service.watching.observed_model import ObservedModel
from service.watching.version_monitor import VersionMonitor
from tests.bundles import NORM
from tests.service.watching.doubles import Clock, observation
from tests.watching import usual_rows


def test_an_alarm_that_begins_and_ends_is_logged_and_reaches_every_subscriber(
    served: ServedVersion, observed_model: ObservedModel, clock: Clock
) -> None:
    monitor = VersionMonitor(served.manifest, 64, 0.01, clock)
    one: list[Alarm] = []
    other: list[Alarm] = []
    alarms = Alarms(one.append, other.append)

    with structlog.testing.capture_logs() as logged:
        for shift in (3, 0, 0, 0):
            if judged := monitor.record(observation(observed_model, usual_rows(64) + shift)):
                alarms.notify_subscribers(Alarm.of("tiny", 1, served.manifest, judged))
            clock.now += 60

    assert one == other
    began, ended = one
    assert (began.alarm, began.verdict, began.model, began.version, began.rows) == (
        True,
        "covariate_shift",
        "tiny",
        "1",
        64,
    )
    assert began.statistic > began.threshold
    assert began.layers[NORM] > 0.05
    assert (began.course.began, began.course.ended, began.course.first_layer) == (began.time, None, NORM)
    assert (ended.alarm, ended.verdict) == (False, "quiet")
    assert (ended.course.began, ended.course.ended, ended.course.windows) == (began.time, ended.time, 4)
    assert (ended.course.peak.time, ended.course.peak.symmetric_kl) == (began.time, began.symmetric_kl)
    assert ended.course.peak.significance == began.statistic / began.threshold
    assert [(line["log_level"], line["event"], line["verdict"]) for line in logged] == [
        ("warning", "drift_alarm_started", "covariate_shift"),
        ("info", "drift_alarm_ended", "quiet"),
    ]
