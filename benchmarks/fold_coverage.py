"""How many batch-normalisation layers each tool leaves in a graph, and whether the graph still computes the same.

    python -m benchmarks.fold_coverage                           print the table
    python -m benchmarks.fold_coverage --write docs/folding.md   and put it between the page's two markers

Every case of the test suite goes through every tool in float32; the result is run by onnxruntime without further
optimization and compared with the source graph in float64 (ONNX reference). Tools that are not installed are left out.
"""

# ruff: noqa: PLC0415 - each tool is imported where it runs, so that any may be missing

import argparse
import contextlib
import importlib.util
import io
import platform
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from benchmarks.pages import write_between
from models.errors import DengeError
from models.graph.find import OP_TYPE
from models.graph.fold import fold
from tests.models.graph.cases import CASES, Case, Graph
from tests.models.graph.oracle import error, feeds, reference, runtime

COMMAND = "python -m benchmarks.fold_coverage --write docs/folding.md"
WRONG = 1e-4  # relative; float32 rounding stays below 1e-5 in every case

Tool = Callable[[onnx.ModelProto], onnx.ModelProto]


def onnxscript_rules(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnxscript import rewriter
    from onnxscript.rewriter.rules.common import _fuse_batchnorm

    return rewriter.rewrite(model, _fuse_batchnorm.rules)


def onnxslim_slim(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxslim

    return onnxslim.slim(model)


def onnxsim_simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxsim

    return onnxsim.simplify(model)[0]


def onnxoptimizer_passes(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnxoptimizer

    return onnxoptimizer.optimize(model, ["eliminate_identity", "eliminate_nop_dropout", "fuse_bn_into_conv"])


def onnxruntime_extended(model: onnx.ModelProto) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = f"{folder}/optimized.onnx"
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


TOOLS: dict[str, Tool] = {
    "onnxscript": onnxscript_rules,
    "onnxslim": onnxslim_slim,
    "onnxsim": onnxsim_simplify,
    "onnxoptimizer": onnxoptimizer_passes,
    "onnxruntime": onnxruntime_extended,
}


def training_mode(g: Graph) -> str:
    return g.bn(g.conv(g.input(3, 5, 5), 3, 4), 4, outputs=3, training_mode=1)


EXTRA = (Case("BN in training mode", training_mode, ()),)


def layers_left(model: onnx.ModelProto) -> int:
    return sum(node.op_type == OP_TYPE for node in model.graph.node)


def worst(case: Case, source: onnx.ModelProto, result: onnx.ModelProto) -> float:
    """Largest relative error over all outputs."""
    given = feeds(source, 3)
    names = [value.name for value in source.graph.output]
    expected, actual = reference(case.model(), given, names), runtime(result, given, names)
    return max(error(expected[name], actual[name]) for name in names)


def cell(case: Case, tool: Tool) -> str:
    source = case.model(np.float32)
    copy = onnx.ModelProto()
    copy.CopyFrom(source)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            result = tool(copy)
        wrong = worst(case, source, result)
    except Exception as problem:  # noqa: BLE001 - whatever a tool raises, or makes the runtime raise, is its answer
        return f"fails: {type(problem).__name__}"
    return f"{layers_left(result)}" if wrong < WRONG else f"**wrong**, {wrong:.1g}"


def our_cell(case: Case) -> str:
    source = case.model(np.float32)
    try:
        folded = fold(source)
    except DengeError as refusal:
        return f"refused: {type(refusal).__name__}"
    wrong = worst(case, source, folded.model)
    if wrong >= WRONG or layers_left(folded.model):
        return f"**wrong**, {wrong:.1g}"
    kept = [layer.placement for layer in folded.norm_layers if layer.placement.kind == "kept"]
    proven = sum(placement.proven for placement in kept)
    return f"{len(kept)} kept" + (f", {proven} with proof" if proven else "") if kept else "0"


def table() -> Iterator[str]:
    tools = {name: tool for name, tool in TOOLS.items() if importlib.util.find_spec(name)}
    yield "| case | layers | Denge | " + " | ".join(tools) + " |"
    yield "|---|---|---|" + "---|" * len(tools)
    for case in (*CASES.values(), *EXTRA):
        cells = [our_cell(case), *(cell(case, tool) for tool in tools.values())]
        yield f"| {case.title} | {layers_left(case.model())} | " + " | ".join(cells) + " |"
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnx", *tools))
    yield ""
    yield f"Made by `{COMMAND}` with Python {platform.python_version()}, {versions}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    arguments = parser.parse_args()
    text = "\n".join(table())
    print(text)
    if arguments.write:
        write_between(arguments.write, "fold_coverage", text)


if __name__ == "__main__":
    main()
