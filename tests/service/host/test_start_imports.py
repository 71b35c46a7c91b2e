"""What the service does not import before its port is open, since it takes long and no plain prediction needs it."""

import subprocess
import sys

LATER = (
    "PIL",
    "cyclopts",
    "difflib",
    "fastapi",
    "models.accuracy",
    "models.drift",
    "models.parity",
    "models.recalibration",
    "numpy.random",
    "onnx",
    "service.auto",
    "service.composition.late_parts",
    "service.recalibrating.jobs",
    "service.routes",
    "service.watching.monitor",
    "sqlite3",
    "statistics",
    "tomllib",
)
SHOW = f"import sys; print(*(name for name in {LATER} if name in sys.modules))"


def imported(modules: str) -> list[str]:
    command = [sys.executable, "-c", f"import {modules}; {SHOW}"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()


def test_what_is_slow_to_import_and_rarely_needed_comes_later() -> None:
    assert imported("service.__main__, service.app, service.http.server") == []


def test_all_of_it_is_found_where_it_is_imported() -> None:
    assert imported(", ".join(LATER)) == list(LATER)


def test_pydantic_looks_for_no_plugins() -> None:
    show = "import service.settings, pydantic.plugin._loader as loader; print(list(loader.get_plugins()))"
    command = [sys.executable, "-c", f"import importlib.metadata as m; m.distributions = None; {show}"]

    assert subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout == "[]\n"
