"""Which of two versions is better, from rows whose classes are known: the exact sign test.

Rows on which both versions are right, or both wrong, do not tell them apart. Of those on which only one is right, each
version has half by chance if neither is better (McNemar 1947). So rows that both predict alike need no label.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

BETTER_LEVEL, WORSE_LEVEL = 0.25, 0.1
"""Of two equal versions, the new one seems better, or worse, this often at most. Most that are re-calibrated
are better, so less is asked for to believe that."""


@dataclass(frozen=True)
class SignTest:
    """Labelled rows that only one of two versions predicts right.

    Attributes:
        new, old: how many only the new version has right, and only the one that has answered.
    """

    new: int
    old: int

    @classmethod
    def of(cls, old: NDArray[np.bool_], new: NDArray[np.bool_]) -> "SignTest":
        """Count rows.

        Args:
            old, new: whether each version predicts the label, for every labelled row, shape (m,).
        """
        return cls(int(np.sum(new & ~old)), int(np.sum(old & ~new)))

    @property
    def is_better(self) -> bool:
        """Whether the new version is better, beyond chance."""
        return self.old < _fewest(self.new + self.old, BETTER_LEVEL)

    @property
    def least_new(self) -> int:
        """Of as many rows, the smallest `new` with which the new version is not worse, beyond chance."""
        return _fewest(self.new + self.old, WORSE_LEVEL)


def _fewest(count: int, level: float) -> int:
    """The smallest number of rows such that one of two equal versions has so many or fewer more often than `level`.

    Args:
        count: rows that only one of them has right.
    """
    ways = total = 1
    for right in range(count):
        if Fraction(total, 2**count) > level:
            return right
        ways = ways * (count - right) // (right + 1)
        total += ways
    return count
