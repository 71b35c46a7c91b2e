"""Rows that belong to no class, made of held-out rows: what a new version tells about these, it has not read off them.

Half a row and the other half of a row of another class have the parts that the network knows, in combinations that it
does not: letters look so to a network for digits. Normalised by statistics of their own, they are still spread over the
classes, with some certainty.
"""

import numpy as np

from models.classification import Classes
from models.datatypes import Arrays

MIN_ROWS = 32
"""Joined rows without which nothing is known about them."""


def join_halves(rows: Arrays, classes: Classes, seed: int = 0) -> Arrays | None:
    """Each row with its second half from a row of another class; None where too few rows have one.

    Args:
        rows: for every input, shape (n, ...). The longest axis is halved: positions, not colours.
        classes: of the rows.
        seed: of the pairs.
    """
    if any(values.ndim < 2 or max(values.shape[1:]) < 2 for values in rows.values()):
        return None
    others = np.random.default_rng(seed).permutation(len(classes))
    differ = np.flatnonzero(classes != classes[others])
    if len(differ) < MIN_ROWS:
        return None
    joined = {}
    for name, values in rows.items():
        sizes = values.shape[1:]
        axis = len(sizes) - sizes[::-1].index(max(sizes))  # the last one of the longest
        first, _ = np.array_split(values[differ], [values.shape[axis] // 2], axis)
        _, second = np.array_split(values[others[differ]], [values.shape[axis] // 2], axis)
        joined[name] = np.concatenate([first, second], axis)
    return joined
