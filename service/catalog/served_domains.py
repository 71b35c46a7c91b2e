"""Loaded versions that answer the rows which fit their statistics, beside the default version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import structlog
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.repository.rollout import Domain
from service.catalog.served_version import ServedVersion

if TYPE_CHECKING:
    from models.drift.domains import DomainRule
    from models.observation import RowStatistics

log = structlog.get_logger()


@dataclass(frozen=True, eq=False)
class ServedDomains:
    """The domains of a model, ready to choose.

    Attributes:
        parent: the default version, which answers the rows that fit no other.
        versions: in the order of the rule.
        margins: of each.
        rule: which of them a row fits.
    """

    parent: ServedVersion
    versions: tuple[ServedVersion, ...]
    margins: tuple[float, ...]
    rule: "DomainRule"

    @classmethod
    def of(cls, default: int, domains: Sequence[Domain], loaded: Mapping[int, ServedVersion]) -> Self | None:
        """The domains whose versions are loaded; None where there are none. The default version answers other rows.

        Args:
            default: the default version.
            domains: as the rollout has them.
            loaded: versions by number.
        """
        found = [domain for domain in domains if domain.version in loaded]
        if not found or default not in loaded:
            return None
        from models.drift.domains import DomainRule  # noqa: PLC0415 - slow to import, and few models have domains

        parent, versions = loaded[default], tuple(loaded[domain.version] for domain in found)
        margins = tuple(domain.margin for domain in found)
        manifests = [version.manifest for version in versions]
        try:
            rule = DomainRule(parent.manifest, list(zip(manifests, margins, strict=True)))
        except InvalidInput as error:  # a rollout that was written by hand
            log.error("domains_not_served", model=parent.model, version=default, error=str(error))
            return None
        return cls(parent, versions, margins, rule)

    def choose(self, observed: "Mapping[str, RowStatistics]") -> NDArray[np.int64]:
        """The number of the version that answers each row, shape (rows,).

        Args:
            observed: by layer, from the first layers of the default version's observed graph.
        """
        numbers = np.array([*(served.version for served in self.versions), self.parent.version])
        chosen: NDArray[np.int64] = numbers[self.rule.choose(observed)]  # PARENT is the position of the last one
        return chosen

    @property
    def published(self) -> tuple[Domain, ...]:
        """The domains without their loaded versions, for other processes."""
        pairs = zip(self.versions, self.margins, strict=True)
        return tuple(Domain(version=served.version, margin=margin) for served, margin in pairs)
