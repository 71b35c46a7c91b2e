"""One channel over time, as clients see it."""

import pytest
from starlette.testclient import TestClient

from tests.bundles import NORM
from tests.service.routes.observing import TINY, get_both


@pytest.mark.parametrize("window", ["1m", "1h", "1d", "30d"])
def test_the_parts_of_a_channel_add_up_to_what_is_live(moved: TestClient, window: str) -> None:
    history = f"{TINY}/versions/1/layers/{NORM}/history?channel=1&window={window}"
    found, live = get_both(moved, history, f"{TINY}/layers/{NORM}/live?window={window}")

    points = found["points"]
    assert (found["layer"], found["channel"], found["window"], found["units"]) == (NORM, 1, window, "z")
    assert [point["time"] for point in points] == sorted(point["time"] for point in points)
    rows = sum(point["rows"] for point in points)
    assert rows == live["rows"] > 0
    mean = sum(point["rows"] * point["mean"] for point in points) / rows
    square = sum(point["rows"] * (point["variance"] + point["mean"] ** 2) for point in points) / rows
    assert mean == pytest.approx(live["channels"]["mean"][1])
    assert square - mean**2 == pytest.approx(live["channels"]["variance"][1])
    assert mean != pytest.approx(live["channels"]["mean"][0], rel=1e-3)
    expected = {name: live["reference"][name][1] for name in ("mean", "variance")}
    assert found["reference"] == pytest.approx(expected | {"rows": live["reference"]["rows"]})


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("channel=3", 400, "query.channel: got 3, layer"),
        ("channel=-1", 400, "query.channel"),
        ("window=start", 400, "query.window"),
    ],
)
def test_what_there_is_not_is_refused(moved: TestClient, query: str, status: int, message: str) -> None:
    answer = moved.get(f"{TINY}/layers/{NORM}/history?{query}")

    assert answer.status_code == status
    assert message in answer.json()["error"]


def test_a_layer_that_is_not_there_is_not_found(moved: TestClient) -> None:
    assert moved.get(f"{TINY}/layers/none/history").status_code == 404
