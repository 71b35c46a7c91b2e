"""Long lists of numbers in large JSON bodies: read straight into an array, at once or in pieces.

Other threads can run while `number_reader` reads a list. What keeps them waiting is a parser, so it gets one piece at a
time: the text from one comma to another, in the brackets that are open there. It checks the text and reads its numbers.
What no piece shows is whether all lists of one depth are equally long: that follows from where the brackets are among
the commas, which numpy finds. In a list without empty lists, one comma stands between any two neighbouring numbers, so
as many precede a bracket as there are numbers.
"""

import re
from collections.abc import Iterator
from itertools import chain, pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datatypes import Array, Datatype, to_numpy
from models.errors import InvalidInput
from service.wire import json_numbers
from service.wire.json_text import parse
from service.wire.json_values import convert
from service.wire.pieces import PIECE_BYTES

MAX_RANK = 32

_MAX_NUMBER_BYTES = 1 << 12
"""Longest text between two commas of a list that is read in pieces."""

_BLOCK_BYTES = 1 << 19
"""Bytes that numpy searches at a time. Other threads need not wait for it."""

_GUESSED_BYTES = 1 << 19
"""In which the first list of each depth must end for the shape to be guessed."""

_OPEN, _CLOSE, _COMMA = b"[],"


class LongList:
    """A list in a JSON text, which may hold lists and numbers, not yet read.

    Args:
        text: the whole JSON text.
        start, end: of the list in it, its outer brackets included.
    """

    def __init__(self, text: bytes, start: int, end: int) -> None:
        self._text = text
        self._start = start
        self._end = end

    def __len__(self) -> int:
        """Bytes of its text."""
        return self._end - self._start

    def shape(self, field: str) -> tuple[int, ...]:
        """The shape of the array, if there are numbers between the brackets and commas.

        Args:
            field: where the list stands in the request, for errors.

        Raises:
            InvalidInput: a list is empty, or lists of one depth differ in length.
        """
        levels = [_Level() for _ in range(self._rank(field))]
        depth, commas = 0, 0
        for start in range(self._start, self._end, _BLOCK_BYTES):
            block = np.frombuffer(self._text, np.uint8, min(_BLOCK_BYTES, self._end - start), start)
            is_comma = block == _COMMA
            places = np.flatnonzero((block == _OPEN) | (block == _CLOSE))
            if places.size:
                opens = block[places] == _OPEN
                # Up to each bracket from the one before it. No comma is where a bracket is.
                between = np.add.reduceat(is_comma[: places[-1] + 1], np.append(0, places[:-1]), dtype=np.intp)
                depth = _check_brackets(opens, commas + np.cumsum(between), depth, levels, field)
            commas += int(np.count_nonzero(is_comma))
        if not all(level.is_complete(commas + 1) for level in levels):
            raise _irregular(field)
        sizes = [level.size for level in levels]
        shape = tuple(size // inner for size, inner in zip(sizes, (*sizes[1:], 1), strict=True))
        if prod(shape) != commas + 1:
            raise _irregular(field)
        return shape

    def read(self, datatype: Datatype, field: str, *, finite: bool) -> Array:
        """An array of the same nesting.

        Args:
            datatype: what the numbers must be.
            field: where the list stands in the request, for errors.
            finite: whether NaN and infinities are refused.

        Raises:
            InvalidInput: as `json_arrays.to_array`; or a list is empty, or a number has thousands of digits.
        """
        guessed = self._guess_shape()
        array = self._read_at_once(datatype, guessed)
        if array is not None:
            return array
        self._require_regular_start(field)
        shape = self.shape(field)
        if shape != guessed:
            array = self._read_at_once(datatype, shape)
        return self._read_pieces(shape, datatype, field, finite=finite) if array is None else array

    def _guess_shape(self) -> tuple[int, ...] | None:
        """The shape, if all lists are as long as the first one of their depth; None if these are long."""
        rank = 0
        while self._text.startswith(b"[", self._start + rank):
            rank += 1
            if rank > MAX_RANK:
                return None
        numbers = [1]  # in a list of each depth, the innermost ones first
        for depth in range(1, rank):
            end = self._text.find(b"]" * depth, self._start, min(self._start + _GUESSED_BYTES, self._end))
            if end < 0:
                return None
            numbers.append(self._count_commas(end) + 1)
        numbers.append(self._count_commas(self._end) + 1)
        return tuple(larger // smaller for smaller, larger in pairwise(numbers))[::-1]

    def _count_commas(self, end: int) -> int:
        commas = 0
        for start in range(self._start, end, _BLOCK_BYTES):
            block = np.frombuffer(self._text, np.uint8, min(_BLOCK_BYTES, end - start), start)
            commas += int(np.count_nonzero(block == _COMMA))
        return commas

    def _read_at_once(self, datatype: Datatype, shape: tuple[int, ...] | None) -> Array | None:
        text = memoryview(self._text)[self._start : self._end]
        return None if shape is None else json_numbers.read_regular(text, datatype, shape)

    def _read_pieces(self, shape: tuple[int, ...], datatype: Datatype, field: str, *, finite: bool) -> Array:
        # Numbers in a list of each depth. At the start of a piece those are open that are not complete.
        sizes = [prod(shape[axis:]) for axis in range(len(shape))]
        array: Array | None = None
        count = 0
        for start, end in self._pieces(field):
            text = self._text[start:end]
            depth = sum(count % size > 0 for size in sizes)
            after = depth + text.count(b"[") - text.count(b"]")
            piece = b"".join((b"[" * depth, text, b"]" * after))
            values = json_numbers.parse_numbers(memoryview(piece), datatype)
            if values is None:
                values = convert(_flat(piece, len(shape), field), datatype, field, finite=finite, first=count)
            if array is None:  # not earlier: the first piece shows whether the list is worth the memory
                array = np.empty(prod(shape), to_numpy(datatype))
            if count + values.size > array.size:
                raise _irregular(field)
            array[count : count + values.size] = values
            count += values.size
        if array is None or count != array.size:
            raise _irregular(field)
        return array.reshape(shape)

    def _require_regular_start(self, field: str) -> None:
        """Refuse a list whose first piece is no regular list, before the whole of it is searched for brackets."""
        _, end = next(self._pieces(field))
        if re.search(rb"\[\s*\]", self._text[self._start : end]):
            raise _irregular(field)

    def _rank(self, field: str) -> int:
        rank = 0
        for byte in self._text[self._start : min(self._start + _MAX_NUMBER_BYTES, self._end)]:
            if byte == _OPEN:
                rank += 1
            elif byte not in b" \t\r\n":
                break
        if rank > MAX_RANK:
            raise InvalidInput(f"got lists that nest deeper, expected at most {MAX_RANK} levels", field)
        return rank

    def _pieces(self, field: str) -> Iterator[tuple[int, int]]:
        """Where the pieces start and end. The commas between them belong to none."""
        start = self._start
        while self._end - start > PIECE_BYTES:
            comma = self._text.find(b",", start + PIECE_BYTES, min(start + PIECE_BYTES + _MAX_NUMBER_BYTES, self._end))
            if comma < 0:
                break
            yield start, comma
            start = comma + 1
        if self._end - start > PIECE_BYTES + _MAX_NUMBER_BYTES:
            raise InvalidInput(f"got a number of more than {_MAX_NUMBER_BYTES} characters", field)
        yield start, self._end


class _Level:
    """The lists of one depth.

    Attributes:
        size: numbers in each of them.
    """

    def __init__(self) -> None:
        self.size = 0
        self._begun = 0
        self._ended = 0

    def add(self, begins: NDArray[np.intp], ends: NDArray[np.intp]) -> bool:
        """Whether further lists are as long as the earlier ones.

        Args:
            begins, ends: how many numbers precede the brackets that open and close them.
        """
        if ends.size and not self.size:
            self.size = int(ends[0])
        begun, ended = self._begun, self._ended
        self._begun += begins.size
        self._ended += ends.size
        if self._begun > 1 and not self.size:
            return False  # another begins although none has ended
        return bool(
            (begins == self.size * np.arange(begun, self._begun)).all()
            and (ends == self.size * np.arange(ended + 1, self._ended + 1)).all()
        )

    def is_complete(self, numbers: int) -> bool:
        """Whether each of the lists is closed, and they have all numbers."""
        return self._begun == self._ended and self._ended * self.size == numbers


def _check_brackets(
    opens: NDArray[np.bool_], commas: NDArray[np.intp], depth: int, levels: list[_Level], field: str
) -> int:
    """Check the brackets of a block, and return how deep they nest at its end.

    Args:
        opens: whether each of them opens a list, or closes it.
        commas: in the whole list before each.
        depth: at the start of the block.
        levels: of the list.
        field: where it stands in the request.
    """
    depths = depth + np.cumsum(np.where(opens, 1, -1))
    if depths.max() > len(levels) or depths[:-1].min(initial=1) < 1:
        raise _irregular(field)
    for outer, level in enumerate(levels):
        begins = commas[opens & (depths == outer + 1)]
        ends = commas[~opens & (depths == outer)] + 1
        if not level.add(begins, ends):
            raise _irregular(field)
    return int(depths[-1])


def _flat(piece: bytes, depth: int, field: str) -> list[Any]:
    """The values of a piece, all of which must be at one depth."""
    try:
        level: list[Any] = parse(piece)
    except InvalidInput:
        raise InvalidInput("not valid JSON", field) from None
    for _ in range(depth - 1):
        if set(map(type, level)) != {list}:
            raise _irregular(field)
        level = list(chain.from_iterable(level))
    if list in set(map(type, level)):
        raise _irregular(field)
    return level


def _irregular(field: str) -> InvalidInput:
    return InvalidInput(
        "got lists that are empty, or differ in length or kind, expected lists of one length and kind", field
    )
