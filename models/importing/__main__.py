"""Publishes an ONNX file, for processes that have no onnx: python -m models.importing FILE NAME REPOSITORY.

Exit codes: 0 for success, 1 for a file that cannot be served. The reason is on standard error.
"""

import sys
from pathlib import Path

from models.errors import DengeError
from models.importing import onnx
from models.model_info import ModelInfo
from models.repository.repository import Repository


def main(file: str, name: str, repository: str) -> int:
    """Publish a file as the next version of a model. Returns the exit code."""
    try:
        graph, weights = onnx.read(Path(file))
        Repository(repository).publish(onnx.import_graph(graph, ModelInfo(name), weights=weights))
    except (DengeError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
