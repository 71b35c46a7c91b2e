"""What observing every row costs: the observed graph over the folded one, in forms that were considered for it.

Each round runs every form once, so that a ratio is of neighbours in time; the figures are medians over rounds.
"""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper

from benchmarks.bundles import observed
from benchmarks.service import networks
from models.graph.editor import GraphEditor
from models.graph.load import parse, serialize
from models.moments.layers import LayerMoments
from models.observation import ObservationReader
from models.repository.bundle import Bundle
from models.repository.repository import Repository

RESNET18 = "resnet18"
BATCHES = (1, 32)
SECONDS = 1.0
LEAST_ROUNDS, MOST_ROUNDS = 8, 400
WARM_UP_RUNS = 3
"""The memory of a session grows in the first runs of a size, not in the first one alone."""

Node = Callable[..., None]
Form = Callable[[Node, str, str, str], None]
"""Adds mean and mean square of a tensor to a graph."""


def _pool(node: Node, tensor: str, mean: str, square: str) -> None:
    node("GlobalAveragePool", [tensor], mean)
    node("Mul", [tensor, tensor], f"{tensor}.sq")
    node("GlobalAveragePool", [f"{tensor}.sq"], square)


def _reduce(node: Node, tensor: str, mean: str, square: str) -> None:
    node("ReduceMean", [tensor, "positions"], mean)
    node("ReduceSumSquare", [tensor, "positions"], square)


def _mean_only(node: Node, tensor: str, mean: str, square: str) -> None:
    node("GlobalAveragePool", [tensor], mean)
    node("Identity", [mean], square)


def _every(stride: int) -> Form:
    def form(node: Node, tensor: str, mean: str, square: str) -> None:
        node("MaxPool", [tensor], f"{tensor}.some", kernel_shape=[1, 1], strides=[stride, stride])
        _pool(node, f"{tensor}.some", mean, square)

    return form


FORMS = {
    "GlobalAveragePool of y and y * y": _pool,
    "ReduceMean and ReduceSumSquare": _reduce,
    "mean only": _mean_only,
    "every 2nd position each way, then as the first": _every(2),
    "every 4th position each way, then as the first": _every(4),
}


def _form(bundle: Bundle, form: Form) -> bytes:
    model = onnx.ModelProto()
    model.CopyFrom(parse(bundle.folded))
    wiring = GraphEditor(model)
    graph = model.graph
    graph.initializer.append(helper.make_tensor("positions", TensorProto.INT64, [2], [2, 3]))

    def node(op_type: str, inputs: list[str], output: str, **attributes: object) -> None:
        graph.node.append(helper.make_node(op_type, inputs, [output], **attributes))

    for layer in bundle.manifest.norm_layers:
        tensor = layer.placement.tensor
        names = [f"mean.{layer.name}", f"square.{layer.name}"]
        if len(wiring.shape(tensor) or ()) == 2:
            node("Identity", [tensor], names[0])
            names = names[:1]
        else:
            form(node, tensor, *names)
        graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    return serialize(model)


def _session(graph: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def resnet18() -> Bundle:
    """A ResNet-18 for images of 224 x 224, with random weights."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        networks.publish(Path(folder), RESNET18, networks.resnet18())
        return Repository(Path(folder) / "repository").read(RESNET18, 1)


def measure(bundles: Iterable[Bundle]) -> list[dict[str, Any]]:
    """The times of all forms that a network can have."""
    found = []
    for bundle in bundles:
        name = bundle.manifest.model
        (spec,) = bundle.manifest.inputs
        has_positions = len(spec.shape) > 2
        graphs = {"folded": serialize(parse(bundle.folded)), "observed": serialize(parse(observed(bundle)))}
        graphs |= {kind: _form(bundle, form) for kind, form in FORMS.items()} if has_positions else {}
        sessions = {kind: _session(graph) for kind, graph in graphs.items()}
        for batch in BATCHES:
            rows = {spec.name: np.random.default_rng(0).random((batch, *spec.shape[1:]), dtype=np.float32)}
            times: dict[str, list[float]] = {kind: [] for kind in (*sessions, "moments")}
            reader = ObservationReader(
                bundle.manifest.norm_layers, [one.name for one in sessions["observed"].get_outputs()]
            )
            for session in sessions.values():
                for _ in range(WARM_UP_RUNS):
                    session.run(None, rows)
            began = perf_counter()
            while len(times["folded"]) < LEAST_ROUNDS or (
                perf_counter() - began < SECONDS and len(times["folded"]) < MOST_ROUNDS
            ):
                for kind, session in sessions.items():
                    session.run(None, rows)  # so that each finds its own weights in the cache
                    start = perf_counter()
                    outputs = session.run(None, rows)
                    times[kind].append(perf_counter() - start)
                    if kind == "observed":
                        named = dict(zip([one.name for one in session.get_outputs()], outputs, strict=True))
                        start = perf_counter()
                        LayerMoments.of(reader.read(named))
                        times["moments"].append(perf_counter() - start)
            plain = np.array(times["folded"])
            moments = np.median(times["moments"])
            found += [
                {
                    "model": name,
                    "batch": batch,
                    "form": kind,
                    "rounds": len(plain),
                    "folded_us": float(np.median(plain) * 1e6),
                    "moments_us": float(moments * 1e6),
                    "ratio": float(np.median(np.array(times[kind]) / plain)),
                }
                for kind in sessions
                if kind != "folded"
            ]
    return found


def table(found: list[dict[str, Any]]) -> str:
    lines = [
        "| model | rows | folded, us | observed | moments, us | " + " | ".join(FORMS) + " |",
        "|---|---|---|---|---|" + "---|" * len(FORMS),
    ]
    for model, batch in dict.fromkeys((one["model"], one["batch"]) for one in found):
        by_form = {one["form"]: one for one in found if (one["model"], one["batch"]) == (model, batch)}
        whole = by_form["observed"]
        cells = [f"{by_form[form]['ratio']:.2f}" if form in by_form else "" for form in FORMS]
        lines.append(
            f"| `{model}` | {batch} | {whole['folded_us']:.0f} | {whole['ratio']:.2f} "
            f"| {whole['moments_us']:.0f} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)
