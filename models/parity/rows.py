"""Rows beside other rows, to see whether one depends on another."""

from models.datatypes import Arrays


def mix_rows(rows: Arrays, other: Arrays) -> Arrays:
    """The rows, with every second one from the others in its place."""
    mixed = {name: values.copy() for name, values in rows.items()}
    for name, values in mixed.items():
        values[1::2] = other[name][1::2]
    return mixed


def kept_rows(outputs: Arrays) -> Arrays:
    """What is computed of the rows that `mix_rows` keeps."""
    return {name: values[::2] for name, values in outputs.items()}
