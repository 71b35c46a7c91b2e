"""Query parameters are read strictly."""

import pytest
from starlette.testclient import TestClient

from tests.image_files import encode, random_pixels


@pytest.mark.parametrize(
    ("method", "url", "message"),
    [
        ("GET", "/v2/models/tiny/drift?windwo=1h", "windwo: unknown query parameter, did you mean 'window'?"),
        (
            "GET",
            "/v2/models/tiny/drift?x=1",
            "x: unknown query parameter, expected only ['false_alarm_rate', 'window']",
        ),
        ("GET", "/v2/drift?window=1h&window=1d", "window: given more than once"),
        ("GET", "/v2/models/tiny/recalibrations/1?wiat=1", "wiat: unknown query parameter, did you mean 'wait'?"),
    ],
)
def test_unknown_and_repeated_ones_are_refused(client: TestClient, method: str, url: str, message: str) -> None:
    response = client.request(method, url, json={})

    assert (response.status_code, response.json()) == (400, {"error": message})


@pytest.mark.parametrize(
    ("value", "is_valid"), [("true", True), ("false", True), *((v, False) for v in ("1", "on", ""))]
)
def test_a_boolean_is_true_or_false(client: TestClient, value: str, is_valid: bool) -> None:
    image = encode(random_pixels(8, 8))

    response = client.post(f"/v2/models/shapes/predict?layer_statistics={value}", content=image)

    if is_valid:
        assert response.status_code == 200, response.text
    else:
        assert response.json()["error"] == f"query.layer_statistics: got '{value}', expected true or false"
