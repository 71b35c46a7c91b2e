"""The service does not import rich, which takes a twentieth of its start."""

import subprocess
import sys

import pytest

SHOW = "import sys; print('rich' in sys.modules, 'structlog' in sys.modules); import rich.pretty"


@pytest.mark.parametrize(("module", "imports_rich"), [("service.__main__", False), ("structlog", True)])
def test_the_service_imports_structlog_without_rich(module: str, imports_rich: bool) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", f"import {module}; {SHOW}"], check=True, capture_output=True, text=True, timeout=60
    )

    assert ran.stdout.split() == [str(imports_rich), "True"]
