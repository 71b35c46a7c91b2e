"""Outputs that are sequences of tensors: a node stacks their elements, which must be of one shape."""

import re

_STACKING = "stack_the_elements_of_"


def stacking_node(output: str) -> str:
    """The name of the node that stacks the elements of an output."""
    return f"{_STACKING}{output}"


def find_unstackable(message: str) -> str | None:
    """The output whose elements could not be stacked, by what onnxruntime says; None if something else failed."""
    found = re.search(f"Name:'{_STACKING}(.*?)' Status Message", message)
    return None if found is None else found[1]
