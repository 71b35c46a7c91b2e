"""The state of a model's rollout: which version answers what, and how the versions compare."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, Field

from models.manifest import Lineage
from models.repository.auto import Phase
from models.repository.rollout import Canary, Rollout
from service.catalog.catalog import Catalog
from service.routes.drift_report import DriftVerdict
from service.telemetry.durations import DurationHistogram
from service.telemetry.statistics import ServiceStatistics, ShadowComparison, VersionStatistics
from service.watching.monitor import DriftMonitor

Role = Literal["default", "canary", "shadow", "domain"]


class Latency(BaseModel):
    """Quantiles of durations in milliseconds, as precise as the histogram's buckets; null before the first."""

    p50: float | None
    p99: float | None

    @classmethod
    def of(cls, durations: DurationHistogram) -> Self:
        """The response's form of a histogram."""
        return cls(p50=_milliseconds(durations.quantile(0.5)), p99=_milliseconds(durations.quantile(0.99)))


class ShadowReport(BaseModel):
    """A shadow version compared with the default version on the same rows."""

    rows: int
    agreement: float | None = Field(
        description="Share of the rows for which both predict the same class; null for a model that does not classify."
    )
    largest_difference: float = Field(description="Between any two numbers of the outputs.")
    errors: int = Field(description="Requests on which the shadow failed.")
    dropped: int = Field(description="Requests that were not compared because the shadow was busy.")
    run_ms: Latency = Field(description="Runs of the shadow.")

    @classmethod
    def of(cls, comparison: ShadowComparison) -> Self:
        """The response's form of a comparison."""
        return cls(
            rows=comparison.rows,
            agreement=comparison.agreed / comparison.classified if comparison.classified else None,
            largest_difference=comparison.largest_difference,
            errors=comparison.failed_runs,
            dropped=comparison.dropped,
            run_ms=Latency.of(comparison.runs),
        )


class VersionState(BaseModel):
    """One version. Counts begin when the service starts."""

    version: str
    roles: list[Role]
    loaded: bool
    lineage: Lineage | None = Field(description="Where the version came from; null if it is not loaded.")
    requests: int
    rows: int
    errors: int
    request_ms: Latency = Field(description="Requests, from decoding to the response.")
    run_ms: Latency = Field(description="Runs of the model.")
    compared: ShadowReport | None = Field(description="Only for the shadow: compared with the default version.")
    drift: DriftVerdict | None = Field(description="Of the last full window of rows; null until one is full.")


class RolloutState(BaseModel):
    """Which version answers what, and how the versions compare."""

    model_name: str
    default: str = Field(description="Answers requests that name no version, except the canary's share.")
    pinned: bool = Field(description="Whether the default stays when a newer version is published.")
    previous: list[str] = Field(description="Earlier defaults, latest last.")
    canary: Canary | None
    shadow: str | None
    domains: list[str] = Field(description="Versions that answer the rows which fit their statistics.")
    auto: Phase | None = Field(description="What auto mode does; null while it is off.")
    labels: dict[str, str] = Field(description="Versions by label, besides `stable` and `canary`.")
    versions: list[VersionState]

    @classmethod
    def of(
        cls,
        model: str,
        rollout: Rollout,
        versions: Sequence[int],
        catalog: Catalog,
        monitor: DriftMonitor,
        statistics: ServiceStatistics,
    ) -> Self:
        """Describe a model.

        Args:
            model: its name.
            rollout: as the repository stores it.
            versions: all in the repository.
            catalog: has the loaded versions.
            monitor: has the drift of each version.
            statistics: of the whole service.

        Raises:
            NotReady: no version of the model is loaded.
        """
        default = catalog.get(model).version
        loaded = {served.version: served for served in catalog.served() if served.model == model}
        domains = [domain.version for domain in rollout.domains]
        roles: dict[Role, list[int | None]] = {
            "default": [default],
            "canary": [] if rollout.canary is None else [rollout.canary.version],
            "shadow": [rollout.shadow],
            "domain": [*domains],
        }

        def describe(version: int) -> VersionState:
            served = loaded.get(version)
            counted = statistics.versions.get((model, version), VersionStatistics())
            compared = statistics.comparisons.get((model, default, version))
            observed = None if served is None else monitor.of(served)
            judged = None if observed is None else observed.judged
            return VersionState(
                version=str(version),
                roles=[role for role, holders in roles.items() if version in holders],
                loaded=served is not None,
                lineage=None if served is None else served.manifest.lineage,
                requests=counted.success.count + counted.fail.count,
                rows=counted.rows,
                errors=counted.fail.count,
                request_ms=Latency.of(counted.success),
                run_ms=Latency.of(counted.runs),
                compared=None if compared is None else ShadowReport.of(compared),
                drift=None
                if observed is None or judged is None
                else DriftVerdict.of(judged.assessment, alarm=observed.alarms.open is not None),
            )

        return cls(
            model_name=model,
            default=str(default),
            pinned=rollout.default is not None,
            previous=[str(version) for version in rollout.previous],
            canary=rollout.canary,
            shadow=None if rollout.shadow is None else str(rollout.shadow),
            domains=[str(version) for version in domains],
            auto=None if rollout.auto is None else rollout.auto.phase,
            labels={label: str(version) for label, version in rollout.labels.items()},
            versions=[describe(version) for version in sorted({*versions, *loaded})],
        )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)
