"""Functions of a file that have normalisation layers."""

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from models.importing.onnx import import_graph
from models.model_info import ModelInfo
from models.runtime.load import load


def with_functions(*, epsilon: float = 1e-5) -> onnx.ModelProto:
    """Two calls of a function with a layer in it, whose statistics are the caller's."""
    return onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 18, "mine" : 1]> network (float[N, 2] x) => (float[N, 2] y) '
        "<float[2, 2] w = {1, 2, 3, 4}, float[2] a_weight = {1, -2}, float[2] a_bias = {0.5, 1}, "
        "float[2] a_mean = {2, -1}, float[2] a_var = {4, 0.25}, float[2] b_weight = {2, 3}, float[2] b_bias = {1, 0}, "
        "float[2] b_mean = {0, 1}, float[2] b_var = {1, 9}> { "
        f"z = mine.Block <eps = {epsilon}> (x, w, a_weight, a_bias, a_mean, a_var) "
        f"y = mine.Block <eps = {epsilon}> (z, w, b_weight, b_bias, b_mean, b_var) }} "
        '<domain: "mine", opset_import: ["" : 18]> Block <eps> (x, w, s, b, m, v) => (y) { '
        "c = MatMul(x, w) n = BatchNormalization <epsilon: float = @eps> (c, s, b, m, v) y = Relu(n) }"
    )


def test_layers_in_functions_of_the_file_are_taken_out_of_them() -> None:
    source = with_functions(epsilon=0.5)
    bundle = import_graph(source, ModelInfo("theirs"))

    assert [(layer.name, layer.eps) for layer in bundle.manifest.norm_layers] == [("a", 0.5), ("b", 0.5)]
    assert {layer.placement.kind for layer in bundle.manifest.norm_layers} == {"folded_back"}
    assert not bundle.manifest.limits
    rows = {"x": np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)}
    expected = ReferenceEvaluator(source).run(None, rows)[0]
    np.testing.assert_allclose(load(bundle.folded, optimize=True)(rows)["y"], expected, rtol=1e-5, atol=1e-5)
