"""Source graphs in ONNX's own text form, for what torch would not export."""

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

from models.graph.load import serialize

CHANNELS = 3


def linear_norm(
    attributes: str = "epsilon = 1e-5",
    *,
    batch: str = "N",
    outputs: str = "y",
    final: str = "",
    statistics: bool = True,
    features: str = "4",
    takes: str = "float",
    gives: str = "float",
) -> onnx.ModelProto:
    """`x` [batch, features] -> Gemm -> BatchNormalization -> `y` [batch, 3], and a `final` node before it if wanted.

    What it takes and gives is cast where it is not float.
    """
    mean_var = "" if statistics else f", float[{CHANNELS}] mean, float[{CHANNELS}] var"
    before = f"number = Cast <to = {onnx.TensorProto.FLOAT}> (x)" if takes != "float" else ""
    if gives != "float":
        final = f"y = Cast <to = {onnx.TensorProto.DataType.Value(gives.upper())}> (normalized)"
    normalized = "normalized" if final else outputs
    model = parser.parse_model(f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network ({takes}[{batch}, {features}] x{mean_var}) => ({gives}[{batch}, {CHANNELS}] y) {{
            {before}
            linear = Gemm({"number" if before else "x"}, weight, bias)
            {normalized} = BatchNormalization <{attributes}> (linear, gamma, beta, mean, var)
            {final}
        }}
    """)
    generator = np.random.default_rng(0)
    tensors = {
        "weight": generator.normal(size=(4, CHANNELS)),
        "bias": generator.normal(size=CHANNELS),
        "gamma": generator.uniform(0.5, 1.5, CHANNELS),
        "beta": generator.normal(size=CHANNELS),
    }
    if statistics:
        tensors |= {"mean": generator.normal(size=CHANNELS), "var": generator.uniform(0.5, 1.5, CHANNELS)}
    for name, values in tensors.items():
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    return model


def changed(graph: onnx.ModelProto, name: str, factor: float) -> bytes:
    """The graph, serialized, with one of its tensors multiplied."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), name))
    return serialize(model)


def wide_norms(width: int, layers: int) -> onnx.ModelProto:
    """`x` [N, width] -> layers of Gemm, BatchNormalization and Relu -> `y`, each with ``4 * width ** 2`` bytes."""
    generator = np.random.default_rng(0)
    nodes, tensors, tensor = [], {}, "x"
    for layer in range(layers):
        names = [f"{layer}.{name}" for name in ("weight", "bias", "gamma", "beta", "mean", "var")]
        tensors[names[0]] = generator.normal(scale=width**-0.5, size=(width, width))
        tensors |= {name: generator.uniform(0.5, 1.5, width) for name in names[1:]}
        result = "y" if layer == layers - 1 else f"{layer}.output"
        nodes += [
            helper.make_node("Gemm", [tensor, *names[:2]], [f"{layer}.linear"]),
            helper.make_node("BatchNormalization", [f"{layer}.linear", *names[2:]], [f"{layer}.normalized"]),
            helper.make_node("Relu", [f"{layer}.normalized"], [result]),
        ]
        tensor = result
    values = {name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", width]) for name in ("x", "y")}
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "wide", [values["x"]], [values["y"]], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
