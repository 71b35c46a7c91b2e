"""Which versions may serve domains beside the default one, and their margins: from bundles."""

from collections.abc import Mapping

from models.drift.domains import find_margins
from models.errors import InvalidInput
from models.observation import ObservationReader
from models.repository import held_out
from models.repository.bundle import ServedBundle
from models.repository.rollout import Domain
from models.runtime.load import load


def calibrate_domains(parent: ServedBundle, number: int, versions: Mapping[int, ServedBundle]) -> tuple[Domain, ...]:
    """The domains of versions, with margins from the parent's held-out rows. The same bundles give the same margins.

    Args:
        parent: the version that answers by default.
        number: of it.
        versions: by number.

    Raises:
        InvalidInput: a version was not re-calibrated from the default one, which must not be re-calibrated itself; or a
            bundle lacks what rows are compared by.
        GraphError: the observed graph does not run.
    """
    if (made_from := parent.manifest.lineage.recalibrated_from) is not None:
        raise InvalidInput(
            f"version {number}, the default, was re-calibrated itself, and its held-out rows are usual for another: "
            f"promote the version that it was made from, {made_from}",
            "versions",
        )
    for version, bundle in versions.items():
        if bundle.manifest.lineage.recalibrated_from != number:
            raise InvalidInput(
                f"version {version} was not re-calibrated from version {number}, which is the default: only such "
                "versions have statistics that the same rows can be compared with",
                "versions",
            )
    if parent.observed is None or parent.held_out is None:
        raise InvalidInput(
            f"version {number}, the default, has no observed graph or keeps no held-out rows", "versions"
        )
    rows = held_out.unpack(parent.held_out, parent.manifest.inputs)
    outputs = load(parent.observed, optimize=True)(rows)
    observed = ObservationReader(parent.manifest.layers, outputs).read(outputs)
    margins = find_margins(parent.manifest, [bundle.manifest for bundle in versions.values()], observed)
    return tuple(Domain(version=version, margin=margin) for version, margin in zip(versions, margins, strict=True))
