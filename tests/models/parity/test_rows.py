"""Random rows to compare graphs on."""

from models.manifest import TensorSpec
from models.parity.rows import random_rows


def test_random_rows_have_each_inputs_type_and_shape() -> None:
    inputs = (
        TensorSpec(name="image", datatype="FP16", shape=(-1, 3, -1, -1)),
        TensorSpec(name="tokens", datatype="INT64", shape=(-1, 7)),
        TensorSpec(name="mask", datatype="BOOL", shape=(-1, 7)),
    )

    rows = random_rows(inputs, 5, seed=0)

    assert {name: (values.shape, values.dtype.name) for name, values in rows.items()} == {
        "image": ((5, 3, 64, 64), "float16"),
        "tokens": ((5, 7), "int64"),
        "mask": ((5, 7), "bool"),
    }
    assert set(rows["tokens"].ravel().tolist()) == {0, 1}
