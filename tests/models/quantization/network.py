"""A small residual network whose stored statistics are those of its rows, and its bundle."""

from functools import cache

import numpy as np
import onnx

from models.assemble import assemble, signed_lineage
from models.datatypes import Arrays
from models.graph.adapt import restate
from models.graph.fold import fold
from models.manifest import ImagePreprocessing
from models.model_info import ModelInfo
from models.recalibration.adaptation import AdaptiveNetwork
from models.repository import held_out
from models.repository.bundle import Bundle
from tests.models.graph.cases import Graph

CLASSES = 5
PIXELS = ImagePreprocessing(mode="grey", height=8, width=8, scale=6 / 255, mean=(3.0,), std=(1.0,))


def images(count: int, seed: int = 0) -> Arrays:
    """Grey images of 8 x 8, brighter on one side."""
    generator = np.random.default_rng(seed)
    slope = generator.normal(size=(count, 1, 1, 8)) * np.linspace(-1, 1, 8)
    return {"x": (slope + 0.3 * generator.normal(size=(count, 1, 8, 8))).clip(-3, 3).astype(np.float32)}


@cache
def source() -> onnx.ModelProto:
    """Two convolutions beside a shortcut, the mean over positions, a linear layer."""
    g = Graph()
    first = g.op("Relu", g.bn(g.conv(g.input(1, 8, 8), 1, 16, pads=[1] * 4), 16, "stem"))
    inner = g.op("Relu", g.bn(g.conv(first, 16, 16, pads=[1] * 4), 16, "inner"))
    outer = g.bn(g.conv(inner, 16, 16, pads=[1] * 4), 16, "outer")
    last = g.op("GlobalAveragePool", g.op("Relu", g.op("Add", outer, first)))
    model = g.model(g.gemm(g.op("Flatten", last), 16, CLASSES), dtype=np.float32)
    return restate(model, AdaptiveNetwork(model).run(images(256, 1), 0.0).mixed)


@cache
def folded() -> onnx.ModelProto:
    """Its folded graph."""
    return fold(source()).model


@cache
def bundle(*, with_rows: bool = True) -> Bundle:
    """Its bundle, with or without held-out rows."""
    rows = images(128, 2)
    info = ModelInfo("residual", preprocessing=PIXELS)
    kept = held_out.keep(rows) if with_rows else None
    return assemble(source(), info, signed_lineage("imported"), rows=rows, held_out=kept)
