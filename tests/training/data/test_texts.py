"""Data sets of texts: the two files of rt-polarity, and tables."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import InvalidInput
from models.tokenization import Tokenizer
from training.data import rt_polarity, table, texts
from training.data.dataset import TextDataset

REAL = Path(__file__).parents[4] / "shared" / "data" / "rt-polarity"

LINES = [(f"word{number % 7} and more", "spam" if number % 4 == 0 else "ham") for number in range(80)]


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def same(first: TextDataset, second: TextDataset) -> bool:
    return first.tokenization == second.tokenization and np.array_equal(first.train_rows, second.train_rows)


@pytest.mark.skipif(not REAL.is_dir(), reason="rt-polarity is not beside this checkout")
def test_the_real_sentences_are_read() -> None:
    data = rt_polarity.load(REAL)

    assert data.class_names == ("negative", "positive")
    np.testing.assert_array_equal(np.bincount(data.train_labels), [4798, 4798])
    np.testing.assert_array_equal(np.bincount(data.test_labels), [533, 533])
    assert data.tokenization.vocabulary[:2] == (".", "the")
    assert 9_000 < len(data.tokenization.vocabulary) < 10_000


def test_a_tenth_of_each_class_is_held_out_and_always_the_same() -> None:
    data = texts.prepare(*map(list, zip(*LINES, strict=True)), "data")

    assert data.class_names == ("ham", "spam")
    np.testing.assert_array_equal(np.bincount(data.test_labels), [6, 2])
    np.testing.assert_array_equal(np.bincount(data.train_labels), [54, 18])
    assert same(data, texts.prepare(*map(list, zip(*LINES, strict=True)), "data"))


def test_the_vocabulary_is_that_of_the_training_texts_the_most_frequent_first() -> None:
    data = texts.prepare([f"only{n} the the end" for n in range(20)], ["a", "b"] * 10, "data")

    assert data.tokenization.vocabulary == ("the", "end")  # what occurs once trains the unknown token
    np.testing.assert_array_equal(data.train_rows, [[0, 1, 1, 2]] * 18)
    np.testing.assert_array_equal(data.test_rows, Tokenizer(data.tokenization).encode(["x the the end"] * 2, "t"))


def test_texts_beyond_the_limit_are_cut() -> None:
    data = texts.prepare(["the " * 300] * 20, ["a", "b"] * 10, "data")

    assert data.tokenization.max_tokens == data.train_rows.shape[1] == 256


@pytest.mark.parametrize(
    ("name", "head", "line"),
    [
        ("a.csv", "", '"{text}",{label}'),
        ("a.csv", "", '{label},"{text}"'),
        ("a.csv", "id,Label,Review\n", '7,{label},"{text}"'),
        ("a.csv", "\ufefftext,label\n", '"{text}",{label}'),
        ("a.tsv", "sentence\tlabel\n", "{text}\t{label}"),
        ("a.txt", "", "{label}\t{text}"),
    ],
)
def test_a_table_may_have_its_columns_in_any_order(tmp_path: Path, name: str, head: str, line: str) -> None:
    lines = [line.format(text=text, label=label) for text, label in LINES]
    expected = texts.prepare(*map(list, zip(*LINES, strict=True)), "data")

    assert same(table.load(write(tmp_path / name, head + "\n".join(lines) + "\n\n")), expected)


def test_quotation_marks_in_a_file_with_tabs_are_signs(tmp_path: Path) -> None:
    lines = [f'"{text}\t{label}' for text, label in LINES]

    assert table.load(write(tmp_path / "a.tsv", "\n".join(lines))).tokenization.vocabulary[0] == '"'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "", "a.json is not a .csv"),
        ("a.csv", "", "expected two classes or more of at least ten texts each"),
        ("a.csv", "a film,good\na,b,c\n", "line 2: got 3 columns, expected 2"),
        ("a.csv", "text,label\nfilm\n", "line 2: got 1 columns, expected 2"),
        ("a.csv", "a film,good\n ,bad\n", "line 2: the text has no words"),
        ("a.csv", "a film,good\n" * 30, "two classes or more of at least ten texts each, got good: 30"),
        ("a.csv", '"a film', "cannot be read as a table"),
    ],
)
def test_another_file_is_refused_with_its_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        table.load(write(tmp_path / name, text))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"caf\xe9,good\n")

    with pytest.raises(InvalidInput, match="UTF-8"):
        table.load(tmp_path / "a.csv")


def test_missing_sentences_say_where_they_come_from(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"data-dir: there is no .*rt-polarity\.neg"):
        rt_polarity.load(tmp_path)
