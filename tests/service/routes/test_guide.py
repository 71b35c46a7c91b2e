"""The documentation under /guide."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings


def client_of(tmp_path: Path, guide: Path | None) -> TestClient:
    return TestClient(create_app(Settings(repository=tmp_path / "repository", starters=False, guide_dir=guide)))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "docs").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>Denge</h1>")
    (folder / "docs" / "drift.html").write_text("<h1>Drift</h1>")
    (tmp_path / "secret.html").write_text("not for you")
    return folder


def test_pages_are_served_below_the_prefix(tmp_path: Path, site: Path) -> None:
    client = client_of(tmp_path, site)
    assert client.get("/guide").url.path == "/guide/"
    assert client.get("/guide/").text == "<h1>Denge</h1>"
    page = client.get("/guide/docs/drift.html")
    assert (page.text, page.headers["content-type"]) == ("<h1>Drift</h1>", "text/html; charset=utf-8")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/guide/docs/drift.html", headers={"if-none-match": page.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("ranges", ["bytes=0-1", "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 90, 2)), "x"])
def test_files_are_served_whole(tmp_path: Path, site: Path, ranges: str) -> None:
    page = client_of(tmp_path, site).get("/guide/docs/drift.html", headers={"Range": ranges})

    assert (page.status_code, page.text) == (200, "<h1>Drift</h1>")


def test_nothing_outside_of_the_folder_is_served(tmp_path: Path, site: Path) -> None:
    client = client_of(tmp_path, site)
    for path in ("/guide/nothing.html", "/guide/../secret.html", "/guide/%2e%2e/secret.html", "/guide//etc/passwd"):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert "not for you" not in answer.text


def test_behind_a_proxy_the_prefix_is_kept(tmp_path: Path, site: Path) -> None:
    assert client_of(tmp_path, site).get("/guide", follow_redirects=False).headers["location"] == "guide/"


def test_where_there_is_none_the_answer_says_how_to_build_it(tmp_path: Path) -> None:
    answer = client_of(tmp_path, None).get("/guide/")
    assert answer.status_code == 404
    assert "make docs" in answer.json()["error"]


def test_the_page_links_to_the_guide_where_there_is_one(tmp_path: Path, site: Path) -> None:
    for folder in (site, None):
        page = client_of(tmp_path, folder).get("/", headers={"Accept": "text/html"}).text
        assert ('<a href="guide/"' in page) == (folder is not None)
        assert 'href="docs"' in page
        ids = re.findall(r'id="([^"]+)"', page)
        assert len(ids) == len(set(ids))
