"""python -m service.catalog.half_process: converts one graph to half precision, so that the service needs no onnx.

Standard input has the graph, as `service.catalog.half_precision` writes it. Standard output gets one byte, 1 before the
converted graph, and 0 before the reason why there is none.
"""

import sys
from typing import IO

from models.errors import DengeError
from models.runtime.float16 import to_float16
from service.wire import arrays, graph_files


def main(source: IO[bytes], target: IO[bytes]) -> None:
    """Convert the graph."""
    _, found = arrays.read(source)
    try:
        target.write(b"\1" + to_float16(graph_files.from_arrays(found)))
    except DengeError as error:
        target.write(b"\0" + str(error).encode())


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
