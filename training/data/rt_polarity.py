"""Sentences of film reviews, positive or negative (Pang & Lee 2005, "Seeing stars", sentence polarity data set v1.0).

5,331 sentences of each kind. The files are not fetched: their authors' page has them.
"""

from pathlib import Path

from models.errors import InvalidInput
from training.data import texts
from training.data.dataset import TextDataset

_FILES = {"negative": "rt-polarity.neg", "positive": "rt-polarity.pos"}
_FIELD = "data-dir"


def load(folder: Path) -> TextDataset:
    """9,596 training and 1,066 test sentences.

    Args:
        folder: with `rt-polarity.neg` and `rt-polarity.pos`: a sentence in each line, Latin-1.

    Raises:
        InvalidInput: a file is missing.
    """
    sentences: list[str] = []
    labels: list[str] = []
    for label, name in _FILES.items():
        path = folder / name
        if not path.is_file():
            raise InvalidInput(
                f"there is no {path}: give the folder with {' and '.join(_FILES.values())}, from "
                "https://www.cs.cornell.edu/people/pabo/movie-review-data",
                _FIELD,
            )
        # Not splitlines: in Latin-1, 0x85 is the end of a line to Python, and here the middle of a word.
        lines = [line for line in path.read_text("latin-1").split("\n") if line.strip()]
        sentences += lines
        labels += [label] * len(lines)
    return texts.prepare(sentences, labels, _FIELD)
