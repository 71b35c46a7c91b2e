"""Tiny valid bundles for everyone's tests, built by hand: no torch, and none of `models.graph`.

The folded graphs are folded here, in float64 numpy, so that they are an oracle for `models.graph` and not a copy of it.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper, parser

from models.datatypes import Datatype
from models.manifest import (
    Generation,
    ImagePreprocessing,
    Lineage,
    Manifest,
    NormLayer,
    Parent,
    Parity,
    ParityComparison,
    Placement,
    TensorSpec,
    Tokenization,
    channels,
)
from models.repository.bundle import Bundle

INPUT = "input"
OUTPUT = "logits"
NORM = "norm"
"""Name of the only norm layer, and of its output: the same tensor in the source and in the folded graph."""

EPS = 1e-5

_ELEMENTS = {"BYTES": "STRING", "BF16": "BFLOAT16", "FP16": "FLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE"}
"""ONNX's names of datatypes that have another one there."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Norm:
    """The parameters of a norm layer, shape (C,) each, float32."""

    gamma: Array
    beta: Array
    mean: Array
    var: Array

    @classmethod
    def random(cls, generator: np.random.Generator, num_features: int) -> "_Norm":
        """Half of the scales are negative, none is near zero."""
        sign = np.where(np.arange(num_features) % 2, -1, 1)
        return cls(
            gamma=(sign * generator.uniform(0.5, 1.5, num_features)).astype(np.float32),
            beta=generator.normal(size=num_features).astype(np.float32),
            mean=generator.normal(size=num_features).astype(np.float32),
            var=generator.uniform(0.5, 2.0, num_features).astype(np.float32),
        )

    def initializers(self) -> dict[str, Array]:
        return {"gamma": self.gamma, "beta": self.beta, "mean": self.mean, "var": self.var}

    def node(self, x: str) -> NodeProto:
        return helper.make_node("BatchNormalization", [x, *self.initializers()], [NORM], name=NORM, epsilon=EPS)

    def fold(self, weight: Array, bias: Array) -> tuple[Array, Array]:
        """Take the layer into the weight (output channels first) and bias before it."""
        scale = self.gamma.astype(np.float64) / np.sqrt(self.var.astype(np.float64) + EPS)
        folded_weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        folded_bias = (bias - self.mean.astype(np.float64)) * scale + self.beta
        return folded_weight.astype(np.float32), folded_bias.astype(np.float32)

    def record(self, into: str) -> NormLayer:
        return NormLayer(
            name=NORM,
            num_features=len(self.mean),
            running_mean=channels(self.mean),
            running_var=channels(self.var),
            gamma=channels(self.gamma),
            beta=channels(self.beta),
            eps=EPS,
            momentum=0.9,
            placement=Placement(kind="folded_back", into=(into,), tensor=NORM),
        )


def tiny_bundle(
    name: str = "tiny",
    labels: tuple[str, ...] | None = ("no", "yes"),
    seed: int = 0,
    parent: Parent | None = None,
    certainty: float = 1.0,
) -> Bundle:
    """Linear(4 -> 3), BN, ReLU, Linear(3 -> 2): ``input`` [-1, 4] -> ``logits`` [-1, 2].

    Bundles of different seeds have different weights, and so different predictions. All logits grow with the certainty.
    """
    generator = np.random.default_rng(seed)
    weight, bias = _normal(generator, 3, 4), _normal(generator, 3)
    norm = _Norm.random(generator, 3)
    scale = np.float32(certainty)
    head = {"head.weight": _normal(generator, 2, 3) * scale, "head.bias": _normal(generator, 2) * scale}

    def graph(first: list[NodeProto], initializers: dict[str, Array]) -> bytes:
        tail = [
            helper.make_node("Relu", [NORM], ["relu"], name="relu"),
            helper.make_node("Gemm", ["relu", "head.weight", "head.bias"], [OUTPUT], name="head", transB=1),
        ]
        return _model([*first, *tail], {**initializers, **head}, inputs=["N", 4], outputs=["N", 2])

    def linear(output: str) -> NodeProto:
        return helper.make_node("Gemm", [INPUT, "fc.weight", "fc.bias"], [output], name="fc", transB=1)

    folded_weight, folded_bias = norm.fold(weight, bias)
    source = graph([linear("fc"), norm.node("fc")], {"fc.weight": weight, "fc.bias": bias, **norm.initializers()})
    folded = graph([linear(NORM)], {"fc.weight": folded_weight, "fc.bias": folded_bias})
    manifest = Manifest(
        model=name,
        inputs=(TensorSpec(name=INPUT, datatype="FP32", shape=(-1, 4)),),
        outputs=(TensorSpec(name=OUTPUT, datatype="FP32", shape=(-1, 2)),),
        labels=labels,
        norm_layers=(norm.record("fc"),),
        parity=_parity(),
        lineage=_lineage(parent),
    )
    return Bundle(manifest, folded=folded, source=source)


def image_bundle(
    name: str = "shapes",
    labels: tuple[str, ...] | None = ("circle", "square", "star"),
    seed: int = 0,
    parent: Parent | None = None,
) -> Bundle:
    """Conv(1 -> 4, 3x3), BN, ReLU, mean, Linear(4 -> 3): grey images ``input`` [-1, 1, 8, 8] -> ``logits`` [-1, 3]."""
    generator = np.random.default_rng(seed)
    weight, bias = _normal(generator, 4, 1, 3, 3), _normal(generator, 4)
    norm = _Norm.random(generator, 4)
    head = {"head.weight": _normal(generator, 3, 4), "head.bias": _normal(generator, 3)}

    def graph(first: list[NodeProto], initializers: dict[str, Array]) -> bytes:
        tail = [
            helper.make_node("Relu", [NORM], ["relu"], name="relu"),
            helper.make_node("GlobalAveragePool", ["relu"], ["pool"], name="pool"),
            helper.make_node("Flatten", ["pool"], ["flat"], name="flat"),
            helper.make_node("Gemm", ["flat", "head.weight", "head.bias"], [OUTPUT], name="head", transB=1),
        ]
        return _model([*first, *tail], {**initializers, **head}, inputs=["N", 1, 8, 8], outputs=["N", 3])

    def convolution(output: str) -> NodeProto:
        inputs = [INPUT, "conv.weight", "conv.bias"]
        return helper.make_node("Conv", inputs, [output], name="conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1])

    folded_weight, folded_bias = norm.fold(weight, bias)
    source = graph(
        [convolution("conv"), norm.node("conv")], {"conv.weight": weight, "conv.bias": bias, **norm.initializers()}
    )
    folded = graph([convolution(NORM)], {"conv.weight": folded_weight, "conv.bias": folded_bias})
    manifest = Manifest(
        model=name,
        inputs=(TensorSpec(name=INPUT, datatype="FP32", shape=(-1, 1, 8, 8)),),
        outputs=(TensorSpec(name=OUTPUT, datatype="FP32", shape=(-1, 3)),),
        labels=labels,
        preprocessing=ImagePreprocessing(mode="grey", height=8, width=8, scale=1 / 255, mean=(0.1307,), std=(0.3081,)),
        norm_layers=(norm.record("conv"),),
        parity=_parity(),
        lineage=_lineage(parent),
    )
    return Bundle(manifest, folded=folded, source=source)


def echo_bundle(datatype: Datatype, width: int = 2) -> Bundle:
    """``input`` [-1, width] -> the same as ``logits``, in any data type, which is its name. It has no norm layer."""
    kind = TensorProto.DataType.Value(_ELEMENTS.get(datatype, datatype))
    graph = _model([helper.make_node("Identity", [INPUT], [OUTPUT])], {}, ["N", width], ["N", width], kind)
    manifest = Manifest(
        model=datatype.lower(),
        inputs=(TensorSpec(name=INPUT, datatype=datatype, shape=(-1, width)),),
        outputs=(TensorSpec(name=OUTPUT, datatype=datatype, shape=(-1, width)),),
        norm_layers=(),
        parity=_parity(),
        lineage=_lineage(None),
    )
    return Bundle(manifest, folded=graph, source=graph)


def text_bundle(name: str, graph: str, *, batch_axis: bool | None = None) -> Bundle:
    """A bundle of a graph in ONNX's own text form, such as ``(float[3] x) => (float y) { y = ReduceSum(x) }``.

    It has no norm layer. The manifest has the graph's inputs and outputs, with -1 for named sizes.
    """
    model = parser.parse_model(f'<ir_version: 9, opset_import: ["" : 18]> network {graph}')

    def spec(value: ValueInfoProto) -> TensorSpec:
        element = TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        shape = (dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim)
        datatype = next((ours for ours, theirs in _ELEMENTS.items() if theirs == element), element)
        return TensorSpec(name=value.name, datatype=cast("Datatype", datatype), shape=tuple(shape))

    manifest = Manifest(
        model=name,
        inputs=tuple(map(spec, model.graph.input)),
        outputs=tuple(map(spec, model.graph.output)),
        batch_axis=batch_axis,
        norm_layers=(),
        parity=_parity(),
        lineage=_lineage(None),
    )
    serialized = model.SerializeToString()
    return Bundle(manifest, folded=serialized, source=serialized)


def sentence_bundle(name: str = "sentences") -> Bundle:
    """A bundle that takes texts of up to six words: ``good`` is a reason for the class "yes", ``bad`` for "no"."""
    bundle = text_bundle(
        name,
        """(int64[N,6] input) => (float[N,2] logits) {
            good = Constant<value = int64 {1}>()
            bad = Constant<value = int64 {2}>()
            axes = Constant<value = int64[1] {1}>()
            is_good = Equal(input, good)
            is_bad = Equal(input, bad)
            good_words = Cast<to = 1>(is_good)
            bad_words = Cast<to = 1>(is_bad)
            yes = ReduceMax<keepdims = 1>(good_words, axes)
            no = ReduceMax<keepdims = 1>(bad_words, axes)
            logits = Concat<axis = 1>(no, yes)
        }""",
    )
    fields = {"labels": ("no", "yes"), "tokenization": Tokenization(max_tokens=6, vocabulary=("good", "bad", "film"))}
    return replace(bundle, manifest=bundle.manifest.model_copy(update=fields))


def generator_bundle(name: str = "drawn") -> Bundle:
    """A generator of grey images of 2 x 2: two numbers of its noise, and below the class "no" or "yes"."""
    bundle = text_bundle(
        name,
        """(float[N,5] latents) => (float[N,1,2,2] images) {
            start = Constant<value = int64[1] {1}>()
            end = Constant<value = int64[1] {5}>()
            axis = Constant<value = int64[1] {1}>()
            shape = Constant<value = int64[4] {-1, 1, 2, 2}>()
            shown = Slice(latents, start, end, axis)
            images = Reshape(shown, shape)
        }""",
    )
    image = ImagePreprocessing(mode="grey", height=2, width=2, scale=1 / 255, mean=(0.5,), std=(0.5,))
    fields = {"generation": Generation(classes=("no", "yes"), image=image)}
    return replace(bundle, manifest=Manifest.model_validate(bundle.manifest.model_dump() | fields))


def _normal(generator: np.random.Generator, *shape: int) -> Array:
    return generator.normal(size=shape).astype(np.float32)


def _model(
    nodes: list[NodeProto],
    initializers: dict[str, Array],
    inputs: list[str | int],
    outputs: list[str | int],
    kind: int = TensorProto.FLOAT,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(INPUT, kind, inputs)],
        [helper.make_tensor_value_info(OUTPUT, kind, outputs)],
        [numpy_helper.from_array(values, name) for name, values in initializers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10, producer_name="tests")
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _parity() -> Parity:
    comparison = ParityComparison(reference="source", candidate="folded", max_absolute=1e-7, max_relative=1e-7)
    return Parity(rows=16, seed=0, tolerance=1e-5, comparisons=(comparison,))


def _lineage(parent: Parent | None) -> Lineage:
    return Lineage(
        origin="trained", created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), created_by="denge tests", parent=parent
    )
