"""What the service and the process of a job send each other arrives as it was sent."""

from io import BytesIO

import numpy as np
import pytest
from pydantic import ValidationError

from models.manifest import Gate
from service.recalibrating.job import Job
from service.recalibrating.messages import Order, OrderWithRows, Progress
from service.wire.recalibration import RecalibrationParameters, RecalibrationRequest

ORDER = Order(repository="/repository", model="tiny", version=3, prior=0.5, force=True)
ROWS = {"input": np.arange(8, dtype=np.float32).reshape(2, 4), "mask": np.array([[True], [False]])}


@pytest.mark.parametrize("labels", [None, np.array([1, -1])], ids=["unlabelled", "labelled"])
def test_an_order_arrives_with_its_rows(labels: np.ndarray | None) -> None:
    sent = BytesIO(OrderWithRows(ORDER, ROWS, labels).to_bytes() + b"more")
    order, rows, found = OrderWithRows.read(sent)

    assert order == ORDER
    assert rows.keys() == ROWS.keys()
    for name, values in ROWS.items():
        np.testing.assert_array_equal(rows[name], values)
        assert rows[name].dtype == values.dtype
    assert (found is None) == (labels is None)
    assert labels is None or np.array_equal(found, labels)  # type: ignore[arg-type]
    assert sent.read() == b"more"


@pytest.mark.parametrize("collect", [0, 64])
def test_rows_are_in_order_where_they_were_collected(collect: int) -> None:
    sent = {"input": np.ones((64, 4), np.float32)}
    request = RecalibrationRequest(None if collect else sent, None, collect, RecalibrationParameters())

    assert Order.of(Job.new("tiny", 3, request), "/repository").is_in_order == (collect > 0)


def test_which_rows_are_estimated_from_is_ordered() -> None:
    request = RecalibrationRequest(None, None, 64, RecalibrationParameters(only_moved=True))

    assert Order.of(Job.new("tiny", 3, request), "/repository").only_moved


def test_a_models_own_input_may_be_called_labels() -> None:
    _, rows, labels = OrderWithRows.read(BytesIO(OrderWithRows(ORDER, {"labels": np.ones(2)}, None).to_bytes()))

    assert list(rows) == ["labels"]
    assert labels is None


@pytest.mark.parametrize(
    "progress",
    [
        Progress(state="estimating"),
        Progress(gates=(Gate(name="rows", about="rows", figure=64.0, lower=64.0),)),
        Progress(state="published", published=2),
        Progress(reason=None),
    ],
)
def test_progress_arrives_and_changes_only_what_is_set(progress: Progress) -> None:
    line = progress.to_line()
    found = Progress.from_line(line)

    assert line.count(b"\n") == 1
    assert found == progress
    assert found.changes() == progress.changes()
    assert found.changes().keys() == progress.model_fields_set


def test_a_state_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError):
        Progress.from_line(b'{"state": "guessing"}\n')
