"""Domains from bundles: their margins, and the versions that cannot serve any."""

from dataclasses import replace

import pytest

from models.errors import InvalidInput
from models.recalibration.domains import calibrate_domains
from tests.domains import DOWN, UP, domain_bundle


def test_the_same_bundles_give_the_same_margins() -> None:
    versions = {version: domain_bundle(version) for version in (UP, DOWN)}

    domains = calibrate_domains(domain_bundle(1), 1, versions)

    assert [domain.version for domain in domains] == [UP, DOWN]
    assert calibrate_domains(domain_bundle(1), 1, versions) == domains


def test_only_versions_that_were_recalibrated_from_the_default_one_can_serve_a_domain() -> None:
    for number, version in ((2, domain_bundle(UP)), (1, domain_bundle(1))):
        with pytest.raises(InvalidInput, match=f"versions: version 4 was not re-calibrated from version {number}"):
            calibrate_domains(domain_bundle(1), number, {4: version})


def test_a_default_version_that_was_recalibrated_keeps_no_rows_of_its_own() -> None:
    with pytest.raises(InvalidInput, match=r"version 2, the default, was re-calibrated itself.* made from, 1"):
        calibrate_domains(domain_bundle(UP), UP, {DOWN: domain_bundle(DOWN)})


@pytest.mark.parametrize("part", ["observed", "held_out"])
def test_the_default_version_needs_an_observed_graph_and_held_out_rows(part: str) -> None:
    parent = replace(domain_bundle(1), **{part: None})

    with pytest.raises(InvalidInput, match="version 1, the default, has no observed graph or keeps no held-out rows"):
        calibrate_domains(parent, 1, {UP: domain_bundle(UP)})
