"""The rooms: each is in the import contract, its tests lie where it does, and no module outgrows it."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable

import pytest

from tests.architecture.source import PACKAGES, ROOT, lines, modules

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]

LOOSE = {"__init__", "__main__", "app", "access", "errors"}
"""Modules of `service` that are no room: everything else has one."""

MAX_LINES = 300

WITH_CODE = {
    "models/manifest/__init__.py": "the schema of one file, for every other room by one name",
    "models/runtime/__init__.py": "onnxruntime's telemetry is switched off before any module of the room imports it",
    "models/starter/__init__.py": "the folder holds bundles, and the one function that copies them",
    "service/__init__.py": "what libraries read at their import is set before any module of the package imports them",
    "service/settings/__init__.py": "the settings, for every other room by one name",
    "training/__init__.py": "the Python API, which is imported when it is asked for, since it needs torch",
}
"""Packages with code of their own, and why."""


def rooms(package: str) -> set[str]:
    """Names of the modules and packages directly below a package."""
    children = (path for path in (ROOT / package).iterdir() if not path.name.startswith("__"))
    return {path.stem for path in children if path.suffix == ".py" or (path / "__init__.py").is_file()}


def ordered_layers(package: str) -> list[set[str]]:
    """Names in the contract that orders the rooms of a package, from top to bottom."""
    (contract,) = (found for found in CONTRACTS if found.get("containers") == [package])
    assert contract["exhaustive"]
    return [{name.strip() for name in layer.replace(":", "|").split("|")} for layer in contract["layers"]]


def layers(package: str) -> set[str]:
    """Names in the contract that orders the rooms of a package."""
    return set().union(*ordered_layers(package))


def unlisted(package: str, found: Iterable[str]) -> set[str]:
    return set(found) - layers(package)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_is_in_the_import_contract(package: str) -> None:
    assert unlisted(package, rooms(package)) == set()
    assert unlisted(package, {*rooms(package), "a_new_room"}) == {"a_new_room"}


def listed(package: str, page: str) -> list[str]:
    """Names of the rooms of a package in the tree of a page, from top to bottom."""
    tree = page.partition(f"\n{package}/ ")[2]
    found: list[str] = []
    for line in tree.splitlines()[1:]:
        if not line.startswith("  "):
            break
        names = re.match(r"  (?:\w+(?:\.py|/)\s+|\w+(?:\.py|/)$)+", f"{line} ")
        found += [] if names is None else re.findall(r"\w+(?=\.py|/)", names[0])
    return [name for name in found if not name.startswith("__")]


def above(found: list[str], package: str) -> list[tuple[str, str]]:
    """Pairs of rooms that a list has in this order, though the second is in a layer above the first."""
    layer = {name: number for number, names in enumerate(ordered_layers(package)) for name in names}
    return [(one, other) for i, one in enumerate(found) for other in found[i:] if layer[other] < layer[one]]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_of_the_architecture_lists_every_room_in_the_order_of_the_imports(package: str) -> None:
    found = listed(package, (ROOT / "docs" / "architecture.md").read_text("utf-8"))

    assert sorted(found) == sorted(rooms(package))
    assert above(found, package) == []
    assert above(found[::-1], package) != []


def test_the_import_contracts_hold() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )

    assert found.returncode == 0, found.stdout + found.stderr


def test_no_module_stands_loose_in_service() -> None:
    assert {path.stem for path in (ROOT / "service").glob("*.py")} == LOOSE


@pytest.mark.parametrize("package", PACKAGES)
def test_tests_lie_where_their_rooms_do(package: str) -> None:
    folders = {path.parent for path in modules(f"tests/{package}")}
    missing = {folder for folder in folders if not (ROOT / folder.relative_to("tests")).is_dir()}

    assert missing == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_has_tests(package: str) -> None:
    packages = {path.parent for path in modules(package) if path.name != "__init__.py"}
    without = {str(room) for room in packages if not list((ROOT / "tests" / room).glob("test_*.py"))}

    assert without == set()


def test_no_module_is_long() -> None:
    folders = (*PACKAGES, "benchmarks")
    long = {str(path) for folder in folders for path in modules(folder) if lines(path) > MAX_LINES}

    assert long == set(), "split it by noun"


def test_packages_hold_a_docstring_and_nothing_else() -> None:
    inits = [path for package in PACKAGES for path in modules(package) if path.name == "__init__.py"]

    assert {str(path) for path in inits if lines(path) > 3} == set(WITH_CODE)
