"""What the documentation names exists: files, modules, metrics, targets of links. Every endpoint is documented."""

import ast
import errno
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from models.graph.folding import backward, forward
from models.graph.folding.passing import PASSING
from service.app import create_app
from service.settings import Settings
from tests.architecture.source import PACKAGES, ROOT, modules, tree
from training.config import DataKind, ModelKind

PAGES = [*sorted(ROOT.glob("README*.md")), ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = (*PACKAGES, "tests", "benchmarks", "scripts", "deploy", "docs", "examples")

_FOLDER = "|".join(FOLDERS)
_PATH = re.compile(rf"(?<![\w/.-])(?:{_FOLDER})/[\w./-]*\w")
_MODULE_FILE = re.compile(r"(?<![\w/.>*-])\w+\.py\b")
_DOTTED = re.compile(rf"(?<![\w/.-])(?:{_FOLDER})(?:\.\w+)+")
_METRIC = re.compile(r"\bdenge_[a-z_]+")
_SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MESSAGE = re.compile(r"^### `(.+)`$", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def missing_paths(text: str) -> Iterator[str]:
    """Paths from the root of the project; and names of modules, which any folder may have."""
    names = {path.name for folder in (*PACKAGES, "tests", "benchmarks") for path in modules(folder)}
    yield from (path for path in _PATH.findall(text) if not (ROOT / path).exists())
    yield from (name for name in _MODULE_FILE.findall(text) if name not in names)


def missing_modules(text: str) -> Iterator[str]:
    """Dotted names that are no module, package, or top-level name in one."""
    for name in _DOTTED.findall(text):
        *parents, last = name.split(".")
        if (ROOT / "docs" / name).is_file() or _is_module(*parents, last):  # `training.md` is a page
            continue
        if not (_is_module(*parents) and last in _defined(*parents)):
            yield name


def _is_module(*parts: str) -> bool:
    path = ROOT.joinpath(*parts)
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file() or (path / "__main__.py").is_file()


@cache
def _defined(*parts: str) -> set[str]:
    path = Path(*parts)
    module = path.with_suffix(".py") if (ROOT / path.with_suffix(".py")).is_file() else path / "__init__.py"
    found = set()
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def missing_metrics(text: str) -> Iterator[str]:
    """Names of Prometheus metrics that no module of the service has."""
    known = known_metrics()
    yield from (name for name in _METRIC.findall(text) if name not in known)


@cache
def known_metrics() -> frozenset[str]:
    """Names of Prometheus metrics that modules of the service have, with every suffix."""
    return frozenset(
        name + suffix for module in modules("service") for name in _metrics(module) for suffix in _SUFFIXES
    )


def _metrics(module: Path) -> set[str]:
    strings = (node.value for node in ast.walk(tree(module)) if isinstance(node, ast.Constant))
    return {value for value in strings if isinstance(value, str) and _METRIC.fullmatch(value)}


def undocumented(paths: Collection[str], text: str) -> Iterator[str]:
    """Templates of paths that a page lists neither whole nor by their last part: `…/layers/{layer}`.

    The path of a version needs no line of its own beside that of the default version.
    """
    for path in paths:
        if path.replace("/versions/{version}", "") in set(paths) - {path}:
            continue
        short = path.replace("{model}", "{m}").replace("{version}", "{v}")
        ends = [short, *(f"…{short[at.start() :]}" for at in re.finditer("[/:]", short) if at.start())]
        if not any(re.search(re.escape(end) + r"(?=[`?])", text) for end in ends):
            yield path


def broken_links(page: Path, text: str) -> Iterator[str]:
    """Links to files of the project, and to headings of pages, that lead nowhere."""
    for link in _LINK.findall(text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target.read_text("utf-8"))):
            yield link


def _anchors(text: str) -> set[str]:
    """The headings of a page in the form that GitHub gives them."""
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(text))
    return {title.replace(" ", "-") for title in titles}


def commands(text: str) -> set[str]:
    """Lines of the shell examples, without their comments and indentation."""
    lines = "\n".join(_SHELL.findall(text)).splitlines()
    return {re.sub(r"\s+# .*", "", line).strip() for line in lines}


def test_readmes_in_all_languages_have_the_same_commands() -> None:
    english, turkish = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.tr.md"))

    assert commands(turkish) == commands(english)
    assert commands("```sh\nmake run  # serves\n```") == {"make run"}


every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def pages_of_the_site(nav: object) -> Iterator[str]:
    """The paths in the navigation of the site, at any depth."""
    if isinstance(nav, str):
        yield nav
    else:
        assert isinstance(nav, list | dict)
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from pages_of_the_site(entry)


def test_every_page_is_in_the_site_once() -> None:
    site = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]

    found = sorted(pages_of_the_site(site["nav"]))
    # A study is found from the page that lists them.
    listed = [page for page in PAGES if page.parent.name != "studies" or page.name == "README.md"]
    expected = sorted(str(page.relative_to(ROOT)) for page in [*listed, ROOT / "CHANGELOG.md"])
    assert found == expected, "nav in zensical.toml has a line for each page"
    assert list(pages_of_the_site([{"a": [{"b": "c.md"}]}, {"d": "e.md"}])) == ["c.md", "e.md"]


@every_page
def test_files_that_a_page_names_exist(page: Path) -> None:
    assert list(missing_paths(page.read_text("utf-8"))) == []


@every_page
def test_modules_that_a_page_names_exist(page: Path) -> None:
    assert list(missing_modules(page.read_text("utf-8"))) == []


@every_page
def test_metrics_that_a_page_names_exist(page: Path) -> None:
    assert list(missing_metrics(page.read_text("utf-8"))) == []


def test_every_endpoint_is_documented(tmp_path: Path) -> None:
    paths = create_app(Settings(repository=tmp_path)).framework.build().openapi()["paths"]
    page = (ROOT / "docs/api.md").read_text("utf-8")

    assert list(undocumented(paths, page)) == []
    assert list(undocumented(["/v2/models/{model}/nothing", "/nothing"], page)) == [
        "/v2/models/{model}/nothing",
        "/nothing",
    ]


def unnamed(names: Iterable[str], page: str) -> set[str]:
    """Of some names, those that a page of the docs does not have as a word, or as code if they come with backticks."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    return {name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)}


def test_networks_and_data_sets_are_documented() -> None:
    names = (*get_args(ModelKind), *get_args(DataKind))

    assert unnamed([f"`{name}`" for name in names], "training.md") == set()


def test_gates_are_documented() -> None:
    gates = _functions_that_return("Gate", Path("models/recalibration/gates.py"))

    assert unnamed([f"`{name}`" for name in gates], "recalibration.md") == set()


def test_operators_that_a_layer_folds_into_or_through_are_documented() -> None:
    assert unnamed((*PASSING, *backward.ABSORBING, *forward.ABSORBING), "folding.md") == set()


def unknown_messages(page: str) -> Iterator[str]:
    """Messages in headings of a page, as `this … that`, of which no module has the words beside the `…`."""
    strings = [value for folder in PACKAGES for module in modules(folder) for value in _strings(module)]
    source = "\n".join([*strings, *(os.strerror(number).lower() for number in errno.errorcode)])
    for message in _MESSAGE.findall(page):
        if not all(part.strip() in source for part in message.split("…")):
            yield message


def _strings(module: Path) -> Iterator[str]:
    """Texts of a module as they are joined; what is filled into one is a line break."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\n" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_messages_of_the_faq_are_those_of_the_code() -> None:
    page = (ROOT / "docs/faq.md").read_text("utf-8")

    assert len(_MESSAGE.findall(page)) > 20
    assert list(unknown_messages(page)) == []
    assert list(unknown_messages("### `the model … did not start at all`\n")) == ["the model … did not start at all"]


def test_a_name_that_a_page_does_not_have_is_found() -> None:
    assert unnamed(["Conv", "Relu6", "`fold`"], "folding.md") == {"Relu6", "`fold`"}
    assert _functions_that_return("Gate", Path("models/recalibration/gates.py")) > {"rows", "drift"}


def _functions_that_return(annotation: str, module: Path) -> set[str]:
    functions = (node for node in tree(module).body if isinstance(node, ast.FunctionDef))
    return {
        node.name
        for node in functions
        if isinstance(node.returns, ast.Name) and node.returns.id == annotation and not node.name.startswith("_")
    }


@every_page
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page, page.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`service/http/protocol.py` and `protocol.py`, `service/http/`, `training/networks/<name>.py`", []),
        ("`service/http/direct.py`", ["service/http/direct.py"]),
        ("served by `direct.py`", ["direct.py"]),
        ("in `service/guards/`,", ["service/guards"]),
        ("curl localhost:8000/docs/seven.png /v2/models/mlp", []),
    ],
)
def test_a_file_that_does_not_exist_is_found(text: str, missing: list[str]) -> None:
    assert list(missing_paths(text)) == missing


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`models.graph.fold.fold`, `models.graph`, `python -m benchmarks.drift`, `service.http.access.PUBLIC`", []),
        ("`service.watch.Watcher`", ["service.watch.Watcher"]),
        ("`models.graph.fold.unfold`", ["models.graph.fold.unfold"]),
        ("`models.graph.fold.fold.more`", ["models.graph.fold.fold.more"]),
    ],
)
def test_a_module_that_does_not_exist_is_found(text: str, missing: list[str]) -> None:
    assert list(missing_modules(text)) == missing


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`denge_http_requests_total` and `denge_drift_alarm`", []),
        ("`denge_http_answers_total`", ["denge_http_answers_total"]),
    ],
)
def test_a_metric_that_does_not_exist_is_found(text: str, missing: list[str]) -> None:
    assert list(missing_metrics(text)) == missing


@pytest.mark.parametrize(
    ("link", "is_broken"),
    [
        ("docs/api.md", False),
        ("docs/api.md#errors", False),
        ("https://example.org/nothing", False),
        ("docs/direct.md", True),
        ("docs/api.md#nothing", True),
    ],
)
def test_a_link_that_leads_nowhere_is_found(link: str, is_broken: bool) -> None:
    assert bool(list(broken_links(ROOT / "README.md", f"[there]({link})"))) is is_broken
