"""Texts -> tokens -> rows of a model's input.

A token is a run of letters, digits, hyphens and apostrophes that begins and ends with a letter or digit, or any other
single character that is not a space. Combining marks belong to their letters. Before, a text is brought to the
compatibility form of Unicode (NFKC) and to lower case.

A text is repeated until its row is full. Zeros in place of it would be most of a row, and count in the statistics of
every layer: these would then follow the length of the texts more than their words (`docs/training.md` has the figures).
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from unicodedata import category, normalize

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput, TooLarge
from models.manifest import Tokenization

UNKNOWN = 0
"""Index of all tokens that the vocabulary does not have."""
FIRST = 1
"""Index of the vocabulary's first token."""

MAX_CHARACTERS = 1 << 16
"""Of one text."""

_MARKS = range(0x300, 0x1F000)
"""Where Unicode has its combining marks, which are not of Python's ``\\w``: vowels of Hindi, dots of Turkish."""


@cache
def _token() -> re.Pattern[str]:
    marks = "".join(character for character in map(chr, _MARKS) if category(character).startswith("M"))
    word = rf"[\w{marks}]+"
    return re.compile(rf"{word}(?:['\u2019-]{word})*|[^\w\s]")


def split(text: str) -> Iterator[str]:
    """The tokens of a text, in their order."""
    return (found[0] for found in _token().finditer(normalize("NFKC", text).lower()))


class Tokenizer:
    """Turns texts into rows.

    Args:
        tokenization: of the model.
    """

    def __init__(self, tokenization: Tokenization) -> None:
        self._indices = {token: index for index, token in enumerate(tokenization.vocabulary, FIRST)}
        self._max_tokens = tokenization.max_tokens

    def encode(self, texts: Sequence[str], field: str) -> NDArray[np.int64]:
        """The rows of some texts, shape (n, max_tokens).

        Args:
            texts: of the request.
            field: where they stand in it, for errors; an element's number is added where there are several.

        Raises:
            TooLarge: a text has more than `max_tokens` tokens, or more than `MAX_CHARACTERS` characters.
            InvalidInput: a text has no token.
        """
        rows = np.empty((len(texts), self._max_tokens), np.int64)
        for number, text in enumerate(texts):
            place = field if len(texts) == 1 else f"{field}[{number}]"
            if len(text) > MAX_CHARACTERS:
                raise TooLarge(f"got {len(text)} characters, expected at most {MAX_CHARACTERS}", place)
            tokens = list(islice(split(text), self._max_tokens + 1))
            if not tokens:
                raise InvalidInput("got a text without words or signs", place)
            if len(tokens) > self._max_tokens:
                raise TooLarge(
                    f"got more than {self._max_tokens} words and signs, expected at most so many",
                    place,
                )
            self._write(tokens, rows[number])
        return rows

    def encode_beginnings(self, texts: Sequence[Sequence[str]]) -> NDArray[np.int64]:
        """The rows of texts that have been split, with a token each or more. Those beyond `max_tokens` are left out."""
        rows = np.empty((len(texts), self._max_tokens), np.int64)
        for row, tokens in zip(rows, texts, strict=True):
            self._write(tokens[: self._max_tokens], row)
        return rows

    def _write(self, tokens: Sequence[str], row: NDArray[np.int64]) -> None:
        row[:] = np.resize([self._indices.get(token, UNKNOWN) for token in tokens], row.shape)
