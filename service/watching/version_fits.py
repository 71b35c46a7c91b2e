"""Compares the re-calibrated versions that are served with those that they were made from: whose rows are these?"""

import weakref

from models.drift.version_fit import VersionFit
from models.errors import InvalidInput
from models.manifest import Manifest
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion


class VersionFits:
    """Makes the comparisons, and keeps each as long as its version is served. For one thread.

    Args:
        catalog: the served versions.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._fits: dict[int, VersionFit | None] = {}

    def of(self, served: ServedVersion) -> VersionFit | None:
        """Returns the comparison of a version; None where it was not re-calibrated, or its parent is not served."""
        made_from = served.manifest.lineage.recalibrated_from
        if made_from is None:
            return None
        if id(served) not in self._fits:
            parent = self._catalog.find(served.model, made_from)
            if parent is None:  # it may be loaded later
                return None
            self._fits[id(served)] = _compare(parent.manifest, served.manifest)
            weakref.finalize(served, self._fits.pop, id(served)).atexit = False
        return self._fits[id(served)]

    def of_shadow(self, served: ServedVersion) -> tuple[ServedVersion, VersionFit] | None:
        """Returns the shadow of a version and its comparison, if both have one parent, or the version is the parent."""
        shadow = self._catalog.shadow_of(served)
        fit = None if shadow is None else self.of(shadow)
        if shadow is None or fit is None:
            return None
        made_from = shadow.manifest.lineage.recalibrated_from
        return (shadow, fit) if made_from in (served.version, served.manifest.lineage.recalibrated_from) else None


def _compare(parent: Manifest, version: Manifest) -> VersionFit | None:
    try:
        return VersionFit(parent, version)
    except InvalidInput:  # they have no layer in common
        return None
