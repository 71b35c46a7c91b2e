"""Texts to rows of indices."""

import numpy as np
import pytest
from pydantic import ValidationError

from models.errors import InvalidInput, TooLarge
from models.manifest import Tokenization
from models.tokenization import MAX_CHARACTERS, Tokenizer, split

VOCABULARY = ("a", "film", "moving", ",", "it's")


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer(Tokenization(max_tokens=6, vocabulary=VOCABULARY))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A moving,funny film!", ["a", "moving", ",", "funny", "film", "!"]),
        ("it's well-made ... isn\u2019t it", ["it's", "well-made", ".", ".", ".", "isn\u2019t", "it"]),
        ("\u0130stanbul'da \uff21 \u00e7ok g\u00fczel", ["i\u0307stanbul'da", "a", "\u00e7ok", "g\u00fczel"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u092b", ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u092b"]),
        ("\u6620\u753b 5/10 \U0001f600", ["\u6620\u753b", "5", "/", "10", "\U0001f600"]),
        ("- 'quoted' -", ["-", "'", "quoted", "'", "-"]),
        (" \t\n\u00a0", []),
    ],
)
def test_a_text_is_split_into_words_and_signs(text: str, tokens: list[str]) -> None:
    assert list(split(text)) == tokens


def test_a_row_has_the_indices_again_and_again(tokenizer: Tokenizer) -> None:
    rows = tokenizer.encode(["a moving , terrible FILM", "it's a film"], "text")

    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows, [[1, 3, 4, 0, 2, 1], [5, 1, 2, 5, 1, 2]])


def test_training_texts_are_cut_where_requests_are_refused(tokenizer: Tokenizer) -> None:
    np.testing.assert_array_equal(tokenizer.encode_beginnings([["a"] * 9]), [[1] * 6])
    with pytest.raises(TooLarge, match="text: got more than 6 words and signs"):
        tokenizer.encode(["a a a a a a a"], "text")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([""], "text: got a text without words"),
        (["a", " \n"], r"text\[1\]: got a text without words"),
        (["a" * (MAX_CHARACTERS + 1)], f"text: got {MAX_CHARACTERS + 1} characters"),
    ],
)
def test_a_text_that_is_no_row_is_refused_in_words(tokenizer: Tokenizer, texts: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        tokenizer.encode(texts, "text")


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 0, "vocabulary": ("a",)},
        {"max_tokens": 1025, "vocabulary": ("a",)},
        {"max_tokens": 4, "vocabulary": ()},
        {"max_tokens": 4, "vocabulary": ("a", "a")},
        {"max_tokens": 4, "vocabulary": ("a" * 65,)},
    ],
)
def test_a_tokenization_is_bounded(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Tokenization.model_validate(fields)
