"""What an import takes of memory."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from tests.graphs import wide_norms

IMPORT = """
import sys
from pathlib import Path
from models.importing.onnx import import_graph, read
from models.model_info import ModelInfo
from models.repository.repository import Repository

def peak():
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024  # ru_maxrss begins with that of the parent

before = peak()
graph, weights = read(Path(sys.argv[1]))
Repository(sys.argv[2]).publish(import_graph(graph, ModelInfo("wide"), weights=weights))
print((peak() - before) / Path(sys.argv[1]).stat().st_size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_import_takes_four_times_the_size_of_the_network(tmp_path: Path) -> None:
    """And one more, for what does not grow with it: modules, and figures of the layers."""
    onnx.save(wide_norms(width=1600, layers=4), tmp_path / "network.onnx")
    command = [sys.executable, "-c", IMPORT, str(tmp_path / "network.onnx"), str(tmp_path / "repository")]

    sizes = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert 1 < sizes < 5
