"""The files of the page, as they are served."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from starlette.testclient import TestClient

FOLDER = Path(str(files("service"))) / "dashboard"
FILES = sorted(
    str(file.relative_to(FOLDER)) for file in FOLDER.rglob("*.*") if file.suffix in {".css", ".html", ".js", ".svg"}
)
SERVED = ["icon.svg", "index.html", "page.css", "page.js"]
"""Modules are sent as one script, and style sheets as one sheet."""


BROWSER = {"Accept": "text/html,*/*;q=0.8"}


def paths() -> list[str]:
    return ["/", *(f"/dashboard/{name}" for name in SERVED)]


@pytest.mark.parametrize("path", paths())
def test_every_part_says_what_browsers_may_do_with_it(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=BROWSER)

    assert answer.status_code == 200
    policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["img-src"] == "'self' blob: data:"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Content-Type"].split(";")[0] in {
        "text/html",
        "text/css",
        "text/javascript",
        "image/svg+xml",
    }


@pytest.mark.parametrize("path", paths())
def test_what_has_not_changed_is_not_sent_again(client: TestClient, path: str) -> None:
    first = client.get(path, headers=BROWSER)
    tag = first.headers["ETag"]

    assert first.headers["Cache-Control"] == "no-cache"
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = client.get(path, headers=BROWSER | {"If-None-Match": known})
        assert again.status_code == 304
        assert not again.content
        assert again.headers["ETag"] == tag
    assert client.get(path, headers=BROWSER | {"If-None-Match": '"other"'}).content == first.content
    head = client.head(path, headers=BROWSER)
    assert head.status_code == 200
    assert head.headers["ETag"] == tag


def addresses(client: TestClient) -> list[str]:
    """Of the files that the page names."""
    text = client.get("/", headers=BROWSER).text
    return re.findall(r'(?:href|src)="(dashboard/[^"]+)"', text)


def test_every_file_is_requested_at_once_and_only_once(client: TestClient) -> None:
    found = addresses(client)

    named = {re.sub("^dashboard/[0-9a-f]{16}/", "", address) for address in found}
    assert named == {name for name in SERVED if name != "index.html"}
    for address in found:
        answer = client.get(f"/{address}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
    assert "immutable" not in client.get("/", headers=BROWSER).headers["Cache-Control"]


def test_the_page_of_another_release_gets_files_that_it_does_not_keep(client: TestClient) -> None:
    answer = client.get("/dashboard/0123456789abcdef/page.js")

    assert answer.content == client.get("/dashboard/page.js").content
    assert answer.headers["Cache-Control"] == "no-cache"


def test_modules_are_sent_as_one_script(client: TestClient) -> None:
    script = client.get("/dashboard/page.js").text

    exported = [
        name
        for file in FOLDER.rglob("*.js")
        for name in re.findall(r"^export (?:async )?\w+ (\w+)", file.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(exported) > 100
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    assert [
        name for name in exported if not re.search(rf"^(async )?(function|const|class) {name}\b", script, re.MULTILINE)
    ] == []


def test_styles_are_sent_as_one_sheet(client: TestClient) -> None:
    sheet = client.get("/dashboard/page.css").text

    styles = [FOLDER / name for name in FILES if name.startswith("styles/")]
    assert styles
    assert "@import" not in sheet
    assert all(style.read_text("utf-8") in sheet for style in styles)


@pytest.mark.parametrize("path", ["/", "/dashboard/page.js", "/dashboard/page.css"])
def test_files_are_compressed_for_those_who_accept_it(client: TestClient, path: str) -> None:
    plain, compressed = (client.get(path, headers=BROWSER | {"Accept-Encoding": name}) for name in ("identity", "gzip"))

    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert compressed.content == plain.content
    assert int(compressed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 1.5
    assert "Accept-Encoding" in plain.headers["Vary"]


def test_the_page_weighs_at_most_250_kilobytes(client: TestClient) -> None:
    paths_ = ["/", *(f"/{address}" for address in addresses(client))]

    bodies = [client.get(path, headers=BROWSER) for path in paths_]
    assert sum(len(answer.content) for answer in bodies) <= 250_000
    assert sum(int(answer.headers["Content-Length"]) for answer in bodies) <= 70_000  # as it is sent


@pytest.mark.parametrize(
    "name",
    [
        "",
        "page",
        "views",
        "views/",
        "types.d.ts",
        "state.js",
        "views/graph.js",
        "page.js%00",
        "%2e/page.js",
        "views/..%2fpage.js",
        "../app.py",
        "styles/base.css",
        "0123456789abcdef/",
        "%2e%2e%2fapp.py",
        "%2fetc%2fpasswd",
    ],
)
def test_nothing_else_is_to_be_had(client: TestClient, name: str) -> None:
    answer = client.get(f"/dashboard/{name}")

    assert answer.status_code == 404
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("name", FILES)
def test_no_part_names_another_host_or_an_absolute_address(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")

    assert set(re.findall(r"https?://[^\"' )]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"""(?:href|src)=["']/|fetch\(["'`]/|(?:from|import) ["']/|url\(""", text)


def test_the_page_has_nothing_inline() -> None:
    text = (FOLDER / "index.html").read_text("utf-8")

    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert re.findall(r"<script[^>]*>[^<]*", text) == ['<script type="module" src="dashboard/page.js">']


def test_markup_is_never_made_of_text() -> None:
    for name in FILES:
        text = (FOLDER / name).read_text("utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b", text), name


@pytest.mark.parametrize("headers", [{}, {"Accept": "application/json"}])
def test_who_does_not_ask_for_html_learns_that_the_server_is_alive(client: TestClient, headers: dict[str, str]) -> None:
    response = client.get("/", headers=headers)

    assert response.json() == {"status": "alive"}
    assert response.headers["Vary"] == client.get("/", headers=BROWSER).headers["Vary"] == "Accept, Accept-Encoding"


def test_pages_of_the_guide_that_the_page_links_to_exist() -> None:
    linked = {name for file in FOLDER.rglob("*.js") for name in re.findall(r'learn\("(\w+)"', file.read_text("utf-8"))}

    assert "drift" in linked
    assert {name for name in linked if not (FOLDER.parents[1] / "docs" / f"{name}.md").is_file()} == set()
