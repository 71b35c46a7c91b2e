"""A tiny generated corpus: the words decide the class, whatever stands around them."""

import numpy as np

GOOD = ("moving", "funny", "bright", "warm")
BAD = ("dull", "tired", "flat", "cold")
OTHERS = ("film", "plot", "story", "cast", "and", "the", "a", "of", ",", ".")


def corpus(count: int = 700, seed: int = 0, longest: int = 12) -> list[tuple[str, str]]:
    """Texts and their classes, of 4 words and more."""
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        label, words = [("bad", BAD), ("good", GOOD)][number % 2]
        text = [*generator.choice(OTHERS, generator.integers(3, longest)), generator.choice(words)]
        rows.append((" ".join(generator.permutation(text)), label))
    return rows
