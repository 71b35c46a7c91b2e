"""Small graphs around batch-normalisation layers, one for each way in which a layer can fold or not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from models.datatypes import Array


class Graph:
    """Writes a graph node by node; `op` returns the name of what it computes. All weights are random, all seeded."""

    def __init__(self, seed: int = 0, *, batch: str | int = "batch") -> None:
        self.random = np.random.default_rng(seed)
        self.batch = batch
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.inputs: dict[str, tuple[int | str, ...]] = {}

    def input(self, *shape: int | str, name: str = "x") -> str:
        self.inputs[name] = (self.batch, *shape)
        return name

    def op(self, op_type: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any) -> str:
        name = name or f"{op_type.lower()}{len(self.nodes)}"
        names = [f"{name}_out", *(f"{name}_out{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, name=name, **attributes))
        return names[0]

    def constant(self, value: Any, name: str = "") -> str:
        name = name or f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def weight(self, *shape: int, name: str = "") -> str:
        return self.constant(self.random.normal(size=shape), name)

    def positive(self, *shape: int, name: str = "") -> str:
        return self.constant(self.random.uniform(0.5, 2.0, size=shape), name)

    def bn(
        self, x: str, channels: int, name: str = "bn", *, sign: int = 0, shift: bool = True, **attributes: Any
    ) -> str:
        """A layer whose scales have both signs, or all that of `sign`; without `shift` it only multiplies."""
        if f"{name}.weight" not in self.constants:
            gamma = self.random.uniform(0.5, 2.0, channels) * (sign or np.where(np.arange(channels) % 2, 1, -1))
            self.constant(gamma, f"{name}.weight")
            self.constant(self.random.normal(size=channels) * shift, f"{name}.bias")
            self.constant(self.random.normal(size=channels) * shift, f"{name}.running_mean")
            self.positive(channels, name=f"{name}.running_var")
        parameters = [f"{name}.{key}" for key in ("weight", "bias", "running_mean", "running_var")]
        node_name = f"{name}_{sum(node.op_type == 'BatchNormalization' for node in self.nodes)}"
        return self.op("BatchNormalization", x, *parameters, name=node_name, **{"epsilon": 1e-3, **attributes})

    def conv(self, x: str, channels: int, out: int, kernel: int = 3, rank: int = 2, **attributes: Any) -> str:
        weight = self.weight(out, channels // attributes.get("group", 1), *[kernel] * rank)
        return self.op("Conv", x, weight, **attributes)

    def gemm(self, x: str, channels: int, out: int) -> str:
        return self.op("Gemm", x, self.weight(channels, out), self.weight(out))

    def model(self, *outputs: str, dtype: type = np.float64, opset: int = 20, ir_version: int = 9) -> onnx.ModelProto:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        graph = helper.make_graph(
            self.nodes,
            "case",
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in self.inputs.items()],
            [helper.make_tensor_value_info(name, kind, None) for name in outputs],
            [
                numpy_helper.from_array(value.astype(dtype) if value.dtype == np.float64 else value, name)
                for name, value in self.constants.items()
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
        # Only the shapes of the outputs are kept: the checker asks for them.
        shaped = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output
        del model.graph.output[:]
        model.graph.output.extend(shaped)
        return model


Build = Callable[[Graph], str | tuple[str, ...]]


@dataclass(frozen=True)
class Case:
    """A graph, and what should become of its layers.

    Attributes:
        kinds: of the placements, in topological order.
        reason: part of the reason why the first kept layer is kept.
    """

    title: str
    build: Build
    kinds: tuple[str, ...]
    reason: str = ""

    def model(self, dtype: type = np.float64) -> onnx.ModelProto:
        graph = Graph()
        outputs = self.build(graph)
        return graph.model(*([outputs] if isinstance(outputs, str) else outputs), dtype=dtype)


CASES: dict[str, Case] = {}


def case(title: str, *kinds: str, reason: str = "") -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        CASES[build.__name__] = Case(title, build, kinds, reason)
        return build

    return register


BACK, FORWARD, KEPT = "folded_back", "folded_forward", "kept"

# Into the weights before it


@case("Conv 1d", BACK)
def conv1d(g: Graph) -> str:
    return g.bn(g.conv(g.input(3, 9), 3, 4, rank=1, pads=[1, 1]), 4)


@case("Conv 2d", BACK)
def conv2d(g: Graph) -> str:
    return g.bn(g.conv(g.input(3, 6, 5), 3, 4, pads=[1, 1, 1, 1], strides=[2, 1]), 4)


@case("Conv 2d with bias", BACK)
def conv2d_bias(g: Graph) -> str:
    return g.bn(g.op("Conv", g.input(3, 6, 5), g.weight(4, 3, 3, 3), g.weight(4)), 4)


@case("Conv 3d", BACK)
def conv3d(g: Graph) -> str:
    return g.bn(g.conv(g.input(2, 4, 4, 4), 2, 3, rank=3), 3)


@case("Conv, grouped", BACK)
def conv_grouped(g: Graph) -> str:
    return g.bn(g.conv(g.input(4, 5, 5), 4, 6, group=2), 6)


@case("Conv, depthwise", BACK)
def conv_depthwise(g: Graph) -> str:
    return g.bn(g.conv(g.input(4, 5, 5), 4, 4, group=4, pads=[1, 1, 1, 1]), 4)


@case("ConvTranspose", BACK)
def conv_transpose(g: Graph) -> str:
    return g.bn(g.op("ConvTranspose", g.input(3, 4, 4), g.weight(3, 2, 3, 3), strides=[2, 2]), 2)


@case("ConvTranspose, groups=2", BACK)
def conv_transpose_grouped(g: Graph) -> str:
    return g.bn(g.op("ConvTranspose", g.input(4, 4, 4), g.weight(4, 3, 3, 3), g.weight(6), group=2), 6)


@case("Gemm (MLP)", BACK)
def gemm(g: Graph) -> str:
    return g.bn(g.gemm(g.input(5), 5, 4), 4)


@case("Gemm, alpha, beta, transB", BACK)
def gemm_scaled(g: Graph) -> str:
    return g.bn(g.op("Gemm", g.input(5), g.weight(4, 5), g.weight(1, 4), alpha=0.5, beta=2.0, transB=1), 4)


@case("MatMul", BACK)
def mat_mul(g: Graph) -> str:
    return g.bn(g.op("MatMul", g.input(5), g.weight(5, 4)), 4)


@case("MatMul + Add", BACK)
def mat_mul_add(g: Graph) -> str:
    return g.bn(g.op("Add", g.op("MatMul", g.input(5), g.weight(5, 4)), g.weight(4)), 4)


@case("MatMul, constant on the left", BACK)
def mat_mul_left(g: Graph) -> str:
    return g.bn(g.op("MatMul", g.weight(4, 5), g.input(5, 3)), 4)


@case("MatMul 3-D + Add -> Transpose", BACK)
def linear_transpose(g: Graph) -> str:
    linear = g.op("Add", g.weight(4), g.op("MatMul", g.input(3, 5), g.weight(5, 4)))
    return g.bn(g.op("Transpose", linear, perm=[0, 2, 1]), 4)


@case("MatMul 3-D -> Reshape, free lengths", BACK)
def linear_reshape(g: Graph) -> str:
    linear = g.op("MatMul", g.input("length", 5), g.weight(5, 4))
    return g.bn(g.op("Reshape", linear, g.constant([-1, 4])), 4)


@case("Gemm -> Reshape to maps", BACK)
def gemm_reshape(g: Graph) -> str:
    return g.bn(g.op("Reshape", g.gemm(g.input(5), 5, 12), g.constant([-1, 3, 2, 2])), 3)


@case("Conv -> Flatten, 1 x 1 maps", BACK)
def conv_flatten(g: Graph) -> str:
    return g.bn(g.op("Flatten", g.conv(g.input(3, 3, 3), 3, 4)), 4)


@case("Gemm -> Unsqueeze, Squeeze", BACK)
def unsqueeze(g: Graph) -> str:
    wide = g.op("Unsqueeze", g.gemm(g.input(5), 5, 4), g.constant([2, 3]))
    return g.bn(g.op("Squeeze", wide, g.constant([3])), 4)


@case("Conv -> AveragePool", BACK)
def average_pool(g: Graph) -> str:
    return g.bn(g.op("AveragePool", g.conv(g.input(3, 7, 7), 3, 4), kernel_shape=[2, 2], strides=[2, 2]), 4)


@case("Conv -> AveragePool, padding not counted", BACK)
def average_pool_padded(g: Graph) -> str:
    pool = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 0, 0]}
    return g.bn(g.op("AveragePool", g.conv(g.input(3, 7, 7), 3, 4), **pool), 4)


@case("Conv -> AveragePool, ceil_mode", BACK)
def average_pool_ceil(g: Graph) -> str:
    pool = {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}
    return g.bn(g.op("AveragePool", g.conv(g.input(3, 7, 7), 3, 4), **pool), 4)


@case("Conv -> GlobalAveragePool", BACK)
def global_average_pool(g: Graph) -> str:
    return g.bn(g.op("GlobalAveragePool", g.conv(g.input(3, 5, 5), 3, 4)), 4)


@case("Conv -> ReduceMean over positions", BACK)
def reduce_mean(g: Graph) -> str:
    return g.bn(g.op("ReduceMean", g.conv(g.input(3, 5, 5), 3, 4), g.constant([-1, 2]), keepdims=0), 4)


@case("MatMul -> ReduceMean over positions", BACK)
def reduce_mean_middle(g: Graph) -> str:
    linear = g.op("MatMul", g.input(3, 5), g.weight(5, 4))
    return g.bn(g.op("ReduceMean", linear, g.constant([1]), keepdims=0), 4)


@case("Conv -> MaxPool, no negative scale", BACK)
def max_pool(g: Graph) -> str:
    pool = g.op("MaxPool", g.conv(g.input(3, 6, 6), 3, 4), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return g.bn(pool, 4, sign=1)


@case("Conv -> GlobalMaxPool, no negative scale", BACK)
def global_max_pool(g: Graph) -> str:
    return g.bn(g.op("GlobalMaxPool", g.conv(g.input(3, 5, 5), 3, 4)), 4, sign=1)


@case("Concat of channels", BACK)
def concat(g: Graph) -> str:
    x = g.input(3, 5, 5)
    return g.bn(g.op("Concat", g.conv(x, 3, 2), g.conv(x, 3, 4), axis=1), 6)


@case("Concat of positions", BACK)
def concat_positions(g: Graph) -> str:
    x = g.input(3, 5, 5)
    return g.bn(g.op("Concat", g.conv(x, 3, 4), g.conv(x, 3, 4), axis=-1), 4)


@case("Conv -> Identity -> Dropout", BACK)
def identity(g: Graph) -> str:
    return g.bn(g.op("Dropout", g.op("Identity", g.conv(g.input(3, 5, 5), 3, 4))), 4)


@case("Conv -> Mul -> Add (Keras style)", BACK)
def conv_mul_add(g: Graph) -> str:
    scaled = g.op("Mul", g.conv(g.input(3, 5, 5), 3, 4), g.weight(4, 1, 1))
    return g.bn(g.op("Add", scaled, g.weight(1, 4, 1, 1)), 4)


@case("Conv -> Mul", BACK)
def conv_mul(g: Graph) -> str:
    return g.bn(g.op("Mul", g.constant(2.0), g.conv(g.input(3, 5, 5), 3, 4)), 4)


@case("Conv -> Div -> Sub", BACK)
def conv_div_sub(g: Graph) -> str:
    divided = g.op("Div", g.conv(g.input(3, 5, 5), 3, 4), g.positive(4, 1, 1))
    return g.bn(g.op("Sub", divided, g.weight(4, 1, 1)), 4)


@case("constant - Conv", BACK)
def sub_from_constant(g: Graph) -> str:
    return g.bn(g.op("Sub", g.constant(0.5), g.conv(g.input(3, 5, 5), 3, 4)), 4)


@case("Add of two Convs", BACK)
def add_branches(g: Graph) -> str:
    x = g.input(3, 5, 5)
    return g.bn(g.op("Add", g.conv(x, 3, 4), g.conv(x, 3, 4)), 4)


@case("Sub of Conv and pooled Conv", BACK)
def sub_branches(g: Graph) -> str:
    x = g.input(3, 5, 5)
    return g.bn(g.op("Sub", g.op("GlobalAveragePool", g.conv(x, 3, 4)), g.conv(x, 3, 4)), 4)


@case("one Conv weight used twice", BACK, BACK)
def shared_conv(g: Graph) -> tuple[str, str]:
    x, weight = g.input(3, 5, 5), g.weight(4, 3, 3, 3)
    return g.bn(g.op("Conv", x, weight), 4, "first"), g.bn(g.op("Conv", x, weight), 4, "second")


@case("one Conv and BN run twice", BACK, BACK)
def shared_layer(g: Graph) -> str:
    weight = g.weight(3, 3, 3, 3)
    once = g.op("Relu", g.bn(g.op("Conv", g.input(3, 7, 7), weight), 3))
    return g.bn(g.op("Conv", once, weight), 3)


@case("residual block, BN on both branches and the sum", BACK, BACK, BACK)
def residual(g: Graph) -> str:
    x = g.input(3, 5, 5)
    total = g.op("Add", g.bn(g.conv(x, 3, 4), 4, "left"), g.bn(g.conv(x, 3, 4), 4, "right"))
    return g.op("Relu", g.bn(total, 4, "sum"))


@case("Conv -> BN -> BN", BACK, BACK)
def bn_bn(g: Graph) -> str:
    return g.bn(g.bn(g.conv(g.input(3, 5, 5), 3, 4), 4, "first"), 4, "second")


@case("Conv -> BN -> AveragePool -> BN", BACK, BACK)
def bn_pool_bn(g: Graph) -> str:
    first = g.bn(g.conv(g.input(3, 6, 6), 3, 4), 4, "first")
    return g.bn(g.op("AveragePool", first, kernel_shape=[2, 2]), 4, "second")


@case("Conv -> BN -> Flatten -> BN over features", BACK, KEPT, reason="the channels move to axes 1, 2, 3")
def bn_flatten_bn(g: Graph) -> str:
    first = g.bn(g.conv(g.input(3, 4, 4), 3, 2), 2, "first")
    return g.bn(g.op("Flatten", first), 8, "second")


@case("channels of a free-length signal", BACK)
def free_length(g: Graph) -> str:
    wide = g.op("Unsqueeze", g.conv(g.input(3, "length"), 3, 4, rank=1), g.constant([2]))
    return g.bn(wide, 4)


@case("raw torch export, bias of zeros computed in the graph", BACK)
def computed_bias(g: Graph) -> str:
    """A convolution without bias, as torch exports it with optimize=False."""
    x, weight = g.input(3, 5, 5), g.weight(4, 3, 3, 3)
    zero = g.op("CastLike", g.op("Constant", value_float=0.0), x)
    length = g.op("Expand", g.op("Shape", weight, start=0, end=1), g.op("Constant", value_ints=[1]))
    return g.bn(g.op("Conv", x, weight, g.op("Expand", zero, length)), 4)


@case("raw torch export, layer without scale and shift", BACK)
def computed_scale(g: Graph) -> str:
    """A layer with affine=False, as torch exports it with optimize=False."""
    x = g.conv(g.input(3, 5, 5), 3, 4)
    parameters = [
        g.op("Expand", g.op("CastLike", g.op("Constant", value_floats=[value]), x), g.op("Shape", x, start=1, end=2))
        for value in (1.0, 0.0)
    ]
    return g.op("BatchNormalization", x, *parameters, g.weight(4, name="bn.mean"), g.positive(4, name="bn.var"))


# Into the weights after it


@case("BN -> Gemm", FORWARD)
def bn_gemm(g: Graph) -> str:
    return g.gemm(g.bn(g.input(5), 5), 5, 4)


@case("Relu -> BN -> Gemm, alpha, beta, transB", FORWARD)
def relu_bn_gemm(g: Graph) -> str:
    x = g.bn(g.op("Relu", g.input(5)), 5)
    return g.op("Gemm", x, g.weight(4, 5), g.weight(4), alpha=0.5, beta=2.0, transB=1)


@case("Relu -> BN -> Gemm without bias", FORWARD)
def relu_bn_gemm_no_bias(g: Graph) -> str:
    return g.op("Gemm", g.bn(g.op("Relu", g.input(5)), 5), g.weight(5, 4))


@case("Relu -> BN -> Transpose -> MatMul", FORWARD)
def bn_mat_mul(g: Graph) -> str:
    x = g.op("Transpose", g.bn(g.op("Relu", g.input(5, 3)), 5), perm=[0, 2, 1])
    return g.op("MatMul", x, g.weight(5, 4))


@case("Relu -> BN -> MatMul, constant on the left", FORWARD)
def bn_mat_mul_left(g: Graph) -> str:
    return g.op("MatMul", g.weight(4, 5), g.bn(g.op("Relu", g.input(5, 3)), 5))


@case("Relu -> BN -> Transpose -> MatMul by a stack", FORWARD)
def bn_mat_mul_stack(g: Graph) -> str:
    x = g.op("Transpose", g.bn(g.op("Relu", g.input(5, 2, 3)), 5), perm=[0, 2, 3, 1])
    return g.op("MatMul", x, g.weight(2, 5, 4))


@case("Relu -> BN -> Conv, no padding", FORWARD)
def bn_conv(g: Graph) -> str:
    return g.conv(g.bn(g.op("Relu", g.input(4, 5, 5)), 4), 4, 6, group=2, auto_pad="VALID")


@case("Relu -> BN without shift -> Conv, padded", FORWARD)
def bn_conv_padded_no_shift(g: Graph) -> str:
    return g.conv(g.bn(g.op("Relu", g.input(3, 5, 5)), 3, shift=False), 3, 4, pads=[1, 1, 1, 1])


@case("Relu -> BN without shift -> ConvTranspose", FORWARD)
def bn_conv_transpose_no_shift(g: Graph) -> str:
    x = g.bn(g.op("Relu", g.input(4, 4, 4)), 4, shift=False)
    return g.op("ConvTranspose", x, g.weight(4, 3, 3, 3), group=2)


@case("Relu -> BN -> pooling -> Flatten -> Gemm", FORWARD)
def bn_pool_flatten_gemm(g: Graph) -> str:
    x = g.bn(g.op("Relu", g.input(3, 6, 6)), 3, sign=1)
    x = g.op("AveragePool", g.op("MaxPool", x, kernel_shape=[2, 2]), kernel_shape=[2, 2])
    return g.gemm(g.op("Dropout", g.op("Flatten", x)), 48, 4)


@case("Relu -> BN -> GlobalAveragePool -> Reshape -> Gemm", FORWARD)
def bn_global_pool_gemm(g: Graph) -> str:
    x = g.op("GlobalAveragePool", g.bn(g.op("Relu", g.input(3, 4, 4)), 3))
    return g.gemm(g.op("Reshape", x, g.constant([-1, 3])), 3, 4)


@case("Relu -> BN -> ReduceMean -> Gemm", FORWARD)
def bn_reduce_mean_gemm(g: Graph) -> str:
    x = g.bn(g.op("Relu", g.input(3, 4, 4)), 3)
    return g.gemm(g.op("ReduceMean", x, g.constant([2, 3]), keepdims=0), 3, 4)


@case("Relu -> BN -> two Gemms of one weight", FORWARD)
def bn_two_gemms(g: Graph) -> tuple[str, str]:
    x, weight = g.bn(g.op("Relu", g.input(5)), 5), g.weight(5, 4)
    return g.op("Gemm", x, weight, g.weight(4)), g.op("Gemm", x, weight)


@case("Relu -> BN -> Mul by a constant for each position", FORWARD)
def bn_mul(g: Graph) -> str:
    return g.op("Mul", g.weight(3, 5, 1), g.bn(g.op("Relu", g.input(3, 5, 5)), 3))


@case("Relu -> BN -> Div -> Relu", FORWARD)
def bn_div(g: Graph) -> str:
    return g.op("Relu", g.op("Div", g.bn(g.op("Relu", g.input(3, 5, 5)), 3), g.positive(3, 1, 1)))


@case("Relu -> BN -> Add -> Sub -> padded Conv", FORWARD)
def bn_add_sub(g: Graph) -> str:
    total = g.op("Add", g.bn(g.op("Relu", g.input(3, 5, 5)), 3), g.weight(3, 1, 1))
    return g.conv(g.op("Sub", g.constant(0.5), total), 3, 4, pads=[1, 1, 1, 1])


@case("Relu -> BN -> Sub of a constant -> Gemm", FORWARD)
def bn_sub(g: Graph) -> str:
    return g.gemm(g.op("Sub", g.bn(g.op("Relu", g.input(5)), 5), g.weight(5)), 5, 4)


@case("Relu -> BN -> Add that adds an axis", KEPT, reason="Add 'add2' is between the layer and the weights after it")
def bn_add_axis(g: Graph) -> str:
    return g.op("Add", g.bn(g.op("Relu", g.input(4)), 4), g.weight(2, 1, 4), name="add2")


@case("Relu -> BN -> Conv -> BN", FORWARD, BACK)
def bn_conv_bn(g: Graph) -> str:
    x = g.bn(g.op("Relu", g.input(3, 5, 5)), 3, "first")
    return g.op("Relu", g.bn(g.conv(x, 3, 4), 4, "second"))


@case("Conv -> MaxPool -> BN -> Gemm, negative scale", FORWARD)
def max_pool_bn_gemm(g: Graph) -> str:
    pool = g.op("GlobalMaxPool", g.conv(g.input(3, 5, 5), 3, 4))
    return g.gemm(g.op("Flatten", g.bn(pool, 4)), 4, 2)


# Not exactly possible


@case("pre-activation block, first BN", KEPT, BACK, reason="forward: Relu 'relu2' is between")
def pre_activation(g: Graph) -> str:
    x = g.conv(g.input(3, 5, 5), 3, 3)
    inner = g.conv(g.op("Relu", g.bn(x, 3, "first"), name="relu2"), 3, 3, pads=[1, 1, 1, 1])
    return g.op("Relu", g.op("Add", x, g.bn(inner, 3, "second")))


# Into all weights around it


@case(
    "dense stream: three layers read a Conv, two of them its sum with others",
    *(KEPT, BACK, KEPT, BACK, BACK),
    reason="the best weights after it are wrong by",
)
def dense_stream(g: Graph) -> tuple[str, ...]:
    stream = [g.conv(g.input(3, 6, 6), 3, 4)]
    for block in range(3):
        x = g.op("Concat", *stream, axis=1) if block else stream[0]
        inner = g.conv(g.op("Relu", g.bn(x, 4 + 2 * block, f"norm{block}")), 4 + 2 * block, 3)
        if block < 2:
            inner = g.conv(g.op("Relu", g.bn(inner, 3, f"inner{block}")), 3, 2, pads=[2, 2, 2, 2])
        stream.append(inner)
    return (stream[-1],)


@case("BN on a branch that is added to a layer that is kept", KEPT, FORWARD, reason="zero padding")
def branch_added_to_a_kept_layer(g: Graph) -> str:
    x = g.bn(g.op("Relu", g.conv(g.input(3, 6, 6), 3, 4)), 4, "stem")
    inner = g.bn(g.op("Relu", g.conv(x, 4, 4, pads=[1, 1, 1, 1], group=4)), 4, "inner")
    return g.conv(g.op("Sub", x, inner), 4, 3, kernel=1)


@case("pre-activation blocks, positive scales", BACK, BACK, BACK)
def pre_activation_positive(g: Graph) -> str:
    x = g.conv(g.input(3, 5, 5), 3, 3)
    for block in range(2):
        inner = g.conv(g.op("Relu", g.bn(x, 3, f"block{block}", sign=1)), 3, 4, kernel=1)
        x = g.op("Add", x, g.conv(g.op("Relu", inner), 4, 3, kernel=1))
    return g.conv(g.op("Relu", g.bn(x, 3, "last", sign=1)), 3, 2)


@case("two Slices of a Conv, of which one is added and one is joined", KEPT, BACK, reason="in channel 3")
def dual_path(g: Graph) -> str:
    x = g.conv(g.input(3, 5, 5), 3, 5)
    inner = g.conv(g.op("Relu", g.bn(x, 5, "first")), 5, 5, kernel=1)
    (start, middle, end), axis = (g.constant(np.array([value])) for value in (0, 3, 9)), g.constant(np.array([1]))
    added = g.op("Add", g.op("Slice", x, start, middle, axis), g.op("Slice", inner, start, middle, axis))
    rest = [g.op("Slice", tensor, middle, end, axis) for tensor in (x, inner)]
    return g.conv(g.op("Relu", g.bn(g.op("Concat", added, *rest, axis=1), 7, "last")), 7, 2)


@case("two Slices of a Conv, each after one of all rows", KEPT, BACK, reason="in channel 3")
def dual_path_by_rows(g: Graph) -> str:
    x = g.conv(g.input(3, 5, 5), 3, 5)
    inner = g.conv(g.op("Relu", g.bn(x, 5, "first")), 5, 5, kernel=1)
    (zero, one, middle, end) = (g.constant(np.array([value])) for value in (0, 1, 3, 2**63 - 1))

    def part(tensor: str, start: str, stop: str) -> str:
        return g.op("Slice", g.op("Slice", tensor, zero, end, zero), start, stop, one)

    added = g.op("Add", part(x, zero, middle), part(inner, zero, middle))
    rest = [part(tensor, middle, end) for tensor in (x, inner)]
    return g.conv(g.op("Relu", g.bn(g.op("Concat", added, *rest, axis=1), 7, "last")), 7, 2)


@case("BN -> tokens of computed number -> MatMul, added to its input", FORWARD)
def attention_input(g: Graph) -> tuple[str, ...]:
    x = g.op("Sigmoid", g.conv(g.input(4, 6, 6), 4, 4))
    batch = g.op("Gather", g.op("Shape", x), g.constant(np.array([0])))
    dims = g.op("Concat", batch, g.constant(np.array([4, -1])), axis=0)
    tokens = g.op("Transpose", g.op("Reshape", g.bn(x, 4), dims), perm=[0, 2, 1])
    products = g.op("MatMul", tokens, g.weight(4, 4)), g.op("MatMul", tokens, g.weight(4, 4))
    scores = g.op("Softmax", g.op("MatMul", products[0], g.op("Transpose", products[1], perm=[0, 2, 1])))
    return scores, g.op("GlobalMaxPool", x)


@case("Relu before and after", KEPT, reason="backward: Relu 'relu0' is between the layer and the weights before it")
def relu_bn_relu(g: Graph) -> str:
    return g.op("Relu", g.bn(g.op("Relu", g.input(3, 4)), 3))


@case("Relu -> BN -> Conv, zero padding", KEPT, reason="the zero padding of Conv 'conv2' cannot take the shift")
def bn_conv_padded(g: Graph) -> str:
    return g.conv(g.bn(g.op("Relu", g.input(3, 5, 5)), 3), 3, 4, pads=[1, 1, 1, 1])


@case("Relu -> BN -> Conv, auto_pad", KEPT, reason="the zero padding of Conv 'conv2' cannot take the shift")
def bn_conv_auto_pad(g: Graph) -> str:
    return g.conv(g.bn(g.op("Relu", g.input(3, 5, 5)), 3), 3, 4, auto_pad="SAME_UPPER")


@case("Relu -> BN -> ConvTranspose", KEPT, reason="would add the shift unevenly")
def bn_conv_transpose(g: Graph) -> str:
    return g.op("ConvTranspose", g.bn(g.op("Relu", g.input(4, 4, 4)), 4), g.weight(4, 3, 3, 3))


@case("Conv output, of which the shape is read", BACK)
def conv_shape_read(g: Graph) -> str:
    conv = g.conv(g.input(3, 5, 5), 3, 4)
    flat = g.op("Gather", g.op("Shape", conv), g.constant(np.array([0])))
    shape = g.op("Concat", flat, g.constant(np.array([-1])), axis=0)
    return g.op("Reshape", g.bn(conv, 4), shape)


@case("BN output, of which the shape is read", FORWARD)
def bn_shape_read(g: Graph) -> str:
    normalised = g.bn(g.op("Relu", g.input(3, 5, 5)), 3)
    batch = g.op("Gather", g.op("Shape", normalised), g.constant(np.array([0])))
    flat = g.op("Concat", batch, g.constant(np.array([-1])), axis=0)
    return g.op("Reshape", g.conv(normalised, 3, 4), flat)


@case("Conv output used elsewhere", KEPT, reason="'conv0_out' is also used by Relu 'relu2'")
def conv_used_elsewhere(g: Graph) -> str:
    conv = g.conv(g.input(3, 5, 5), 3, 4)
    return g.op("Mul", g.bn(conv, 4), g.op("Relu", conv))


@case("Conv output is a graph output", KEPT, reason="'conv0_out' is also an output of the graph")
def conv_is_output(g: Graph) -> tuple[str, str]:
    conv = g.conv(g.input(3, 5, 5), 3, 4)
    return conv, g.bn(conv, 4)


@case("Conv -> MaxPool, negative scale", KEPT, reason="the scale of channel")
def max_pool_negative(g: Graph) -> str:
    return g.bn(g.op("MaxPool", g.conv(g.input(3, 6, 6), 3, 4), kernel_shape=[2, 2]), 4)


@case("Conv -> AveragePool, padding counted", KEPT, reason="the zero padding of AveragePool 'averagepool1' cannot take")
def average_pool_counted(g: Graph) -> str:
    pool = {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    return g.bn(g.op("AveragePool", g.conv(g.input(3, 7, 7), 3, 4), **pool), 4)


@case(
    "graph input -> BN -> graph output", KEPT, reason="backward: 'x' is an input of the graph; forward: 'bn_0_out' is"
)
def bn_alone(g: Graph) -> str:
    return g.bn(g.input(3, 4, 4), 3)


@case("Conv with computed weights", KEPT, reason="input 'w_out' of Conv 'conv1' is not a constant")
def conv_computed_weight(g: Graph) -> str:
    weight = g.op("Sin", g.weight(4, 3, 3, 3), name="w")
    return g.bn(g.op("Conv", g.input(3, 5, 5), weight), 4)


@case("Conv with weight normalisation", BACK)
def conv_weight_norm(g: Graph) -> str:
    direction = g.weight(4, 3, 3, 3)
    norm = g.op("ReduceL2", direction, g.constant([1, 2, 3]), keepdims=1)
    weight = g.op("Mul", g.op("Div", direction, norm), g.positive(4, 1, 1, 1))
    return g.bn(g.op("Conv", g.input(3, 5, 5), weight), 4)


@case("MatMul by a transposed weight, tokens -> Reshape", BACK)
def mat_mul_tokens(g: Graph) -> str:
    tokens = g.op("MatMul", g.input(6, 3), g.op("Transpose", g.weight(4, 3), perm=[1, 0]))
    return g.bn(g.op("Reshape", tokens, g.constant([-1, 4])), 4)


@case("ReduceMean over computed axes", BACK)
def reduce_mean_computed_axes(g: Graph) -> str:
    axes = g.op("Concat", g.constant([2]), g.constant([3]), axis=0)
    mean = g.bn(g.op("ReduceMean", g.conv(g.input(3, 5, 5), 3, 4), axes, keepdims=0), 4)
    return g.gemm(g.op("Relu", mean), 4, 2)


@case("Conv -> Slice of positions", BACK)
def slice_positions(g: Graph) -> str:
    ends = (g.constant([0]), g.constant([-2]), g.constant([2]))
    return g.bn(g.op("Slice", g.conv(g.input(3, 5, 5), 3, 4), *ends), 4)


@case("Conv -> Slice of channels", BACK)
def slice_channels(g: Graph) -> str:
    ends = (g.constant([0]), g.constant([2]), g.constant([1]))
    return g.bn(g.op("Slice", g.conv(g.input(3, 5, 5), 3, 4), *ends), 2)


@case("Conv -> Gather of a position -> BN over tokens", BACK)
def gather_position(g: Graph) -> str:
    return g.bn(g.op("Gather", g.conv(g.input(3, 5, 5), 3, 4), g.constant(1), axis=2), 4)


@case("Relu -> BN -> Gather of positions -> Conv", FORWARD)
def bn_gather(g: Graph) -> str:
    x = g.op("Gather", g.bn(g.op("Relu", g.input(3, 5)), 3), g.constant([[0, 1], [3, 2]]), axis=2)
    return g.conv(x, 3, 4, kernel=1)


@case("Conv -> Gather of channels", BACK)
def gather_channels(g: Graph) -> str:
    return g.bn(g.op("Gather", g.conv(g.input(3, 5, 5), 3, 4), g.constant([0, 2]), axis=1), 2)


@case("Conv -> nearest Resize", BACK)
def resize_nearest(g: Graph) -> str:
    conv = g.conv(g.input(3, 5, 5), 3, 4)
    return g.bn(g.op("Resize", conv, "", "", g.constant([6, 6]), mode="nearest", axes=[2, 3]), 4)


@case("Relu -> BN -> linear Resize -> Conv", FORWARD)
def bn_resize(g: Graph) -> str:
    x = g.op("Resize", g.bn(g.op("Relu", g.input(3, 4, 4)), 3), "", "", g.constant([8, 8]), mode="linear", axes=[2, 3])
    return g.conv(x, 3, 4)


@case("Resize that extrapolates", KEPT, reason="Resize 'resize1' may see values that are not in its input")
def resize_crop(g: Graph) -> str:
    conv = g.conv(g.input(3, 5, 5), 3, 4)
    region, sizes = g.constant([0.0, 0.0, 1.5, 1.5]), g.constant([6, 6])
    options = {"mode": "linear", "axes": [2, 3], "coordinate_transformation_mode": "tf_crop_and_resize"}
    return g.bn(g.op("Resize", conv, region, "", sizes, **options), 4)


@case("Conv -> reflect Pad", BACK)
def pad_reflect(g: Graph) -> str:
    return g.bn(g.op("Pad", g.conv(g.input(3, 5, 5), 3, 4), g.constant([0, 0, 1, 1, 0, 0, 1, 1]), mode="reflect"), 4)


@case("Conv -> reflect Pad by computed numbers", BACK)
def pad_computed(g: Graph) -> str:
    zeros = g.op("ConstantOfShape", g.constant([2]), value=numpy_helper.from_array(np.zeros(1, np.int64)))
    pads = g.op("Concat", zeros, g.constant([1, 1]), zeros, g.constant([1, 1]), axis=0)
    return g.bn(g.op("Pad", g.conv(g.input(3, 5, 5), 3, 4), pads, mode="reflect"), 4)


@case("Relu -> BN -> edge Pad -> Conv", FORWARD)
def bn_pad(g: Graph) -> str:
    x = g.bn(g.op("Relu", g.input(3, 5, 5)), 3)
    return g.conv(g.op("Pad", x, g.constant([0, 0, 1, 1, 0, 0, 1, 1]), mode="edge"), 3, 4)


@case("Relu -> BN -> zero Pad -> Conv", KEPT, reason="Pad 'pad2' pads every channel with 0, and channel")
def bn_pad_zeros(g: Graph) -> str:
    x = g.bn(g.op("Relu", g.input(3, 5, 5)), 3)
    return g.conv(g.op("Pad", x, g.constant([0, 0, 1, 1, 0, 0, 1, 1]), name="pad2"), 3, 4)


@case("BN without shift -> Pad with ones -> Conv", KEPT, reason="Pad 'pad2' pads every channel with 1, and channel")
def bn_pad_ones(g: Graph) -> str:
    x = g.bn(g.op("Relu", g.input(3, 5, 5)), 3, shift=False)
    return g.conv(g.op("Pad", x, g.constant([0, 0, 1, 1, 0, 0, 1, 1]), g.constant(1.0), name="pad2"), 3, 4)


def _equal_layer(g: Graph, x: str, channels: int) -> str:
    for key, value in {"weight": 1.5, "bias": -0.5, "running_mean": 0.25, "running_var": 0.81}.items():
        g.constant(np.full(channels, value), f"bn.{key}")
    return g.bn(x, channels)


@case("Conv -> Pad with ones -> BN, equal channels", BACK)
def pad_equal_channels(g: Graph) -> str:
    padded = g.op("Pad", g.conv(g.input(3, 5, 5), 3, 4), g.constant([1, 2, 0, 1]), g.constant(1.0), g.constant([2, 3]))
    return _equal_layer(g, padded, 4)


@case("Relu -> BN, equal channels -> zero Pad -> Conv", FORWARD)
def bn_pad_equal_channels(g: Graph) -> str:
    x = _equal_layer(g, g.op("Relu", g.input(3, 5, 5)), 3)
    return g.conv(g.op("Pad", x, g.constant([0, 0, 1, 1, 0, 0, 1, 1])), 3, 4)


@case("Conv -> zero Pad -> BN", KEPT, reason="backward: Pad 'pad1' pads every channel with 0, and channel")
def pad_zeros(g: Graph) -> str:
    padded = g.op("Pad", g.conv(g.input(3, 5, 5), 3, 4), g.constant([0, 0, 1, 1, 0, 0, 1, 1]), name="pad1")
    return g.op("Relu", g.bn(padded, 4))


@case("Conv -> reflect Pad of the channels", KEPT, reason="Pad 'pad1' changes the number of channels")
def pad_channels(g: Graph) -> str:
    return g.bn(g.op("Pad", g.conv(g.input(3, 5, 5), 3, 4), g.constant([0, 1, 0, 0, 0, 1, 0, 0]), mode="reflect"), 6)


@case("Conv -> DepthToSpace", BACK)
def depth_to_space(g: Graph) -> str:
    return g.bn(g.op("DepthToSpace", g.conv(g.input(3, 5, 5), 3, 8), blocksize=2), 2)


@case("Conv -> DepthToSpace, channels first", BACK)
def depth_to_space_crd(g: Graph) -> str:
    return g.bn(g.op("DepthToSpace", g.conv(g.input(3, 5, 5), 3, 8), blocksize=2, mode="CRD"), 2)


@case("Relu -> BN -> SpaceToDepth -> Conv", FORWARD)
def bn_space_to_depth(g: Graph) -> str:
    return g.conv(g.op("SpaceToDepth", g.bn(g.op("Relu", g.input(3, 6, 6)), 3), blocksize=2), 12, 4)


@case("Conv -> SpaceToDepth", KEPT, reason="SpaceToDepth 'spacetodepth1' mixes channels with positions")
def space_to_depth(g: Graph) -> str:
    return g.bn(g.op("SpaceToDepth", g.conv(g.input(3, 6, 6), 3, 2), blocksize=2), 8)


@case("BN beside another branch -> Concat -> Conv", FORWARD)
def bn_concat(g: Graph) -> str:
    x = g.input(3, 5, 5)
    both = g.op("Concat", g.op("Abs", x), g.bn(g.op("Relu", x), 3), g.op("Neg", x), axis=1)
    return g.conv(both, 9, 4)


@case("BN -> Concat of positions", KEPT, reason="Concat 'concat3' puts other values beside those of each channel")
def bn_concat_positions(g: Graph) -> str:
    x = g.op("Relu", g.input(3, 5, 5))
    return g.conv(g.op("Concat", g.bn(x, 3), g.op("Abs", x), axis=2, name="concat3"), 3, 4)


@case("MatMul of two computed tensors", KEPT, reason="backward: 'x' is also used by Transpose 't'")
def mat_mul_computed(g: Graph) -> str:
    x = g.input(4, 4)
    return g.bn(g.op("MatMul", x, g.op("Transpose", x, perm=[0, 2, 1], name="t")), 4)


@case("Mul of two computed tensors", KEPT, reason="Mul 'mul1' multiplies two computed tensors: its values")
def mul_computed(g: Graph) -> str:
    x = g.input(4, 4)
    return g.bn(g.op("Mul", x, g.op("Sigmoid", x)), 4)


@case("Add of a Conv and a single channel", KEPT, reason="broadcasts 'conv1_out' over the channels")
def add_broadcast(g: Graph) -> str:
    x = g.input(3, 5, 5)
    return g.bn(g.op("Add", g.conv(x, 3, 4), g.conv(x, 3, 1)), 4)


@case("one branch of the sum is the graph input", KEPT, reason="'x' is also used by")
def add_input(g: Graph) -> str:
    x = g.input(3, 5, 5)
    return g.bn(g.op("Add", g.conv(x, 3, 3, pads=[1, 1, 1, 1]), x), 3)


@case("MatMul -> ReduceMean over channels", KEPT, reason="ReduceMean 'reducemean1' averages over the channels")
def reduce_mean_channels(g: Graph) -> str:
    linear = g.op("MatMul", g.input(3, 5), g.weight(5, 4))
    return g.bn(g.op("ReduceMean", linear, g.constant([1]), keepdims=1), 1)


@case("Conv -> Split, a layer on one half", BACK)
def split(g: Graph) -> tuple[str, str]:
    half = g.op("Split", g.conv(g.input(3, 5, 5), 3, 5), outputs=2, axis=1, num_outputs=2)
    return g.bn(half, 3), g.op("Relu", f"{half}1")


@case("Conv -> Split, a layer on each part", BACK, BACK)
def split_both(g: Graph) -> str:
    sizes = g.constant([3, 1])
    part = g.op("Split", g.conv(g.input(3, 5, 5), 3, 4), sizes, outputs=2, axis=1)
    return g.op("Mul", g.bn(part, 3, "first"), g.bn(f"{part}1", 1, "second"))


@case("Conv -> Split of positions", KEPT, reason="the channels move to axes 1, 2, and the weights")
def split_positions(g: Graph) -> str:
    half = g.op("Split", g.conv(g.input(3, 6, 5), 3, 4), outputs=2, axis=2, num_outputs=2)
    return g.op("Mul", g.bn(half, 4), f"{half}1")


@case("Relu -> BN -> Split -> two Convs", FORWARD)
def bn_split(g: Graph) -> str:
    half = g.op("Split", g.bn(g.op("Relu", g.input(4, 5, 5)), 4), outputs=2, axis=1, num_outputs=2)
    return g.op("Mul", g.conv(half, 2, 3), g.conv(f"{half}1", 2, 3))


@case("Relu -> BN -> Split of positions -> two Convs", FORWARD)
def bn_split_positions(g: Graph) -> str:
    half = g.op("Split", g.bn(g.op("Relu", g.input(4, 6, 5)), 4), outputs=2, axis=2, num_outputs=2)
    return g.op("Mul", g.conv(half, 4, 3), g.conv(f"{half}1", 4, 3))


@case("Relu -> BN -> Slice of channels, backwards -> Conv", FORWARD)
def bn_slice_channels(g: Graph) -> str:
    ends = (g.constant([-1]), g.constant([-(2**31)]), g.constant([1]), g.constant([-2]))
    return g.conv(g.op("Slice", g.bn(g.op("Relu", g.input(5, 5, 5)), 5), *ends), 3, 4)


@case("Conv -> two Slices of other channels, a layer on each", BACK, BACK)
def slices_apart(g: Graph) -> str:
    conv, axis = g.conv(g.input(3, 5, 5), 3, 4), g.constant([1])
    first = g.op("Slice", conv, g.constant([0]), g.constant([2]), axis)
    second = g.op("Slice", conv, g.constant([2]), g.constant([4]), axis)
    return g.op("Mul", g.bn(first, 2, "first"), g.bn(second, 2, "second"))


@case("Conv -> two Slices of a shared channel", KEPT, reason="'conv0_out' is also used by Slice")
def slices_overlap(g: Graph) -> str:
    conv, axis = g.conv(g.input(3, 5, 5), 3, 3), g.constant([1])
    first = g.op("Slice", conv, g.constant([0]), g.constant([2]), axis)
    return g.op("Mul", g.bn(first, 2), g.op("Slice", conv, g.constant([1]), g.constant([3]), axis))


@case("Conv -> Slice of a half, whose size is computed from the number of channels", BACK)
def slice_computed(g: Graph) -> str:
    """As torch's older exporter writes `chunk`; the number of rows is free."""
    conv = g.conv(g.input(3, 5, 5), 3, 4)
    channels = g.op("Gather", g.op("Shape", conv), g.constant([1]))
    half = g.op("Div", channels, g.constant([2]))
    return g.bn(g.op("Slice", conv, half, channels, g.constant([1])), 2)


@case("Conv -> SplitToSequence of channels, a layer on each part", BACK, BACK)
def sequence_of_channels(g: Graph) -> str:
    sequence = g.op("SplitToSequence", g.conv(g.input(3, 5, 5), 3, 4), g.constant([3, 1]), axis=1)
    first, second = (g.op("SequenceAt", sequence, g.constant(index)) for index in (0, -1))
    return g.op("Mul", g.bn(first, 3, "first"), g.bn(second, 1, "second"))


@case("Relu -> BN -> SplitToSequence of equal parts -> Convs", FORWARD)
def bn_sequence(g: Graph) -> str:
    sequence = g.op("SplitToSequence", g.bn(g.op("Relu", g.input(5, 5, 5)), 5), g.constant(2), axis=1)
    last = g.op("SequenceAt", sequence, g.constant(2))
    return g.op("Mul", g.conv(g.op("SequenceAt", sequence, g.constant(1)), 2, 3), g.conv(last, 1, 3))


@case("Conv -> unbind of positions -> BN", BACK)
def unbind(g: Graph) -> str:
    sequence = g.op("SplitToSequence", g.conv(g.input(3, 5, 5), 3, 4), axis=2, keepdims=0)
    return g.bn(g.op("SequenceAt", sequence, g.constant(1)), 4)


@case(
    "Conv -> Gather of a channel twice", KEPT, reason="takes a channel twice, and its two copies are normalised differ"
)
def gather_twice(g: Graph) -> str:
    return g.bn(g.op("Gather", g.conv(g.input(3, 5, 5), 3, 4), g.constant([0, 0, -1]), axis=1), 3)


@case("Conv + Conv -> Relu -> BN of positive scales", BACK)
def relu_scale(g: Graph) -> str:
    x = g.input(3, 5, 5)
    return g.bn(g.op("Add", g.conv(x, 3, 4), g.op("Relu", g.conv(x, 3, 4))), 4, sign=1)


@case("Relu -> BN of positive scales without shift -> LeakyRelu -> padded Conv", FORWARD)
def bn_leaky_relu(g: Graph) -> str:
    x = g.bn(g.op("Abs", g.input(3, 5, 5)), 3, sign=1, shift=False)
    return g.conv(g.op("LeakyRelu", x, alpha=0.1), 3, 4, pads=[1, 1, 1, 1])


@case("Conv + Relu of a Conv -> BN of mixed scales", KEPT, reason="Relu 'relu2' is between the layer and the weights")
def relu_negative_scale(g: Graph) -> str:
    x = g.input(3, 5, 5)
    return g.bn(g.op("Add", g.conv(x, 3, 4), g.op("Relu", g.conv(x, 3, 4), name="relu2")), 4)


@case("Relu -> BN -> padded Conv whose taps add up to nothing at every position", FORWARD)
def bn_conv_even(g: Graph) -> str:
    """The second channel has the opposite weights, and the same scale and shift."""
    x = g.op("Relu", g.input(2, 5, 5))
    for key in ("weight", "bias", "running_mean", "running_var"):
        g.constant(np.full(2, g.random.uniform(0.5, 2)), f"bn.{key}")
    weight = g.random.normal(size=(4, 1, 3, 3))
    weights = g.constant(np.concatenate([weight, -weight], axis=1))
    return g.op("Conv", g.bn(x, 2), weights, pads=[1, 1, 1, 1])


@case("BN output used by a Gemm and a Relu", KEPT, reason="Relu 'relu3' is between the layer and the weights after it")
def forward_one_refuses(g: Graph) -> tuple[str, str]:
    x = g.bn(g.op("Relu", g.input(5)), 5)
    return g.gemm(x, 5, 4), g.op("Relu", x)


@case("scale of 0 behind another layer", BACK, KEPT, reason="a scale of 0 would erase layer 'first'")
def zero_scale(g: Graph) -> str:
    first = g.bn(g.conv(g.input(3, 6, 6), 3, 4), 4, "first")
    g.constant([1.0, 0.0, 2.0, 1.0], "second.weight")
    for key in ("bias", "running_mean", "running_var"):
        g.positive(4, name=f"second.{key}")
    return g.bn(g.op("AveragePool", first, kernel_shape=[2, 2]), 4, "second")


@case("scale beyond reason", KEPT, reason="its scale of 1e+09 is beyond 1e+06")
def absurd_scale(g: Graph) -> str:
    for key in ("bias", "running_mean"):
        g.weight(2, name=f"bn.{key}")
    g.constant([1e9, 1.0], "bn.weight")
    g.constant([0.999, 0.999], "bn.running_var")
    return g.bn(g.conv(g.input(3, 5, 5), 3, 2), 2)


# Channels of several axes, and means with computed weights


def _reshape(g: Graph, x: str, *shape: int) -> str:
    return g.op("Reshape", x, g.constant(np.array(shape)))


def _heads(g: Graph, *, normalise: str = "Softmax", rows: int = 0) -> str:
    """Attention of 2 heads with 3 values each over 9 positions; with -1 rows, rows and heads are counted together."""
    inputs = g.conv(g.input(3, 3, 3), 3, 18, kernel=1)
    parts = [g.op("Split", inputs, outputs=3, axis=1, num_outputs=3)]
    parts += [f"{parts[0]}{i}" for i in (1, 2)]
    query, key, value = (_reshape(g, part, *([-1] if rows else [0, 2]), 3, 9) for part in parts)
    perm = [0, 2, 1] if rows else [0, 1, 3, 2]
    scores = g.op("MatMul", g.op("Transpose", query, perm=perm), key)
    mixed = g.op("MatMul", g.op(normalise, scores), g.op("Transpose", value, perm=perm))
    return _reshape(g, g.op("Transpose", mixed, perm=perm), *([-1] if rows else [0]), 6, 3, 3)


@case("Conv -> channel shuffle", BACK)
def shuffle(g: Graph) -> str:
    parted = _reshape(g, g.conv(g.input(3, 5, 5), 3, 6), 0, 2, 3, 3, 3)
    return g.bn(_reshape(g, g.op("Transpose", parted, perm=[0, 2, 1, 3, 4]), 0, 6, 3, 3), 6)


@case("Relu -> BN -> channel shuffle -> Conv", FORWARD)
def bn_shuffle(g: Graph) -> str:
    parted = _reshape(g, g.bn(g.op("Relu", g.input(6, 5, 5)), 6), 0, 2, 3, 5, 5)
    return g.conv(_reshape(g, g.op("Transpose", parted, perm=[0, 2, 1, 3, 4]), 0, 6, 5, 5), 6, 4)


@case("Conv -> Transpose and Reshape that mix channels with positions", KEPT, reason="the channels move to axes 1, 2")
def shuffle_positions(g: Graph) -> str:
    parted = _reshape(g, g.conv(g.input(3, 6), 3, 6, rank=1), 0, 6, 2, 2)
    return g.bn(_reshape(g, g.op("Transpose", parted, perm=[0, 2, 1, 3]), 0, 6, 4), 6)


@case("attention by Softmax, channels of two heads", BACK)
def attention(g: Graph) -> str:
    return g.op("Relu", g.bn(_heads(g), 6))


@case("attention by Softmax, rows and heads on one axis", BACK)
def attention_flat(g: Graph) -> str:
    return g.op("Relu", g.bn(_heads(g, rows=-1), 6))


@case("attention by Sigmoid: the shift stays", BACK)
def attention_sigmoid(g: Graph) -> str:
    return g.op("Relu", g.bn(_heads(g, normalise="Sigmoid"), 6))


@case("attention by weights that are divided by their sum", BACK)
def attention_divided(g: Graph) -> str:
    x = g.input(3, 7)
    weights = g.op("Sigmoid", g.conv(x, 3, 5, kernel=1, rank=1))
    weights = g.op("Div", weights, g.op("ReduceSum", weights, g.constant([2])))
    values = g.conv(x, 3, 4, kernel=1, rank=1)
    return g.bn(g.op("MatMul", values, g.op("Transpose", weights, perm=[0, 2, 1])), 4)


@case("heads that share their values", KEPT, reason="its 3 heads share matrices of 2 rows, and would need 4")
def shared_values(g: Graph) -> str:
    x = g.input(3, 5)
    query = g.op("Transpose", _reshape(g, g.conv(x, 3, 6, kernel=1, rank=1), 0, 3, 2, 5), perm=[0, 1, 3, 2])
    values = _reshape(g, g.gemm(g.op("Flatten", x), 15, 8), 0, 1, 2, 4)
    mixed = g.op("MatMul", query, values)
    return g.op("Relu", g.bn(_reshape(g, g.op("Transpose", mixed, perm=[0, 1, 3, 2]), 0, 12, 5), 12))


@case("Relu -> BN -> values of attention -> Conv", FORWARD)
def bn_attention(g: Graph) -> str:
    x = g.input(4, 6)
    weights = g.op("Softmax", g.op("MatMul", g.op("Transpose", x, perm=[0, 2, 1]), x), axis=1)
    return g.conv(g.op("MatMul", g.bn(g.op("Relu", x), 4), weights), 4, 3, rank=1)


@case("BN -> values of attention by Sigmoid -> Conv", KEPT, reason="forward: MatMul 'matmul6' is between")
def bn_attention_sigmoid(g: Graph) -> str:
    x = g.input(4, 6)
    weights = g.op("Sigmoid", g.op("MatMul", g.op("Transpose", x, perm=[0, 2, 1]), x))
    return g.conv(g.op("MatMul", g.bn(g.op("Relu", g.op("Identity", x)), 4), weights), 4, 3, rank=1)


@case("queries, keys and values by Gather", BACK)
def attention_gathered(g: Graph) -> str:
    parts = _reshape(g, g.conv(g.input(3, 5), 3, 12, kernel=1, rank=1), 0, 3, 4, 5)
    query, key, value = (g.op("Gather", parts, g.constant(np.array(i)), axis=1) for i in range(3))
    scores = g.op("MatMul", g.op("Transpose", query, perm=[0, 2, 1]), key)
    return g.op("Relu", g.bn(g.op("MatMul", value, g.op("Softmax", scores, axis=1)), 4))


@case("Convs of two steps, joined and taken apart, a layer on each", BACK, BACK)
def steps(g: Graph) -> str:
    x, weight = g.input(3, 2, 5), g.weight(4, 3, 1)
    each = [g.op("Conv", g.op("Gather", x, g.constant(np.array(i)), axis=2), weight) for i in range(2)]
    joined = g.op("Concat", *(g.op("Unsqueeze", y, g.constant([0])) for y in each), axis=0)
    parts = [g.op("Slice", joined, *(g.constant([value]) for value in (i, i + 1, 0))) for i in range(2)]
    return g.op("Concat", *(g.bn(g.op("Squeeze", part, g.constant([0])), 4) for part in parts), axis=2)


@case("gated linear unit", BACK)
def gated(g: Graph) -> str:
    half = g.op("Split", g.conv(g.input(3, 5, 5), 3, 8), outputs=2, axis=1, num_outputs=2)
    return g.bn(g.op("Mul", g.op("Sigmoid", f"{half}1"), half), 4)


@case("Relu -> BN without shift -> gate -> Conv", FORWARD)
def bn_gated(g: Graph) -> str:
    x = g.input(4, 5, 5)
    gate = g.op("Sigmoid", g.conv(x, 4, 1, kernel=1))
    return g.conv(g.op("Mul", gate, g.bn(g.op("Relu", x), 4, shift=False)), 4, 3)


@case("Conv -> ReduceSum over positions", BACK)
def reduce_sum(g: Graph) -> str:
    return g.bn(g.op("ReduceSum", g.conv(g.input(3, 5, 5), 3, 4), g.constant([2, 3]), keepdims=0), 4)


@case("Relu -> BN -> ReduceSum over positions -> Gemm", FORWARD)
def bn_reduce_sum(g: Graph) -> str:
    summed = g.op("ReduceSum", g.bn(g.op("Relu", g.conv(g.input(3, 5, 5), 3, 4)), 4), g.constant([2, 3]), keepdims=0)
    return g.gemm(summed, 4, 3)


def _recurrent(g: Graph, op_type: str, gates: int, *, bias: bool = True, **attributes: Any) -> str:
    x = g.op("Transpose", g.bn(g.op("Relu", g.input(3, 5)), 3), perm=[2, 0, 1])  # (positions, rows, channels)
    directions = 2 if "direction" in attributes else 1
    weights = [g.weight(directions, gates * 4, size) for size in (3, 4)]
    biases = [g.weight(directions, gates * 8)] if bias else []
    return g.op(op_type, x, *weights, *biases, hidden_size=4, **attributes)


@case("Relu -> BN -> LSTM", FORWARD)
def bn_lstm(g: Graph) -> str:
    return _recurrent(g, "LSTM", 4)


@case("Relu -> BN -> GRU of both directions", FORWARD)
def bn_gru(g: Graph) -> str:
    return _recurrent(g, "GRU", 3, direction="bidirectional", linear_before_reset=1)


@case("Relu -> BN -> RNN without biases", FORWARD)
def bn_rnn(g: Graph) -> str:
    return _recurrent(g, "RNN", 1, bias=False)


@case("Conv -> positions that are rolled", BACK)
def roll(g: Graph) -> str:
    x = g.conv(g.input(3, 5, 7), 3, 4)
    bounds = [[g.constant([value]) for value in values] for values in ((4, 5, 3), (0, 4, 3))]
    return g.op("Relu", g.bn(g.op("Concat", *(g.op("Slice", x, *part) for part in bounds), axis=3), 4))


@case("Where of two Convs", BACK)
def where(g: Graph) -> str:
    x = g.input(3, 5, 5)
    chosen = g.op("Greater", g.op("Slice", x, *(g.constant([value]) for value in (1, 4, 2))), g.constant(0.0))
    chosen = g.op("Slice", chosen, *(g.constant([value]) for value in (1, 4, 3)))
    chosen = g.op("Slice", chosen, *(g.constant([value]) for value in (0, 1, 1)))
    return g.op("Relu", g.bn(g.op("Where", chosen, g.conv(x, 3, 4), g.conv(x, 3, 4)), 4))


@case("Relu -> BN -> Where with a constant -> Conv", FORWARD)
def bn_where(g: Graph) -> str:
    x = g.input(4, 5, 5)
    chosen = g.op("Greater", x, g.constant(0.3))
    return g.conv(g.op("Where", chosen, g.bn(g.op("Relu", x), 4), g.constant(0.7)), 4, 3)


@case("BN -> Where with other values", KEPT, reason="Where 'where5' puts other values in the place of those of each")
def bn_where_other(g: Graph) -> str:
    x = g.input(4, 5, 5)
    other = g.conv(x, 4, 4, kernel=1)
    chosen = g.op("Greater", x, g.constant(0.3))
    return g.conv(g.op("Where", chosen, g.bn(g.op("Abs", x), 4), other, name="where5"), 4, 3)


# Corners of single operators


@case("Concat of a Conv and a constant row", BACK)
def concat_constant(g: Graph) -> str:
    return g.bn(g.op("Concat", g.conv(g.input(3, 5, 5), 3, 4), g.weight(1, 4, 3, 3), axis=0), 4)


@case("Conv -> Reshape into one channel", BACK)
def one_channel(g: Graph) -> str:
    return g.bn(g.op("Reshape", g.conv(g.input(3, 7, 7), 3, 4), g.constant([-1, 1, 10, 10])), 1)


@case(
    "Conv -> Transpose, channels become positions",
    KEPT,
    reason="the channels move to axis 2, and the weights need them on axis 1",
)
def conv_transposed(g: Graph) -> str:
    return g.bn(g.op("Transpose", g.conv(g.input(3, 5, 5), 3, 4), perm=[0, 2, 1, 3]), 3)


@case("Conv -> Transpose of all axes", KEPT, reason="the channels move to axis 2, and the weights need them on axis 1")
def conv_reversed(g: Graph) -> str:
    return g.bn(g.op("Transpose", g.op("Transpose", g.conv(g.input(3, 5, 5), 3, 4)), perm=[3, 1, 0, 2]), 3)


@case("Dropout, told not to train", BACK)
def dropout_inference(g: Graph) -> str:
    ratio, training = g.constant(0.0), g.constant(np.array(0, dtype=bool))
    return g.bn(g.op("Dropout", g.conv(g.input(3, 5, 5), 3, 4), ratio, training), 4)


@case("Dropout, told to train", KEPT, reason="Dropout 'dropout1' may run in training mode")
def dropout_training(g: Graph) -> str:
    ratio, training = g.constant(0.0), g.constant(np.array(1, dtype=bool))
    return g.bn(g.op("Dropout", g.conv(g.input(3, 5, 5), 3, 4), ratio, training), 4)


@case("MaxPool with indices", KEPT, reason="MaxPool 'maxpool1' also returns the indices of its maxima")
def max_pool_indices(g: Graph) -> str:
    return g.bn(g.op("MaxPool", g.conv(g.input(3, 6, 6), 3, 4), outputs=2, kernel_shape=[2, 2]), 4, sign=1)


@case("ReduceMean over nothing", BACK)
def reduce_mean_nothing(g: Graph) -> str:
    return g.bn(g.op("ReduceMean", g.conv(g.input(3, 5, 5), 3, 4), noop_with_empty_axes=1), 4)


@case("ReduceMean over everything", KEPT, reason="averages over the channels")
def reduce_mean_everything(g: Graph) -> str:
    return g.bn(g.op("ReduceMean", g.conv(g.input(3, 5, 5), 3, 4)), 1)


@case("Relu -> BN without shift -> Gemm", FORWARD)
def bn_gemm_no_shift(g: Graph) -> str:
    return g.gemm(g.bn(g.op("Relu", g.input(5)), 5, shift=False), 5, 4)


@case("Relu -> BN -> MatMul by a vector", KEPT, reason="MatMul 'matmul2' multiplies by a vector")
def bn_mat_mul_vector(g: Graph) -> str:
    return g.op("MatMul", g.bn(g.op("Relu", g.input(5)), 5), g.weight(5))


@case("BN computes the weights of a Conv", KEPT, reason="the weights of Conv 'conv2' are computed from it")
def bn_makes_weights(g: Graph) -> str:
    weight = g.bn(g.op("Relu", g.input(3, 2, 2)), 3)
    return g.op("Conv", g.weight(1, 3, 5, 5), weight)


@case("BN output used twice by one node", KEPT, reason="Mul 'mul2' reads 'bn_0_out' more than once")
def bn_squared(g: Graph) -> str:
    x = g.bn(g.op("Relu", g.input(5)), 5)
    return g.op("Mul", x, x)


@case("BN of a constant", KEPT, reason="backward: 'c0' is a constant")
def bn_of_constant(g: Graph) -> str:
    return g.op("Add", g.input(3), g.bn(g.weight(1, 3), 3))


@case("scale of 0 before a Div", KEPT, reason="the divisor of Div 'div1' cannot take a scale of 0")
def div_zero_scale(g: Graph) -> str:
    g.constant([1.0, 0.0, 2.0, 1.0], "bn.weight")
    for key in ("bias", "running_mean", "running_var"):
        g.positive(4, name=f"bn.{key}")
    return g.bn(g.op("Div", g.conv(g.input(3, 5, 5), 3, 4), g.positive(4, 1, 1)), 4)


@case("Conv -> Flatten of free length", KEPT, reason="Flatten 'flatten1' needs sizes that are only known when it runs")
def flatten_free_length(g: Graph) -> str:
    return g.op("Flatten", g.bn(g.op("Relu", g.input(3, "length")), 3), name="flatten1")


@case("Concat of channels of unknown number", KEPT, reason="Concat 'concat2' needs sizes that are only known when")
def concat_unknown(g: Graph) -> str:
    x = g.input("some", "others")
    return g.bn(g.op("Concat", g.op("Sigmoid", x), g.op("Exp", x), axis=1), 12)
