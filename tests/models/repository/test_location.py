"""Where a repository may be."""

from pathlib import Path

import pytest

from models.errors import InvalidInput
from models.repository.location import parse_location


@pytest.mark.parametrize("text", ["repository", "/srv/models", "./s3:", "a:b", Path("x")])
def test_a_path_is_a_path(text: str | Path) -> None:
    assert parse_location(text) == Path(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("gs://bucket/a//b/", "gs://bucket/a/b"),
        ("az://container/models", "az://container/models"),
    ],
)
def test_a_url_has_no_slash_at_its_end(text: str, url: str) -> None:
    assert parse_location(text) == url


@pytest.mark.parametrize("text", ["", "http://bucket/x", "ftp://bucket", "s3://", "s3:///x", "file:///models"])
def test_another_url_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="repository: expected a folder, or a URL such as s3://bucket/prefix"):
        parse_location(text)


@pytest.mark.parametrize("text", ["s3://key:secret@bucket", "s3://b:9000/x", "az://c/x?sig=secret", "s3://b/x#y"])
def test_a_url_has_no_credentials(text: str) -> None:
    with pytest.raises(InvalidInput, match="credentials and the endpoint come from the environment") as raised:
        parse_location(text)
    assert "secret" not in str(raised.value)


def test_a_prefix_leads_nowhere_else() -> None:
    with pytest.raises(InvalidInput, match="the prefix must not contain"):
        parse_location("s3://bucket/../other")
