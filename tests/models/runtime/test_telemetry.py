"""What onnxruntime sends home: nothing."""

import subprocess
import sys
from pathlib import Path


def test_telemetry_is_disabled_before_onnxruntime_is_loaded() -> None:
    program = """
import os
import sys

def show(event: str, arguments: tuple[object, ...]) -> None:
    if event == "import" and arguments[0] == "onnxruntime":
        print(os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.addaudithook(show)
import models.runtime.engine
"""

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
    )

    assert done.stdout == "1\n"
