"""Two versions of the starter `mlp` whose answers differ. Also run in a container, where only Denge is installed."""

from dataclasses import replace

import onnx
from onnx import numpy_helper

from models import starter
from models.graph.weights import change
from models.repository.bundle import Bundle
from models.repository.repository import Repository

MODEL = "mlp"


def first() -> Bundle:
    return starter.read(MODEL)


def second() -> Bundle:
    """The first one, with its first logit larger by 10."""
    bundle = first()
    observed = None if bundle.observed is None else change(bundle.observed, _shift)
    return replace(
        bundle, folded=change(bundle.folded, _shift), source=change(bundle.source, _shift), observed=observed
    )


def _shift(model: onnx.ModelProto) -> onnx.ModelProto:
    (last,) = (node for node in model.graph.node if model.graph.output[0].name in node.output)
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == last.input[-1])
    values = numpy_helper.to_array(bias).copy()
    values[0] += 10
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    return model


def publish(repository: str) -> int:
    return Repository(repository).publish(second(), candidate=True)
