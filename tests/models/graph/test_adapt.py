"""The adaptive graph against AdaBN, layer after layer: by torch, and by the ONNX reference on every kind of graph."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper, parser
from torch import Tensor, nn

from models.errors import GraphError, MissingStatistics, TrainingModeGraph
from models.graph.adapt import ESTIMATED, VARIANCE_FLOOR, Adaptive, ChannelStatistics, adapt, restate
from models.graph.find import find
from models.graph.fold import fold
from models.graph.load import parse, serialize
from tests.models.graph.cases import CASES, Case, Graph
from tests.models.graph.oracle import Array, error, feeds, reference, runtime
from tests.models.graph.test_fold_torch import export, network

SINGLE = 1e-5  # float32 in onnxruntime against float64; see `models.parity`
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def weight(prior: float, rows: int) -> Array:
    return np.array(prior / (prior + rows), np.float32)


def run(adaptive: Adaptive, given: Mapping[str, Array], prior_weight: Array) -> dict[str, Array]:
    """All outputs, by onnxruntime with its optimizations, in float32."""
    session = onnxruntime.InferenceSession(serialize(adaptive.model), providers=["CPUExecutionProvider"])
    single = {name: value.astype(np.float32) for name, value in given.items()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {**single, adaptive.prior_weight: prior_weight}), strict=True))


def statistics(adaptive: Adaptive, results: Mapping[str, Array]) -> dict[str, ChannelStatistics]:
    return {
        name: ChannelStatistics(results[outputs.mean].astype(np.float64), results[outputs.var].astype(np.float64))
        for name, outputs in adaptive.layers.items()
    }


def estimated_weight(stored: Array, of_rows: Array, unit: Array) -> float:
    """The share of a layer's distance that is sampling error.

    Args:
        stored: statistic, shape (C,).
        of_rows: the statistic of each row, shape (n, C).
        unit: that the statistic is measured in, shape (C,).
    """
    scaled = (of_rows - stored) / unit
    errors = [float(np.var(channel)) / max(len(channel) - 1, 1) for channel in scaled.T]
    distances = [float(np.mean(channel)) ** 2 for channel in scaled.T]
    return min(sum(errors) / sum(distances), 1.0)


def ada_bn(source: onnx.ModelProto, given: Mapping[str, Array], prior: float | None) -> dict[str, ChannelStatistics]:
    """Layer after layer: estimate one, store it, go on. In float64, by the ONNX reference."""
    rows = len(next(iter(given.values())))
    known = {layer.name: ChannelStatistics(layer.mean, layer.var) for layer in find(source)}
    for position, layer in enumerate(find(source)):
        x = reference(restate(source, known), given, [find(source)[position].input])[layer.input]
        values = np.moveaxis(x, 1, 0).reshape(len(layer.mean), -1)
        if prior is None:
            by_row = x.reshape(len(x), len(layer.mean), -1)  # a reshape may have made rows of positions
            squares = np.square(by_row - values.mean(axis=1)[:, None]).mean(axis=2)
            variance = layer.var + layer.eps
            of_mean = estimated_weight(layer.mean, by_row.mean(axis=2), np.sqrt(variance))
            of_var = estimated_weight(layer.var, squares, variance)
        else:
            of_mean = of_var = prior / (prior + rows)
        var = of_var * layer.var + (1 - of_var) * values.var(axis=1)
        known[layer.name] = ChannelStatistics(
            of_mean * layer.mean + (1 - of_mean) * values.mean(axis=1), np.maximum(var, VARIANCE_FLOOR * layer.var)
        )
    return known


def torch_ada_bn(model: nn.Module, x: Tensor, prior: float) -> None:
    """Store new statistics in each layer in turn, the layers before it being done; some channels of it are dead."""
    share = prior / (prior + len(x))
    for layer in [module for module in model.modules() if isinstance(module, BatchNorm)]:
        seen: list[Tensor] = []
        hook = layer.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        with torch.no_grad():
            model(x)
            values = seen[0].transpose(0, 1).flatten(1)
            floor = (VARIANCE_FLOOR * layer.running_var).clamp(min=layer.eps)
            layer.running_mean.mul_(share).add_((1 - share) * values.mean(1))
            layer.running_var.mul_(share).add_((1 - share) * values.var(1, correction=0)).clamp_(min=floor)
        hook.remove()


def lived_in() -> nn.Module:
    """A network whose layers know what they meet on standard normal rows."""
    model = network()
    torch_ada_bn(model, torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(2)), prior=0)
    return model


@pytest.fixture(scope="module")
def exports() -> dict[str, onnx.ModelProto]:
    return export(lived_in(), torch.zeros(2, 3, 16, 16))


@pytest.fixture(params=["cleaned", "raw"])
def exported(exports: dict[str, onnx.ModelProto], request: pytest.FixtureRequest) -> onnx.ModelProto:
    return exports[request.param]


@pytest.mark.parametrize("prior", [0.0, 16.0])
def test_one_pass_is_torchs_ada_bn_layer_after_layer(exported: onnx.ModelProto, prior: float) -> None:
    x = 0.5 + 2 * torch.randn(24, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    adapted = lived_in().double()
    torch_ada_bn(adapted, x.double(), prior)
    with torch.no_grad():
        expected = adapted(x.double()).numpy()

    adaptive = adapt(exported)
    results = run(adaptive, {exported.graph.input[0].name: x.numpy()}, weight(prior, len(x)))

    output = exported.graph.output[0].name
    assert error(expected, results[output].astype(np.float64)) < SINGLE
    new = statistics(adaptive, results)
    modules = dict(adapted.named_modules())
    assert new.keys() == {name for name, module in modules.items() if isinstance(module, BatchNorm)}
    for name, found in new.items():
        assert error(modules[name].running_mean.numpy(), found.mean) < SINGLE
        assert error(modules[name].running_var.numpy(), found.var) < SINGLE

    # The source graph with the new statistics is that network, folded or not.
    folded = fold(restate(exported, new)).model
    frozen = runtime(folded, {exported.graph.input[0].name: x.numpy()}, [output])[output]
    assert error(expected, frozen.astype(np.float64)) < SINGLE

    # And torch's network before the adaptation is another one.
    with torch.no_grad():
        before = lived_in().double()(x.double()).numpy()
    assert error(expected, before) > 0.1


def test_estimating_all_layers_without_adapting_any_is_not_the_same() -> None:
    source = CASES["residual"].model()
    given = feeds(source, 32)
    layers = find(source)
    expected = ada_bn(source, given, prior=0)["sum"]

    unadapted = reference(source, given, [layers[-1].input])[layers[-1].input]

    assert error(expected.var, unadapted.var(axis=(0, 2, 3))) > 0.01


@every_case
@pytest.mark.parametrize("prior", [5.0, None], ids=["prior 5", "estimated"])
def test_any_graph_adapts_as_layer_after_layer(case: Case, prior: float | None) -> None:
    single = case.model(np.float32)
    given = feeds(single, 17)
    exact = restate_as(case.model(), single)
    expected = ada_bn(exact, given, prior)

    adaptive = adapt(single)
    results = run(adaptive, given, np.array(ESTIMATED, np.float32) if prior is None else weight(prior, 17))

    for name, found in statistics(adaptive, results).items():
        assert error(expected[name].mean, found.mean) < SINGLE
        assert error(expected[name].var, found.var) < SINGLE
    outputs = [value.name for value in single.graph.output]
    adapted = reference(restate(exact, expected), given, outputs)
    assert max(error(adapted[name], results[name]) for name in outputs) < SINGLE


def restate_as(exact: onnx.ModelProto, single: onnx.ModelProto) -> onnx.ModelProto:
    """The float64 graph with the float32 graph's weights, so that both round alike."""
    rounded = {tensor.name: numpy_helper.to_array(tensor) for tensor in single.graph.initializer}
    for tensor in exact.graph.initializer:
        value = rounded[tensor.name]
        tensor.CopyFrom(numpy_helper.from_array(value.astype(numpy_helper.to_array(tensor).dtype), tensor.name))
    return exact


@every_case
def test_a_prior_of_all_weight_is_the_source_graph_itself(case: Case) -> None:
    source = case.model(np.float32)
    given = feeds(source, 3)
    outputs = [value.name for value in source.graph.output]

    results = run(adapt(source), given, np.array(1, np.float32))

    expected = runtime(source, given, outputs)
    assert max(error(expected[name], results[name]) for name in outputs) < SINGLE


@every_case
def test_other_statistics_keep_the_layers_their_names_and_everything_else(case: Case) -> None:
    source = case.model(np.float32)
    before = serialize(source)
    layers = find(source)
    wanted = {
        layer.name: ChannelStatistics(layer.mean + position, layer.var * 2) for position, layer in enumerate(layers, 1)
    }

    changed = parse(serialize(restate(source, wanted)))

    assert serialize(source) == before
    for old, new in zip(layers, find(changed), strict=True):
        assert (old.name, old.input, old.output, old.eps) == (new.name, new.input, new.output, new.eps)
        np.testing.assert_array_equal(old.gamma, new.gamma)
        np.testing.assert_array_equal(new.mean, wanted[old.name].mean.astype(np.float32))
        np.testing.assert_array_equal(new.var, wanted[old.name].var.astype(np.float32))


def test_a_layer_that_runs_twice_gets_statistics_for_each_time() -> None:
    source = CASES["shared_layer"].model(np.float32)

    adaptive = adapt(source)
    new = statistics(adaptive, run(adaptive, feeds(source, 20), weight(0, 20)))

    assert list(new) == ["bn", "bn#2"]
    assert error(new["bn"].var, new["bn#2"].var) > 0.01
    assert [layer.name for layer in find(restate(source, new))] == ["bn", "bn#2"]


def test_the_weight_of_the_stored_statistics_is_that_of_chance_in_the_distance() -> None:
    """Known moves of many channels: the estimated weights are those of the least expected error."""
    graph = Graph()
    channels, rows, moved = 400, 40, 0.3
    y = graph.bn(graph.input(channels), channels)
    for name, value in (("running_mean", 0.0), ("running_var", 1.0)):
        graph.constant(np.full(channels, value), f"bn.{name}")
    source = graph.model(y, dtype=np.float32)
    random = np.random.default_rng(3)
    usual = random.standard_normal((rows, channels))
    adaptive = adapt(source)

    def estimated(x: Array) -> Array:
        return run(adaptive, {"x": x}, np.array(ESTIMATED, np.float32))[adaptive.layers["bn"].weights]

    # The sampling error of a mean is 1 / rows; each true mean moved by about `moved`, no variance did.
    mean, variance = estimated(usual + moved * random.standard_normal(channels))
    assert mean == pytest.approx((1 / rows) / (1 / rows + moved**2), rel=0.15)
    assert variance > 0.8
    # Undisturbed rows leave the statistics as they are, whether they are few or many
    for count in (16, rows):
        assert min(estimated(usual[:count])) > 0.8
    # A given weight is the weight of both.
    given = run(adaptive, {"x": usual}, np.array(0.25, np.float32))[adaptive.layers["bn"].weights]
    np.testing.assert_array_equal(given, [0.25, 0.25])


def test_the_batchs_own_statistics_are_told_as_well() -> None:
    graph = Graph()
    source = graph.model(graph.bn(graph.input(3, 5, 4), 3), dtype=np.float32)
    x = feeds(source, 12)["x"]

    adaptive = adapt(source)
    results = run(adaptive, {"x": x}, weight(4, 12))

    outputs = adaptive.layers["bn"]
    assert error(x.mean(axis=(0, 2, 3)), results[outputs.batch_mean]) < SINGLE
    assert error(x.var(axis=(0, 2, 3)), results[outputs.batch_var]) < SINGLE


def test_a_mean_far_from_zero_costs_no_digits_of_the_variance() -> None:
    graph = Graph()
    source = graph.model(graph.bn(graph.input(3, 28, 28), 3), dtype=np.float32)
    x = (1000 + feeds(source, 64)["x"]).astype(np.float32)

    adaptive = adapt(source)
    results = run(adaptive, {"x": x}, weight(0, 64))

    found = results[adaptive.layers["bn"].batch_var]
    assert error(x.astype(np.float64).var(axis=(0, 2, 3)), found) < 1e-4
    # E[x^2] - E[x]^2 would not do.
    assert error(x.astype(np.float64).var(axis=(0, 2, 3)), (x**2).mean((0, 2, 3)) - x.mean((0, 2, 3)) ** 2) > 1e-2


def test_a_channel_that_is_dead_in_the_batch_does_not_blow_up() -> None:
    graph = Graph()
    source = graph.model(graph.bn(graph.input(3, 2, 2), 3), dtype=np.float32)
    stored = find(source)[0]
    x = feeds(source, 8)["x"]
    x[:, 1] = 7

    adaptive = adapt(source)
    found = statistics(adaptive, run(adaptive, {"x": x}, weight(0, 8)))["bn"]

    assert found.var[1] == pytest.approx(VARIANCE_FLOOR * stored.var[1])
    assert found.var[0] > VARIANCE_FLOOR * stored.var[0]


def test_the_floor_is_eps_where_hardly_any_variance_was_stored() -> None:
    graph = Graph()
    y = graph.bn(graph.input(3), 3)
    graph.constant(np.full(3, 1e-7), "bn.running_var")
    source = graph.model(y, dtype=np.float32)

    adaptive = adapt(source)
    found = statistics(adaptive, run(adaptive, {"x": np.ones((8, 3))}, weight(0, 8)))["bn"]

    np.testing.assert_allclose(found.var, find(source)[0].eps)


def test_a_float16_graph_takes_its_statistics_in_float32() -> None:
    graph = Graph()
    source = graph.model(graph.bn(graph.input(3, 40, 40), 3), dtype=np.float16)

    adaptive = adapt(source)
    onnx.checker.check_model(adaptive.model, full_check=True)

    types = {value.name: value.type.tensor_type.elem_type for value in adaptive.model.graph.output}
    assert types[adaptive.layers["bn"].mean] == onnx.TensorProto.FLOAT
    assert types[source.graph.output[0].name] == onnx.TensorProto.FLOAT16


@pytest.mark.parametrize("opset", [9, 13, 18, 20])
def test_every_opset_has_its_own_form_of_a_mean(opset: int) -> None:
    graph = Graph()
    source = graph.model(graph.bn(graph.gemm(graph.input(5), 5, 4), 4), dtype=np.float32, opset=opset)
    given = feeds(source, 17)

    adaptive = adapt(source)
    onnx.checker.check_model(adaptive.model, full_check=True)
    found = statistics(adaptive, run(adaptive, given, weight(0, 17)))["bn"]

    assert error(ada_bn(source, {"x": given["x"].astype(np.float32)}, 0)["bn"].mean, found.mean) < SINGLE


def test_names_that_are_taken_are_not_taken_again() -> None:
    graph = Graph()
    x = graph.op("Add", graph.input(3), graph.weight(3, name="prior_weight"))
    source = graph.model(graph.bn(x, 3), dtype=np.float32)

    adaptive = adapt(source)

    assert adaptive.prior_weight == "prior_weight_2"
    onnx.checker.check_model(adaptive.model, full_check=True)


def test_a_graph_without_layers_is_refused() -> None:
    graph = Graph()

    with pytest.raises(GraphError, match="nothing to adapt"):
        adapt(graph.model(graph.gemm(graph.input(5), 5, 4)))


def test_layers_that_cannot_be_served_cannot_adapt() -> None:
    graph = Graph()
    model = graph.model(graph.bn(graph.gemm(graph.input(5), 5, 4), 4))
    model.graph.node[-1].attribute.append(helper.make_attribute("training_mode", 1))
    with pytest.raises(TrainingModeGraph):
        adapt(model)

    computed = parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        network (float[N, 3] x, float[3] var) => (float[N, 3] y)
        <float[3] gamma = {1, 1, 1}, float[3] beta = {0, 0, 0}, float[3] mean = {0, 0, 0}>
        { y = BatchNormalization (x, gamma, beta, mean, var) }
    """)
    with pytest.raises(MissingStatistics):
        adapt(computed)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_statistics_that_the_graph_cannot_hold_are_refused(value: float) -> None:
    graph = Graph()
    source = graph.model(graph.bn(graph.input(3), 3), dtype=np.float32)

    with pytest.raises(GraphError, match="layer 'bn': running_var has a value that is not finite"):
        restate(source, {"bn": ChannelStatistics(np.zeros(3), np.array([1.0, value, 1.0]))})
