"""Live statistics of layers, as clients see them."""

import math
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.bundles import NORM
from tests.service.routes.observing import TINY, WINDOWS, get, get_both, serving, until
from tests.watching import usual_rows, watched_bundle


@pytest.mark.parametrize("version", ["", "/versions/1"])
@pytest.mark.parametrize("window", WINDOWS)
def test_live_moments_have_errors_and_a_reference(moved: TestClient, version: str, window: str) -> None:
    live, drift = f"{TINY}{version}/layers/{NORM}/live?window={window}", f"{TINY}{version}/drift?window={window}"
    layer, report = get_both(moved, live, drift)
    channels, reference = layer["channels"], layer["reference"]

    assert (layer["model"], layer["version"], layer["window"], layer["units"]) == ("tiny", "1", window, "z")
    assert layer["rows"] >= 16
    assert layer["since"].endswith("Z")
    assert all(len(channels[name]) == 3 for name in ("mean", "mean_error", "variance", "variance_error"))
    assert all(error > 0 for error in channels["mean_error"])
    assert reference["rows"] == 2000
    assert max(map(abs, np.subtract(channels["mean"], reference["mean"]))) > 3 * max(channels["mean_error"])
    deviation = np.sqrt(reference["variance"])
    assert channels["mean_shift"] == pytest.approx(np.subtract(channels["mean"], reference["mean"]) / deviation)
    ratio = np.divide(channels["variance"], reference["variance"])
    assert channels["log2_variance_ratio"] == pytest.approx(np.log2(np.maximum(ratio, 0.01)))
    worst = report["layers"][0]["worst_channels"]
    assert [channels["symmetric_kl"][channel["channel"]] for channel in worst] == [
        channel["symmetric_kl"] for channel in worst
    ]


@pytest.mark.parametrize("window", WINDOWS)
def test_all_layers_at_a_glance(moved: TestClient, window: str) -> None:
    found = get(moved, f"{TINY}/live?window={window}")

    assert found["observed"]["rows"] >= 36
    assert found["observed"]["batches"] > 0
    assert found["observed"]["seconds"] > 0
    (layer,) = found["layers"]
    assert (layer["name"], layer["num_features"], layer["placement"]) == (NORM, 3, "folded_back")
    assert len(layer["worst_channels"]) == 3


def test_a_restart_goes_on_where_it_ended(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(watched_bundle())
    with serving(repository) as first:
        until(first, usual_rows(20) + 3, lambda: get(first, f"{TINY}/drift?window=last")["alarm"])
        before = get(first, f"{TINY}/layers/{NORM}/live?window=start")
    with serving(repository) as second:
        after = get(second, f"{TINY}/layers/{NORM}/live?window=start")

        assert get(second, f"{TINY}/drift?window=last")["alarm"]
    assert after["rows"] >= before["rows"]
    assert after["since"] == before["since"]
    assert not math.isclose(after["channels"]["mean"][0], 0, abs_tol=0.1)
