"""A graph as a function, for comparisons and estimates: on one core, with or without onnxruntime's optimisations."""

from models.datatypes import Arrays, Run
from models.errors import GraphError
from models.memory import release_freed
from models.runtime.session import open_session
from models.runtime.values import BFLOAT16, tensor_types, to_array, to_value
from models.stored_graph import SerializedGraph


def load(graph: SerializedGraph, *, optimize: bool) -> Run:
    """A serialized graph as a function from inputs to outputs.

    Raises:
        GraphError: onnxruntime cannot load the graph; or, when the function is called, cannot run it.
    """
    release_freed()  # by the sessions before: comparisons open one after the other
    session = open_session(graph, optimize=optimize, keep_memory=False)
    names = [output.name for output in session.get_outputs()]
    by_value = BFLOAT16 in tensor_types(session)

    def run(inputs: Arrays) -> Arrays:
        try:
            if by_value:
                values = {name: to_value(array) for name, array in inputs.items()}
                return dict(zip(names, map(to_array, session.run_with_ort_values(names, values)), strict=True))
            return dict(zip(names, session.run(names, inputs), strict=True))
        except Exception as error:
            shapes = {name: list(array.shape) for name, array in inputs.items()}
            raise GraphError(f"onnxruntime cannot run the graph on inputs of shapes {shapes}: {error}") from error

    return run
