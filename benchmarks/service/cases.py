"""What is asked: a model, a number of rows and how they are written, eight different times over."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.service import wire
from benchmarks.service.session import open_session
from benchmarks.service.wire import Floats

ROW_SHAPES = {"mlp": (784,), "convnet": (1, 28, 28), "resnet18": (3, 32, 32)}

QUESTIONS = 8
TOLERANCE = 1e-4
"""On logits of about 1; float32 in another order of summation stays below 1e-5."""


@dataclass(frozen=True)
class Case:
    """One kind of request.

    Attributes:
        longer: its load lasts this many times as long, so that there are many answers of a slow model too.
    """

    title: str
    model: str
    rows: int
    binary: bool
    longer: int = 1


CASES = {
    "json1": Case("MLP, 1 row, JSON", "mlp", 1, binary=False),
    "json32": Case("MLP, 32 rows, JSON", "mlp", 32, binary=False),
    "binary32": Case("MLP, 32 rows, binary", "mlp", 32, binary=True),
    "digit1": Case("ConvNet, 1 image of 28 x 28, JSON", "convnet", 1, binary=False),
    "image1": Case("ResNet-18, 1 image, binary", "resnet18", 1, binary=True, longer=3),
}


@dataclass(frozen=True)
class Question:
    """One request and the logits that it is to be answered with, shape (rows, classes), each within `tolerance`."""

    path: str
    headers: dict[str, str]
    body: bytes
    expected: Floats
    tolerance: float = TOLERANCE

    def is_answered_by(self, answer: Floats) -> bool:
        return answer.shape == self.expected.shape and np.allclose(answer, self.expected, rtol=0, atol=self.tolerance)


def inputs(case: Case) -> list[Floats]:
    generator = np.random.default_rng(0)
    shape = (QUESTIONS, case.rows, *ROW_SHAPES[case.model])
    return list(generator.random(shape, dtype=np.float32))


def questions(case: Case, models: Path) -> list[Question]:
    session = open_session(models / f"{case.model}.onnx")
    write = wire.write_binary if case.binary else wire.write_json
    path = f"/v2/models/{case.model}/infer"
    made = [Question(path, *write(rows), session.run(None, {"input": rows})[0]) for rows in inputs(case)]
    if any(one.is_answered_by(other.expected) for one, other in combinations(made, 2)):
        raise ValueError(f"{case.title}: two questions have the same answer, so a mixed-up one would pass")
    return made
