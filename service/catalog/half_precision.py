"""Converts graphs to half precision by a process of its own, from the service's side."""

import subprocess
import sys
from collections.abc import Sequence

from models.errors import GraphError
from models.stored_graph import SerializedGraph
from service.host.process_exit import describe_exit
from service.wire import arrays, graph_files

COMMAND = (sys.executable, "-m", "service.catalog.half_process")
MAX_SECONDS = 180.0
"""A process that runs for longer is killed."""


def to_half(graph: SerializedGraph, command: Sequence[str] = COMMAND) -> bytes:
    """The serialized graph in half precision, with the same inputs and outputs.

    Args:
        graph: in float32.
        command: starts the process.

    Raises:
        GraphError: it could not be converted.
    """
    message = arrays.write({}, graph_files.to_arrays(graph))
    try:
        ended = subprocess.run(command, input=message, capture_output=True, timeout=MAX_SECONDS, check=False)  # noqa: S603 - the command is ours
    except subprocess.TimeoutExpired as error:
        raise GraphError(f"it was not converted to half precision in {MAX_SECONDS:g} s") from error
    except OSError as error:  # no memory or no number left for another process
        raise GraphError(f"it was not converted to half precision: {error.strerror}") from error
    found, content = ended.stdout[:1], ended.stdout[1:]
    if found == b"\1":
        return content
    reason = content.decode(errors="replace") if found else f"the process ended {describe_exit(ended.returncode)}"
    raise GraphError(f"it was not converted to half precision: {reason}")
