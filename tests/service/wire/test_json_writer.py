"""Long arrays are written as short ones are, in pieces."""

import numpy as np
import orjson
import pytest

from service.wire import json_writer
from service.wire.json_writer import LongArray, dumps, set_aside

SHAPES = [(100,), (10, 10), (3, 50), (2, 3, 40), (50, 2), (1, 1, 100), (40, 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_a_long_array_is_written_as_a_whole_one(
    shape: tuple[int, ...], dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_writer, "_MAX_NUMBERS", 8)
    array = np.random.default_rng(0).normal(0, 100, shape).astype(dtype)
    array[0] = np.array(np.nan).astype(dtype) if dtype is np.float32 else 1
    value = {"a": [array, "text"], "b": array}

    assert isinstance(set_aside(array), LongArray)
    written = dumps({"a": [set_aside(array), "text"], "b": set_aside(array)})

    assert written == orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def test_no_piece_has_more_numbers_than_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_writer, "_MAX_NUMBERS", 8)
    sizes: list[int] = []
    write = orjson.dumps

    def counted(value: object, *args: object, **options: object) -> bytes:
        sizes.append(value.size if isinstance(value, np.ndarray) else 0)
        return write(value, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(json_writer.orjson, "dumps", counted)

    dumps(set_aside(np.zeros((2, 100), np.float32)))

    assert max(sizes) <= 8
    assert sum(sizes) == 200


def test_what_has_no_json_is_an_error() -> None:
    with pytest.raises(TypeError):
        dumps({"a": object()})
