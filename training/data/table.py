"""Texts and their classes in a file of two columns: separated by commas in .csv, by tabs in .tsv and .txt.

A first line may name the columns: then there may be others. Without one, the column with fewer different values holds
the classes.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from models.errors import InvalidInput
from models.tokenization import split
from training.data import texts
from training.data.dataset import TextDataset

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_TEXT_NAMES = frozenset({"text", "sentence", "review", "message", "content"})
_CLASS_NAMES = frozenset({"label", "class", "category", "sentiment", "target"})
_FIELD = "data-dir"


class _Columns(NamedTuple):
    """Numbers of the two columns that are used, and how many there are at least."""

    text: int
    label: int
    width: int


class _Line(NamedTuple):
    """The values of a record, and the number of the line that it ends in."""

    number: int
    values: list[str]


def load(path: Path) -> TextDataset:
    """The texts of a file, a tenth of each class held out.

    Args:
        path: of the file, in UTF-8.

    Raises:
        InvalidInput: the file is missing or has other contents; or as `texts.prepare`.
    """
    lines = _read(path)
    columns = _named_columns(lines[0].values) if lines else None
    if columns is not None:
        lines = lines[1:]
    for number, values in lines:
        if len(values) < columns.width if columns else len(values) != 2:
            expected = columns.width if columns else 2
            raise InvalidInput(f"{path}, line {number}: got {len(values)} columns, expected {expected}", _FIELD)
    columns = columns or _guessed_columns(lines)
    for number, values in lines:
        if next(split(values[columns.text]), None) is None:
            raise InvalidInput(f"{path}, line {number}: the text has no words", _FIELD)
    return texts.prepare(
        [line.values[columns.text] for line in lines], [line.values[columns.label].strip() for line in lines], _FIELD
    )


def _read(path: Path) -> list[_Line]:
    separator = _SEPARATORS.get(path.suffix.lower())
    if separator is None or not path.is_file():
        raise InvalidInput(f"{path} is not a .csv, .tsv or .txt file with a text and its class in each line", _FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            # Files with tabs have quotation marks as they are.
            quoted = separator == ","
            reader = csv.reader(
                file, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=True
            )
            return [_Line(reader.line_num, values) for values in reader if any(values)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read as a table in UTF-8: {error}", _FIELD) from error


def _named_columns(names: Sequence[str]) -> _Columns | None:
    """The columns that a first line names; None where it is no such line."""
    lower = [name.strip().lower() for name in names]
    of_text = [column for column, name in enumerate(lower) if name in _TEXT_NAMES]
    of_class = [column for column, name in enumerate(lower) if name in _CLASS_NAMES]
    if len(of_text) != 1 or len(of_class) != 1:
        return None
    return _Columns(of_text[0], of_class[0], max(of_text[0], of_class[0]) + 1)


def _guessed_columns(lines: Sequence[_Line]) -> _Columns:
    different = [len({line.values[column] for line in lines}) for column in (0, 1)]
    return _Columns(0, 1, 2) if different[0] >= different[1] else _Columns(1, 0, 2)
