"""The transform as a service, against torch and Keras."""

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

URL = "/v2/normalize"
GAMMA, BETA = [0.5, -2.0, 1.5], [1.0, 0.0, -3.0]
MEAN, VAR = [0.1, -0.2, 5.0], [2.0, 0.5, 9.0]
CLOSE = {"rtol": 1e-6, "atol": 1e-12}


def torch_layer(rank: int, eps: float = 1e-5, momentum: float = 0.1) -> torch.nn.Module:
    kinds = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d, 5: torch.nn.BatchNorm3d}
    layer = kinds[rank](3, eps=eps, momentum=momentum, dtype=torch.float64)
    with torch.no_grad():
        for name, values in {"weight": GAMMA, "bias": BETA, "running_mean": MEAN, "running_var": VAR}.items():
            getattr(layer, name).copy_(torch.tensor(values))
    return layer


PARAMETERS = {"gamma": GAMMA, "beta": BETA, "running_mean": MEAN, "running_var": VAR}


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 2)])
@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_it_equals_torch_at_any_rank(client: TestClient, shape: tuple[int, ...], statistics: str) -> None:
    x = np.random.default_rng(0).normal(3, 2, shape)
    layer = torch_layer(len(shape)).train(statistics == "batch")
    expected = layer(torch.from_numpy(x)).detach().numpy()

    answer = client.post(URL, json={"data": x.tolist(), "statistics": statistics, **PARAMETERS}).json()

    np.testing.assert_allclose(answer["data"], expected, **CLOSE)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(answer["data"], expected * (1 + 1e-5), **CLOSE)
    if statistics == "batch":
        np.testing.assert_allclose(answer["running_mean"], layer.running_mean, **CLOSE)
        np.testing.assert_allclose(answer["running_var"], layer.running_var, **CLOSE)
        axes = tuple(axis for axis in range(x.ndim) if axis != 1)
        np.testing.assert_allclose(answer["batch"]["mean"], x.mean(axes), **CLOSE)
        np.testing.assert_allclose(answer["batch"]["variance"], x.var(axes), **CLOSE)
        assert answer["batch"]["count"] == x.size // 3
    else:
        assert set(answer) == {"statistics", "data"}


@settings(max_examples=30)
@given(
    rows=st.integers(2, 6),
    eps=st.floats(1e-6, 1.0),
    momentum=st.floats(0, 1),
    offset=st.floats(-1e3, 1e3),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_equals_torch_for_any_eps_and_momentum(
    client: TestClient, rows: int, eps: float, momentum: float, offset: float, seed: int
) -> None:
    x = np.random.default_rng(seed).normal(offset, 1, (rows, 3))
    layer = torch_layer(2, eps, momentum)
    expected = layer(torch.from_numpy(x)).detach().numpy()

    body = {"data": x.tolist(), "eps": eps, "momentum": momentum, **PARAMETERS}
    answer = client.post(URL, json=body).json()

    np.testing.assert_allclose(answer["data"], expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(answer["running_mean"], layer.running_mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(answer["running_var"], layer.running_var, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_it_equals_keras_when_asked(client: TestClient, statistics: str) -> None:
    x = np.random.default_rng(1).normal(3, 2, (4, 5, 3)).astype(np.float32)
    layer = keras.layers.BatchNormalization()
    layer.build(x.shape)
    layer.set_weights([np.array(values, dtype=np.float32) for values in PARAMETERS.values()])
    expected = layer(x, training=statistics == "batch").detach().numpy()

    body = {"data": x.tolist(), "statistics": statistics, "convention": "keras", **PARAMETERS}
    answer = client.post(URL, json=body).json()

    close = {"rtol": 1e-5, "atol": 1e-5}  # Keras computes in float32
    np.testing.assert_allclose(answer["data"], expected, **close)
    if statistics == "batch":
        np.testing.assert_allclose(answer["running_mean"], layer.moving_mean.value.detach().numpy(), **close)
        np.testing.assert_allclose(answer["running_var"], layer.moving_variance.value.detach().numpy(), **close)
        as_torch = client.post(URL, json={**body, "convention": "torch", "axis": 2}).json()
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(as_torch["running_var"], layer.moving_variance.value.detach().numpy(), **close)


def test_without_parameters_it_is_a_fresh_layer(client: TestClient) -> None:
    x = [[1.0, 2.0], [3.0, 6.0]]
    layer = torch.nn.BatchNorm1d(2, dtype=torch.float64)
    expected = layer(torch.tensor(x, dtype=torch.float64)).detach().numpy()

    answer = client.post(URL, json={"data": x}).json()

    np.testing.assert_allclose(answer["data"], expected, **CLOSE)
    np.testing.assert_allclose(answer["running_var"], layer.running_var, **CLOSE)


def test_a_served_layer_normalises_with_its_own_parameters(client: TestClient) -> None:
    layer = client.get("/v2/models/tiny/layers/norm").json()
    x = np.random.default_rng(2).normal(size=(5, 3))
    names = {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_var"}
    state = {theirs: torch.tensor(layer[ours], dtype=torch.float64) for theirs, ours in names.items()}
    oracle = torch.nn.BatchNorm1d(3, eps=layer["eps"], dtype=torch.float64).eval()
    oracle.load_state_dict(state, strict=False)

    answer = client.post("/v2/models/tiny/layers/norm/normalize", json={"data": x.tolist()}).json()

    np.testing.assert_allclose(answer["data"], oracle(torch.from_numpy(x)).detach().numpy(), **CLOSE)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "data"),
        ({"data": 3}, "data"),
        ({"data": [1, 2]}, "data"),
        ({"data": [[]]}, "data"),
        ({"data": [[1, 2], [3]]}, "data"),
        ({"data": [[1, None]]}, "data[1]"),
        ({"data": [[1, 2]], "statistics": "mine"}, "statistics"),
        ({"data": [[1, 2]], "statistics": "running"}, "running_mean"),
        ({"data": [[1, 2]], "convention": "jax"}, "convention"),
        ({"data": [[1, 2], [3, 4]], "axis": 2}, "axis"),
        ({"data": [[1, 2], [3, 4]], "axis": True}, "axis"),
        ({"data": [[1, 2], [3, 4]], "gamma": [1]}, "gamma"),
        ({"data": [[1, 2], [3, 4]], "beta": [[1, 2]]}, "beta"),
        ({"data": [[1, 2], [3, 4]], "running_var": [1, -1]}, "running_var"),
        ({"data": [[1, 2], [3, 4]], "eps": 0}, "eps"),
        ({"data": [[1, 2], [3, 4]], "eps": "1"}, "eps"),
        ({"data": [[1, 2], [3, 4]], "momentum": 1.5}, "momentum"),
        ({"data": [[1, 2], [3, 4]], "epsilon": 1}, "epsilon"),
    ],
)
def test_a_bad_request_is_refused_by_its_field(client: TestClient, body: dict[str, object], field: str) -> None:
    response = client.post(URL, json=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(f"{field}: ")


def test_a_number_beyond_all_others_is_refused(client: TestClient) -> None:
    """Python reads integers of any length, wherever a body has NaN in it."""
    body = '{"data": [[1, 2], [3, 4]], "eps": 1%s, "gamma": [NaN, NaN]}' % ("0" * 400)
    response = client.post(URL, content=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith("eps: ")


def test_one_value_a_channel_has_no_batch_statistics(client: TestClient) -> None:
    response = client.post(URL, json={"data": [[1, 2]]})

    assert response.status_code == 400
    assert "at least 2 values" in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "field"), [({"data": [[1, 2]]}, "data"), ({"data": [[1, 2, 3]], "gamma": [1, 1, 1]}, "gamma")]
)
def test_a_bad_request_to_a_layer_is_refused_by_its_field(
    client: TestClient, body: dict[str, object], field: str
) -> None:
    response = client.post("/v2/models/tiny/layers/norm/normalize", json=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(f"{field}: ")
