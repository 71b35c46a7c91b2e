"""All models at a glance: what each serves, how it does, whether its inputs have moved; and the service itself."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Self

from fastapi import APIRouter
from prometheus_client.registry import Collector
from pydantic import BaseModel, Field

from models.drift.assessment import MIN_WINDOW_ROWS, Verdict
from service.catalog.catalog import Catalog
from service.catalog.index import IndexEntry, LoadState
from service.catalog.served_version import ServedVersion
from service.host import cores
from service.host.blocking_pool import BlockingPool
from service.host.clock import steady, to_date
from service.http.access import PUBLIC
from service.routes.accuracy_report import EstimatedAccuracy
from service.routes.drift_report import ALARM, ALARM_SINCE
from service.routes.openapi import api_router, error_responses
from service.telemetry.durations import DurationHistogram
from service.telemetry.statistics import Gather, ServiceStatistics
from service.watching.monitor import DriftMonitor
from service.watching.version_monitor import VersionMonitor
from service.watching.windows import HORIZONS


class VersionSummary(BaseModel):
    """A loaded version."""

    version: str
    is_default: bool = Field(description="Whether it answers the requests to the model that name no version.")
    canary_share: float | None = Field(
        description="Share of the requests that name no version which it answers as the canary; null for others."
    )
    is_shadow: bool
    alarm: bool = Field(description=ALARM)
    alarm_since: datetime | None = Field(description=ALARM_SINCE)
    verdict: Verdict = Field(description="On the last full window of rows.")
    rows: int = Field(description="Of that window; 0 before the first.")
    symmetric_kl: float = Field(description="Of that window, mean over layers.")
    estimated_accuracy: EstimatedAccuracy | None = Field(description="In that window; null where it is not known.")
    drift: list[float | None] = Field(
        description="Symmetric KL divergence in each of the last 60 minutes, mean over layers, oldest first; null with "
        "too few rows. Empty for versions that are not the default."
    )

    @classmethod
    def of(cls, served: ServedVersion, catalog: Catalog, monitor: VersionMonitor) -> Self:
        """Describe a loaded version. Assesses rows: call it in a thread."""
        judged = monitor.judged
        is_default = catalog.is_default(served)
        alarm = monitor.alarms.open
        return cls(
            version=str(served.version),
            is_default=is_default,
            canary_share=catalog.canary_share(served),
            is_shadow=catalog.is_shadow(served),
            alarm=alarm is not None,
            alarm_since=None if alarm is None else to_date(alarm.began),
            verdict="not_enough_rows" if judged is None else judged.assessment.verdict,
            rows=0 if judged is None else judged.assessment.rows,
            symmetric_kl=0.0 if judged is None else judged.assessment.symmetric_kl,
            estimated_accuracy=None if judged is None else EstimatedAccuracy.of(judged.assessment),
            drift=_last_hour(monitor) if is_default else [],
        )


class IndexedNumber(BaseModel):
    """A version in the repository."""

    version: str = Field(description="Its number, or the name of the folder; empty if the model cannot be read.")
    state: LoadState
    reason: str = Field(description="Why it is not loaded; empty if it is.")


class ModelSummary(BaseModel):
    """A model. Counts begin when the service starts, and are of all its versions."""

    name: str
    index: list[IndexedNumber] = Field(description="Its versions in the repository, oldest first.")
    loaded: list[VersionSummary]
    requests: int
    errors: int
    p99_ms: float | None = Field(description="99th percentile of latency since the start; null before the first.")

    @classmethod
    def of(
        cls, name: str, index: Sequence[IndexEntry], loaded: Sequence[VersionSummary], statistics: ServiceStatistics
    ) -> Self:
        """Describe a model.

        Args:
            name: of the model.
            index: its versions in the repository.
            loaded: its loaded versions.
            statistics: of the whole service.
        """
        requests, errors = DurationHistogram(), 0
        for (model, _), counted in statistics.versions.items():
            if model == name:
                requests.merge(counted.success)
                requests.merge(counted.fail)
                errors += counted.fail.count
        p99 = requests.quantile(0.99)
        return cls(
            name=name,
            index=[IndexedNumber(version=one.version, state=one.state, reason=one.reason) for one in index],
            loaded=list(loaded),
            requests=requests.count,
            errors=errors,
            p99_ms=None if p99 is None else round(p99 * 1e3, 3),
        )


class ServiceHealth(BaseModel):
    """What the service itself takes: all processes that share a port, or else this one."""

    pending: int = Field(description="Requests that wait for a run or are in one.")
    memory_bytes: int = Field(description="Resident memory; 0 where the system does not tell.")
    cpu_seconds: float = Field(description="Processor time since the start.")
    cores: int = Field(description="Cores that it may keep busy.")
    providers: list[str] = Field(description="What the loaded versions run on.")


class Overview(BaseModel):
    """The service at a glance."""

    time: datetime
    health: ServiceHealth
    models: list[ModelSummary] = Field(description="By name.")


def router(
    catalog: Catalog, monitor: DriftMonitor, gather: Gather, reads: BlockingPool, processes: Collector
) -> APIRouter:
    """The overview.

    Args:
        catalog: what is loaded.
        monitor: judges the versions.
        gather: collects the statistics.
        reads: threads that read the repository.
        processes: memory and processor time, as Prometheus gets them.
    """
    routes = api_router("health", PUBLIC)

    def summarise() -> dict[str, list[VersionSummary]]:
        found: dict[str, list[VersionSummary]] = {}
        for served, observed in monitor.monitored():
            found.setdefault(served.model, []).append(VersionSummary.of(served, catalog, observed))
        return found

    @routes.get("/v2/overview", summary="All models at a glance", responses=error_responses(503))
    async def get_overview() -> Overview:
        """What each model serves, its requests, errors and latency, its drift, and the service's own health."""
        index = await reads.run("list the repository", catalog.index)
        loaded = await asyncio.to_thread(summarise)
        statistics = await gather()
        return Overview(
            time=to_date(steady()),
            health=_health(catalog, statistics, processes),
            models=[
                ModelSummary.of(name, list(entries), loaded.get(name, []), statistics)
                for name, entries in groupby(index, attrgetter("name"))
            ],
        )

    return routes


def _last_hour(monitor: VersionMonitor) -> list[float | None]:
    horizon = HORIZONS["1h"]
    sizes: list[float | None] = [None] * horizon.buckets
    first = horizon.slot(steady()) - horizon.buckets + 1
    for end, bucket in monitor.history("1h"):
        place = horizon.slot(end) - 1 - first
        if bucket.rows >= MIN_WINDOW_ROWS and 0 <= place < len(sizes):
            sizes[place] = round(monitor.assessor.assess(bucket).symmetric_kl, 4)
    return sizes


def _health(catalog: Catalog, statistics: ServiceStatistics, processes: Collector) -> ServiceHealth:
    figures = {sample.name: sample.value for metric in processes.collect() for sample in metric.samples}
    return ServiceHealth(
        pending=statistics.pending,
        memory_bytes=int(figures.get("process_resident_memory_bytes", 0)),
        cpu_seconds=figures.get("process_cpu_seconds_total", 0.0),
        cores=cores.count_usable(),
        providers=sorted({served.engine.provider for served in catalog.served()}),
    )
