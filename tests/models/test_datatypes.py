"""Names of the protocol and numpy types: `models.datatypes`."""

import numpy as np
import pytest

from models.datatypes import DATATYPES, Datatype, from_numpy, to_numpy


@pytest.mark.parametrize("name", DATATYPES)
def test_there_and_back_is_the_same(name: Datatype) -> None:
    assert from_numpy(to_numpy(name)) == name


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("BOOL", bool), ("UINT8", np.uint8), ("INT64", np.int64), ("FP16", np.half), ("FP64", float)],
)
def test_names_mean_what_they_say(name: Datatype, dtype: type) -> None:
    assert to_numpy(name) == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["complex64", "S3", "O", "datetime64[s]"])
def test_types_that_the_protocol_does_not_have_are_refused(dtype: str) -> None:
    with pytest.raises(KeyError):
        from_numpy(np.dtype(dtype))
