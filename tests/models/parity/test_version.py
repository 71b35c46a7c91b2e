"""The comparison of the graphs of one version, where little is known of its source."""

import onnx

from models.graph.editor import GraphEditor
from models.importing.onnx import import_graph
from models.model_info import ModelInfo


def test_a_layer_behind_sizes_that_onnx_cannot_follow_is_folded_and_compared() -> None:
    """As the older exporter of torch writes `x.view(n, c, h * w)` for opset 12: ONNX infers no rank of what follows."""
    model = onnx.parser.parse_model(
        '<ir_version: 7, opset_import: ["" : 12]> network (float[N, 2, 3, 3] x) => (float[N, 2, 9] y) '
        "<int64 zero = {0}, int64 two = {2}, int64 three = {3}, float[2, 2, 1] w = {1, 2, 3, 4}, "
        "float[2] bn_scale = {1, -2}, float[2] bn_bias = {0, 1}, float[2] bn_mean = {2, -1}, float[2] bn_var = {4, 1}> "
        "{ s = Shape(x) n = Gather(s, zero) h = Gather(s, two) v = Gather(s, three) hv = Mul(h, v) "
        "n1 = Unsqueeze <axes = [0]> (n) c1 = Unsqueeze <axes = [0]> (two) hv1 = Unsqueeze <axes = [0]> (hv) "
        "target = Concat <axis = 0> (n1, c1, hv1) r = Reshape(x, target) c = Conv(r, w) "
        "b = BatchNormalization(c, bn_scale, bn_bias, bn_mean, bn_var) y = Relu(b) }"
    )
    assert GraphEditor(model).shape("b") is None

    manifest = import_graph(model, ModelInfo("theirs")).manifest

    assert (manifest.norm_layers[0].placement.kind, manifest.norm_layers[0].unwatched) == ("folded_back", None)
    assert not manifest.limits
