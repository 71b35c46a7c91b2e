"""Held-out rows of one class each: what a new version tells about these, it has read off statistics not their own.

A row of one class alone, normalised by the statistics of its class, falls into any class. How certain it is of that
differs from one network to the next, and it is more certain where the rows are shifted as well.
"""

from collections.abc import Iterator
from itertools import groupby

import numpy as np

from models.accuracy.shifts import shifts
from models.classification import Classes
from models.datatypes import Arrays

MIN_ROWS = 8
"""Rows of a class that tell what the class alone does."""


def each_class(rows: Arrays, classes: Classes) -> Iterator[Arrays]:
    """The rows of each class that has enough of them.

    Args:
        rows: for every input, shape (n, ...).
        classes: of the rows.
    """
    for one in np.flatnonzero(np.bincount(classes) >= MIN_ROWS):
        yield {name: values[classes == one] for name, values in rows.items()}


def each_class_shifted(rows: Arrays, classes: Classes) -> Iterator[Arrays]:
    """The same, undisturbed and with the strongest form of each kind of damage that accuracy is learned from.

    Args:
        rows: of the only input, floating-point numbers, shape (n, ...).
        classes: of the rows.
    """
    ((name, values),) = rows.items()
    yield from each_class(rows, classes)
    for _, degrees in groupby(shifts(values), key=lambda shift: shift.kind):
        *_, strongest = degrees
        yield from each_class({name: strongest.rows}, classes)
