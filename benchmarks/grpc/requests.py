"""What is asked over gRPC: the MLP of `benchmarks.service`, with contents that are raw or typed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.service.session import open_session
from service.grpc.messages import SERVICE, message_class

PATH = f"/{SERVICE}/ModelInfer"
MODEL, WIDTH = "mlp", 784
QUESTIONS = 8
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Case:
    """One kind of request."""

    title: str
    rows: int
    raw: bool


CASES = {
    "raw1": Case("MLP, 1 row, raw", 1, raw=True),
    "raw32": Case("MLP, 32 rows, raw", 32, raw=True),
    "typed1": Case("MLP, 1 row, typed", 1, raw=False),
}


@dataclass(frozen=True)
class Question:
    """A request, and the logits that it is to be answered with."""

    body: bytes
    expected: NDArray[np.float32]

    def is_answered_by(self, answer: bytes) -> bool:
        response = message_class("ModelInferResponse").FromString(answer)
        if response.raw_output_contents:
            found = np.frombuffer(response.raw_output_contents[0], np.float32)
        else:
            found = np.array(response.outputs[0].contents.fp32_contents, np.float32)
        return found.size == self.expected.size and np.allclose(found, self.expected.ravel(), rtol=0, atol=TOLERANCE)


def questions(case: Case, models: Path) -> list[Question]:
    session = open_session(models / f"{MODEL}.onnx")
    generator = np.random.default_rng(0)
    made = []
    for rows in generator.random((QUESTIONS, case.rows, WIDTH), dtype=np.float32):
        request = message_class("ModelInferRequest")(model_name=MODEL)
        tensor = request.inputs.add(name="input", datatype="FP32", shape=rows.shape)
        if case.raw:
            request.raw_input_contents.append(rows.tobytes())
        else:
            tensor.contents.fp32_contents.extend(rows.ravel().tolist())
        made.append(Question(request.SerializeToString(), session.run(None, {"input": rows})[0]))
    return made
