"""Bundles of graphs that harm whoever loads or runs them."""

from dataclasses import replace

from onnx import ModelProto, parser

from models.repository.bundle import Bundle
from tests.bundles import echo_bundle

_BODY = "body (int64 turn, bool go, float[N, 2] state) => (bool go_on, float[{rows}, 2] next)"


def endless() -> Bundle:
    """Loops for ever, whatever the input."""
    return _bundle("endless", _loop("on = Constant<value = bool {1}>()"))


def endless_on_ones() -> Bundle:
    """Returns its input, and loops for ever where its sum is positive."""
    return _bundle(
        "moody",
        _loop("sum = ReduceSum<keepdims=0>(input)  zero = Constant<value = float {0.0}>()  on = Greater(sum, zero)"),
    )


def doubling_memory() -> Bundle:
    """Doubles its input as long as there is memory."""
    return _bundle("greedy", _loop("on = Constant<value = bool {1}>()", "Concat<axis=0>(state, state)", "M"))


def doubling_functions(levels: int = 40) -> Bundle:
    """Functions of which each calls the one before twice."""
    model = _parse("logits = Identity(input)")
    model.opset_import.add(domain="nested", version=1)
    for level in range(levels):
        call = "Identity" if level == 0 else f"nested.f{level - 1}"
        model.functions.append(
            parser.parse_function(
                f'<domain: "nested", opset_import: ["": 18, "nested": 1]> '
                f"f{level} (x) => (y) {{ half = {call}(x)  y = {call}(half) }}"
            )
        )
    model.graph.node[0].op_type, model.graph.node[0].domain = f"f{levels - 1}", "nested"
    return _bundle("nested", model)


def _loop(condition: str, step: str = "Identity(state)", rows: str = "N") -> ModelProto:
    return _parse(f"""
        {condition}
        turns = Constant<value = int64 {{9223372036854775807}}>()
        logits = Loop(turns, on, input) <body = {_BODY.format(rows=rows)} {{ go_on = Identity(go)  next = {step} }}>
    """)


def _parse(nodes: str) -> ModelProto:
    return parser.parse_model(f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network (float[N, 2] input) => (float[M, 2] logits) {{ {nodes} }}
    """)


def _bundle(name: str, model: ModelProto) -> Bundle:
    graph = model.SerializeToString()
    bundle = echo_bundle("FP32")
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"model": name}), folded=graph, source=graph)
