"""A network with its own parameters, and the graphs that exporters make of it, written by hand."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.datatypes import Array
from models.importing.trained import TrainedLayer, TrainedParameters, TrainedWeight

EPS = 2e-3


def layer(name: str, channels: int, seed: int, eps: float | None = EPS) -> TrainedLayer:
    random = np.random.default_rng(seed)

    def single(values: Array) -> Array:
        return values.astype(np.float32).astype(np.float64)

    return TrainedLayer(
        name,
        gamma=single(random.uniform(0.5, 2, channels) * np.where(np.arange(channels) % 2, 1, -1)),
        beta=single(random.normal(size=channels)),
        mean=single(random.normal(size=channels)),
        var=single(random.uniform(0.5, 2, channels)),
        eps=eps,
        momentum=0.99,
    )


def scale_shift(found: TrainedLayer, eps: float = EPS) -> tuple[Array, Array]:
    """As an exporter computes it, in float32."""
    gamma, beta, mean, var = (values.astype(np.float32) for values in (found.gamma, found.beta, found.mean, found.var))
    scale = gamma / np.sqrt(var + np.float32(eps))
    return scale, beta - mean * scale


@dataclass
class Graph:
    """Writes a graph with one input `x` and one output `y`, float32."""

    shape: tuple[int, ...]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    last: str = "x"

    def op(self, op_type: str, *constants: Array, name: str = "", **attributes: object) -> "Graph":
        """Apply a node to the last tensor and constants."""
        names = [f"c{len(self.constants) + index}" for index in range(len(constants))]
        self.constants |= dict(zip(names, (np.asarray(values, np.float32) for values in constants), strict=True))
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, [self.last, *names], [output], name=name or output, **attributes))
        self.last = output
        return self

    def model(self, producer: str = "") -> onnx.ModelProto:
        nodes = [*self.nodes, helper.make_node("Identity", [self.last], ["y"], name="end")]
        graph = helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *self.shape])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, producer_name=producer
        )
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def weight(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def trained(*layers: TrainedLayer, **weights: Array | tuple[Array, Array]) -> TrainedParameters:
    """Parameters; a weight may come with its bias."""
    return TrainedParameters(
        "net.safetensors",
        layers,
        tuple(
            TrainedWeight(name, *(value if isinstance(value, tuple) else (value,))) for name, value in weights.items()
        ),
    )
