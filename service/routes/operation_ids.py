"""Ids of operations: `infer`, `infer_version` and `predict_label` are forms of `infer` and `predict`."""

import re
from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")

_FORM = re.compile("_(?:version|label)$")


def find(table: Mapping[str, Value], operation_id: str) -> Value | None:
    """What a table has for an operation, or else for the one that it is a form of; None where it has neither."""
    return table.get(operation_id, table.get(_FORM.sub("", operation_id)))
