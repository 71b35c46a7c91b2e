"""The rooms: each is in the import contract, its tests lie where it does, and no module outgrows it."""

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
    "service/__init__.py": "the threads of numpy are limited before any module of the package imports it",
    "service/settings/__init__.py": "the settings, for every other room by one name",
    "training/__init__.py": "the Python API, which is imported when it is asked for, since it needs torch",
}
"""Packages with code of their own, and why."""


def rooms(package: str) -> set[str]:
    """Names of the modules and packages directly below a package."""
    children = (path for path in (ROOT / package).iterdir() if not path.name.startswith("__"))
    return {path.stem for path in children if path.suffix == ".py" or (path / "__init__.py").is_file()}


def layers(package: str) -> set[str]:
    """Names in the contract that orders the rooms of a package."""
    (contract,) = (found for found in CONTRACTS if found.get("containers") == [package])
    assert contract["exhaustive"]
    return {name.strip() for layer in contract["layers"] for name in layer.replace(":", "|").split("|")}


def unlisted(package: str, found: Iterable[str]) -> set[str]:
    return set(found) - layers(package)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_is_in_the_import_contract(package: str) -> None:
    assert unlisted(package, rooms(package)) == set()
    assert unlisted(package, {*rooms(package), "a_new_room"}) == {"a_new_room"}


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
