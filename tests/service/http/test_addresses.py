"""Which URLs are plain predictions, and what they name."""

import pytest

from service.http.addresses import PREDICTIONS, parse_url


@pytest.mark.parametrize("dialect", PREDICTIONS)
@pytest.mark.parametrize("version", [None, 1, 12, 999_999_999])
def test_a_prediction_is_recognised(dialect: str, version: int | None) -> None:
    template = PREDICTIONS[dialect].default if version is None else PREDICTIONS[dialect].version
    path = template.replace("{model}", "my-net_2.1").replace("{version}", str(version))

    found = parse_url(path.encode())

    assert found == (path, template, dialect, "my-net_2.1", version)


@pytest.mark.parametrize(
    "url",
    [
        "/v2/models//infer",
        "/v2/models/a/b/infer",
        "/v2/models/mlp/infer/",
        "/v2/models/mlp/versions/0/infer",
        "/v2/models/mlp/versions/01/infer",
        "/v2/models/mlp/versions/latest/infer",
        "/v2/models/mlp/versions/1234567890123456789/infer",
        "/v2/models/mlp/infer?x=1",
        "/v2/models/ml%70/infer",
        "/v2/models/mlp/config",
        "/v1/models/mlp",
        f"/v2/models/{'x' * 300}/infer",
        "http://host/v2/models/mlp/infer",
        "*",
        "",
    ],
)
def test_everything_else_is_left_to_the_application(url: str) -> None:
    assert parse_url(url.encode()) is None


def test_bytes_that_are_no_text_are_left_to_the_application() -> None:
    assert parse_url(b"/v2/models/\xff/infer") is None
