"""Labelled texts -> vocabulary, held-out part, rows."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.manifest import Tokenization
from models.tokenization import Tokenizer, split
from training.data.dataset import TextDataset

MAX_TOKENS = 256
"""Of a row. Longer texts are used up to here."""

_HELD_OUT = 0.1
_SEED = 0

_MIN_COUNT = 2
"""Of a token in the training texts, to be in the vocabulary: those that are seen once train the unknown token."""

_MAX_VOCABULARY = 1 << 16
_MAX_TOKEN_CHARACTERS = 64


def prepare(texts: Sequence[str], labels: Sequence[str], field: str) -> TextDataset:
    """The data set of some texts, a tenth of each class held out as test texts: the same in every call.

    The vocabulary is that of the training texts, the most frequent token first.

    Args:
        texts: each with at least one token.
        labels: the class of each.
        field: what the texts were given as, for errors.

    Raises:
        InvalidInput: there are fewer than two classes, one of fewer than ten texts, or no token occurs twice.
    """
    class_names, classes = np.unique(np.asarray(labels), return_inverse=True)
    counts = np.bincount(classes)
    if len(counts) < 2 or counts.min() < 10:
        found = ", ".join(f"{name}: {count}" for name, count in zip(class_names[:8], counts[:8], strict=True))
        raise InvalidInput(f"expected two classes or more of at least ten texts each, got {found}", field)
    tokens = [list(split(text)) for text in texts]
    test = _held_out(classes.astype(np.int64))
    train_tokens, test_tokens = (_choose(tokens, mask) for mask in (~test, test))
    counted = Counter(token for text in train_tokens for token in text if len(token) <= _MAX_TOKEN_CHARACTERS)
    vocabulary = [token for token, count in counted.most_common(_MAX_VOCABULARY) if count >= _MIN_COUNT]
    if not vocabulary:
        raise InvalidInput("no word occurs twice in the training texts", field)
    tokenization = Tokenization(max_tokens=min(max(map(len, train_tokens)), MAX_TOKENS), vocabulary=tuple(vocabulary))
    tokenizer = Tokenizer(tokenization)
    return TextDataset(
        tokenizer.encode_beginnings(train_tokens),
        classes[~test].astype(np.int64),
        tokenizer.encode_beginnings(test_tokens),
        classes[test].astype(np.int64),
        tuple(str(name) for name in class_names),
        tokenization,
    )


def _held_out(classes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a text is held out, shape (N,)."""
    generator = np.random.default_rng(_SEED)
    test = np.zeros(len(classes), dtype=bool)
    for label in np.unique(classes):
        of_class = generator.permutation(np.flatnonzero(classes == label))
        test[of_class[: round(len(of_class) * _HELD_OUT)]] = True
    return test


def _choose(texts: Sequence[list[str]], mask: NDArray[np.bool_]) -> list[list[str]]:
    return [text for text, chosen in zip(texts, mask, strict=True) if chosen]
