"""Import the models of ONNX's own operator tests: each is served as it computes, or refused in words.

    python -m benchmarks.onnx_nodes --every 4 --write docs/importing.md     every fourth, and write the table

The oracle is onnxruntime on the file as it is. Models whose interface is changed (sequences, optional values, types
that are not served) are imported, and not compared here; `tests/models/graph/test_interface.py` does that.
"""

import argparse
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase

from benchmarks.pages import write_between
from models.errors import DengeError
from models.graph.interface import serve_tensors
from models.graph.load import validate
from models.importing.onnx import import_graph
from models.model_info import ModelInfo
from models.runtime.load import load


def outcome(case: TestCase) -> str:
    """What becomes of a case."""
    run = _runtime(case.model)
    known = "runs" if run else "cannot load"
    try:
        validate(case.model)
        bundle = import_graph(case.model, ModelInfo("node"))
        changes = serve_tensors(case.model)[1]
    except DengeError:
        return f"refused in words, onnxruntime {known} it"
    except Exception as error:  # noqa: BLE001 - a defect, which the table has to show
        return f"**fails**: {type(error).__name__} in {case.name}"
    given = dict(zip((value.name for value in case.model.graph.input), case.data_sets[0][0], strict=False))
    if run is None or changes or not all(isinstance(value, np.ndarray) for value in given.values()):
        return "imported, its interface changed"
    try:
        expected = run.run(None, given)
    except Exception:  # noqa: BLE001 - the runtime may know an operator, but not this use of it
        return "imported, onnxruntime cannot run the case"
    found = load(bundle.folded, optimize=True)(given)
    names = [value.name for value in case.model.graph.output]
    same = all(_is_close(found[name], wanted) for name, wanted in zip(names, expected, strict=True))
    return "imported, computes the same" if same else f"**wrong**: {case.name}"


def _runtime(model: onnx.ModelProto) -> onnxruntime.InferenceSession | None:
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - many operators are not implemented
        return None


def _is_close(given: object, expected: object) -> bool:
    found, wanted = np.asarray(given), np.asarray(expected)
    if found.shape != wanted.shape:
        return False
    if wanted.dtype.kind in "OUSb":
        return bool((found == wanted).all())
    return np.allclose(found.astype(np.float64), wanted.astype(np.float64), rtol=1e-3, atol=1e-5, equal_nan=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take every n-th case")
    parser.add_argument("--write", type=Path, help="page with the part onnx_nodes")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    onnxruntime.set_default_logger_severity(4)
    cases = collect_testcases(None)
    counted = Counter(outcome(case) for case in cases[:: arguments.every])
    rows = "\n".join(f"| {name} | {count} |" for name, count in counted.most_common())
    made = (
        f"Made by `python -m benchmarks.onnx_nodes --every {arguments.every}` with {counted.total()} of "
        f"{len(cases)} cases of onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}."
    )
    text = f"| outcome | cases |\n|---|---|\n{rows}\n\n{made}"
    print(text)
    if arguments.write:
        write_between(arguments.write, "onnx_nodes", text)


if __name__ == "__main__":
    main()
