"""Rows go to the version whose statistics they fit, and hardly any of the parent's own rows leave it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from models.drift.domains import MIN_HELD_OUT_ROWS, PARENT, DomainRule, find_margins
from models.drift.version_fit import VersionFit, first_layers
from models.errors import InvalidInput
from models.graph.find import find
from models.graph.load import parse
from models.manifest import Manifest, TopologyNode
from models.observation import RowStatistics
from models.recalibration.estimate import recalibrate
from models.repository import held_out
from models.repository.bundle import Bundle
from tests import domains
from tests.bundles import INPUT, NORM
from tests.domains import DOWN, PARENT_BUNDLE, UP, domain_bundle, rows_of
from tests.watching import usual_rows


def observe(rows: NDArray[np.float32]) -> dict[str, RowStatistics]:
    """What the parent's observed graph puts out for rows."""
    return domains.observe(PARENT_BUNDLE, rows)


def manifest(version: int) -> Manifest:
    return domain_bundle(version).manifest


def margins_of(*versions: int) -> tuple[float, ...]:
    parent = domain_bundle(PARENT_BUNDLE)
    assert parent.held_out is not None
    rows = held_out.unpack(parent.held_out, parent.manifest.inputs)[INPUT]
    return find_margins(parent.manifest, [manifest(version) for version in versions], observe(rows))


def rule(*versions: int) -> DomainRule:
    pairs = zip([manifest(version) for version in versions], margins_of(*versions), strict=True)
    return DomainRule(manifest(PARENT_BUNDLE), list(pairs))


def log_density(bundle: Bundle, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of the layer's input, which is the same in all versions: from the source graph and scipy, shape (rows, C)."""
    (norm,) = find(parse(bundle.source))
    weight, bias = (bundle_initializer(bundle, name) for name in ("fc.weight", "fc.bias"))
    spread = np.sqrt(norm.var.astype(np.float64) + norm.eps)
    z = np.sign(norm.gamma) * (rows @ weight.T + bias - norm.mean) / spread
    assert bundle.manifest.drift is not None
    reference = bundle.manifest.drift.layers[NORM]
    mean = stats.norm.logpdf(z, reference.mean, reference.mean_spread)
    square = stats.norm.logpdf(z**2, reference.mean_square, reference.square_spread)
    # Per unit of the input and of its square: those of z are 1/spread and 1/spread**2 of these.
    return np.asarray(mean + square - 3 * np.log(spread))


def bundle_initializer(bundle: Bundle, name: str) -> NDArray[np.float64]:
    from onnx import numpy_helper  # noqa: PLC0415 - of this oracle alone

    (found,) = (tensor for tensor in parse(bundle.source).graph.initializer if tensor.name == name)
    return numpy_helper.to_array(found).astype(np.float64)


def test_the_score_is_the_difference_of_two_log_densities_of_the_layers_input() -> None:
    rows = np.concatenate([rows_of(version, 20) for version in (PARENT_BUNDLE, UP, DOWN)])

    scores = VersionFit(manifest(PARENT_BUNDLE), manifest(UP)).scores(observe(rows))

    expected = (log_density(domain_bundle(UP), rows) - log_density(domain_bundle(PARENT_BUNDLE), rows)).mean(axis=1)
    # The graph runs in float32, and squares of up to 30 standard deviations are compared with spreads near 1.
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3)
    control = (log_density(domain_bundle(DOWN), rows) - log_density(domain_bundle(PARENT_BUNDLE), rows)).mean(axis=1)
    assert not np.allclose(scores, control, rtol=0.1)


def test_rows_go_to_the_version_of_their_domain() -> None:
    both = rule(UP, DOWN)

    assert np.mean(both.choose(observe(rows_of(UP, 500))) == 0) > 0.95
    assert np.mean(both.choose(observe(rows_of(DOWN, 500))) == 1) > 0.95


def test_hardly_a_row_of_the_parent_leaves_it() -> None:
    chosen = rule(UP, DOWN).choose(observe(usual_rows(5000, seed=7)))

    # 1 % on average over held-out rows; for these 256, with four standard deviations of a binomial, 2.6 %.
    assert np.mean(chosen != PARENT) <= 0.026


def test_a_margin_keeps_rows_that_also_fit_a_version_which_is_nearly_the_parent() -> None:
    parent = domain_bundle(PARENT_BUNDLE)
    near = recalibrate(
        parent, 1, {INPUT: usual_rows(256, seed=3) + np.float32(0.5)}, with_accuracy=False
    ).bundle.manifest
    (margin,) = find_margins(parent.manifest, [near], observe(usual_rows(256, seed=8)))
    usual = observe(usual_rows(2000, seed=7))

    assert margin > 0
    assert np.mean(DomainRule(parent.manifest, [(near, margin)]).choose(usual) != PARENT) <= 0.026
    assert np.mean(DomainRule(parent.manifest, [(near, 0.0)]).choose(usual) != PARENT) > 0.1


def test_a_row_that_fits_no_version_stays_with_the_parent() -> None:
    only_up = rule(UP)

    for factor in (3.0, 10.0, 1e30, np.inf, np.nan):
        far = np.full((4, 4), 6.0 * factor, np.float32)
        assert (only_up.choose(observe(far)) == PARENT).all(), factor
    assert (
        VersionFit(manifest(PARENT_BUNDLE), manifest(UP)).scores(observe(np.full((1, 4), 18.0, np.float32))) > 0
    ).all()


def test_margins_of_several_versions_hold_for_them_together() -> None:
    observed = observe(usual_rows(256, seed=8))
    versions = [manifest(version) for version in (UP, DOWN)]
    alone = [find_margins(manifest(PARENT_BUNDLE), [version], observed)[0] for version in versions]

    together = find_margins(manifest(PARENT_BUNDLE), versions, observed)

    assert all(margin >= single for margin, single in zip(together, alone, strict=True))
    scores = np.stack([VersionFit(manifest(PARENT_BUNDLE), version).scores(observed) for version in versions])
    assert (scores > np.array(together)[:, None]).any(axis=0).sum() <= 2
    assert find_margins(manifest(PARENT_BUNDLE), versions, observed) == together


def test_too_few_held_out_rows_are_refused() -> None:
    with pytest.raises(InvalidInput, match="keeps 98 held-out rows, 99 are needed"):
        find_margins(manifest(PARENT_BUNDLE), [manifest(UP)], observe(usual_rows(MIN_HELD_OUT_ROWS - 1)))
    find_margins(manifest(PARENT_BUNDLE), [manifest(UP)], observe(usual_rows(MIN_HELD_OUT_ROWS)))


def test_versions_without_statistics_are_refused() -> None:
    parent = manifest(PARENT_BUNDLE)
    for one, other in ((parent.model_copy(update={"drift": None}), manifest(UP)),) * 2:
        with pytest.raises(InvalidInput, match="without held-out rows"):
            VersionFit(one, other)
    with pytest.raises(InvalidInput, match="no batch-normalisation layer"):
        VersionFit(parent, manifest(UP).model_copy(update={"norm_layers": ()}))


def test_only_layers_that_no_other_comes_before_are_compared() -> None:
    (layer,) = manifest(PARENT_BUNDLE).norm_layers
    a, b, c = (layer.model_copy(update={"name": name}) for name in "abc")
    nodes = (
        TopologyNode(kind="input", name="input", sources=()),
        TopologyNode(kind="layer", name="a", sources=(0,)),
        TopologyNode(kind="layer", name="b", sources=(0,)),
        TopologyNode(kind="join", name="Add", sources=(1, 2)),
        TopologyNode(kind="layer", name="c", sources=(3,)),
        TopologyNode(kind="output", name="logits", sources=(4,)),
    )
    whole = manifest(PARENT_BUNDLE).model_copy(update={"norm_layers": (a, b, c), "topology": nodes})

    assert [found.name for found in first_layers(whole)] == ["a", "b"]
    assert [found.name for found in first_layers(whole.model_copy(update={"topology": ()}))] == ["a"]
    unwatched = a.model_copy(update={"unwatched": "a reason"})
    hidden = whole.model_copy(update={"norm_layers": (unwatched, b, c)})
    assert [found.name for found in first_layers(hidden)] == ["b"]
