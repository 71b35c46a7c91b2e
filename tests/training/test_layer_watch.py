"""Statistics of normalisation layers at the steps of training."""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.errors import InvalidInput
from models.manifest import TrainingHistory
from training import bundle, checkpoint, layer_watch, published_part, run
from training.config import Config
from training.data.dataset import ImageDataset
from training.layer_watch import LayerWatch
from training.networks.dcgan import DCGAN
from training.run import Rows

CONFIG = Config("convnet", "digits", epochs=2, width=4)
STEPS = 8
"""Of this run: 129 rows in batches of 32, and a last row that is skipped, twice."""


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(96, 5), nn.BatchNorm1d(5, momentum=None)
    )


def percentiles(values: NDArray[Any]) -> list[float]:
    return list(np.percentile(values, layer_watch.PERCENTILES))


def test_the_moments_are_those_of_the_batch_and_the_gradient_that_of_the_step() -> None:
    watched = network()
    with torch.no_grad():
        watched[0].bias += 20  # a mean that is large beside the spread
    descent = torch.optim.SGD(watched.parameters(), lr=0.1)
    written: list[Mapping[str, Any]] = []
    watch = LayerWatch(watched, 10, lambda _, found: written.append(found))
    inputs: dict[str, Tensor] = {}
    for name in ("1", "4"):
        watched.get_submodule(name).register_forward_pre_hook(
            lambda _, given, name=name: inputs.update({name: given[0].detach().double()})
        )

    for step in range(10):
        descent.zero_grad()
        functional.cross_entropy(watched(torch.randn(16, 1, 6, 6) * (step + 1)), torch.arange(16) % 5).backward()
        descent.step()
        watch.record()
        for name, numbers in written[-1].items():
            found = dict(zip(watch.names, numbers, strict=True))
            channels = inputs[name].transpose(0, 1).flatten(1).numpy()
            layer = watched.get_submodule(name)
            expected = {"batch_mean": channels.mean(1), "batch_var": channels.var(1, ddof=1)} | {
                field: getattr(layer, source).detach().numpy()
                for field, source in {"running_mean": "running_mean", "running_var": "running_var"}.items()
            }
            expected |= {"gamma": layer.weight.detach().numpy(), "beta": layer.bias.detach().numpy()}
            for field, values in expected.items():
                got = [found[f"{field}/p{percentile}"] for percentile in layer_watch.PERCENTILES]
                scale = np.abs(values).max() + np.abs(expected["running_mean"]).max()
                np.testing.assert_allclose(got, percentiles(values), rtol=1e-4, atol=2e-6 * scale, err_msg=field)
            norm = math.sqrt(sum(float(part.grad.double().square().sum()) for part in (layer.weight, layer.bias)))
            assert found["gradient_norm"] == pytest.approx(norm, rel=1e-5)
    # The control: the batch's variance is not the running one, so the comparison above tells them apart.
    assert found["batch_var/p50"] > 1.5 * found["running_var/p50"]


def test_a_layer_that_is_used_twice_in_a_step_is_refused() -> None:
    norm = nn.BatchNorm1d(3)
    watch = LayerWatch(nn.Sequential(norm), 1, lambda *_: None)

    norm(norm(torch.randn(4, 3))).sum().backward()

    with pytest.raises(InvalidInput, match="watch-layers: layer '0' is used 2 times in one step"):
        watch.record()


@pytest.mark.parametrize("steps", [1, 2, 40, 64, 9375, 10**7])
def test_few_steps_are_kept_with_the_first_and_the_last(steps: int) -> None:
    kept = sorted(layer_watch.kept_steps(steps))

    assert (kept[0], kept[-1]) == (1, steps)
    assert len(kept) <= layer_watch.MAX_POINTS


def train(data: ImageDataset, folder: Path, *, resume: bool = False, watch_layers: bool = True) -> nn.Module:
    rows = Rows.of(CONFIG, data)
    return run.train(CONFIG, data, rows, folder, resume=resume, log=lambda _: None, watch_layers=watch_layers)


@pytest.fixture
def tensorboard() -> Any:
    return pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def scalars(tensorboard: Any, folder: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard shows of the files in a folder: values by tag and step."""
    events = tensorboard.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def test_watching_changes_no_bit_and_a_resumed_run_has_the_history_of_an_uninterrupted_one(
    tmp_path: Path, few_digits: ImageDataset, monkeypatch: pytest.MonkeyPatch, tensorboard: Any
) -> None:
    plain = train(few_digits, tmp_path / "plain", watch_layers=False)
    watched = train(few_digits, tmp_path / "watched")
    write = checkpoint.write

    def write_and_die(*given: Any) -> None:
        write(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write", write_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(few_digits, tmp_path / "resumed")
    monkeypatch.undo()
    train(few_digits, tmp_path / "resumed", resume=True)

    torch.testing.assert_close(watched.state_dict(), plain.state_dict(), rtol=0, atol=0)
    assert checkpoint.read(tmp_path / "plain" / checkpoint.FILE).history == {}
    histories = [checkpoint.read(tmp_path / name / checkpoint.FILE).history for name in ("watched", "resumed")]
    assert histories[0]["steps"].tolist() == list(range(1, STEPS + 1))
    torch.testing.assert_close(histories[1], histories[0], rtol=0, atol=0)
    shown = scalars(tensorboard, tmp_path / "watched")
    assert shown == scalars(tensorboard, tmp_path / "resumed")
    for row, name in enumerate(LayerWatch.names):
        values = shown[f"blocks.0.norm/{name}"]
        assert list(values.values()) == histories[0]["blocks.0.norm"][:, row].tolist()


def test_a_new_run_in_the_folder_of_an_old_one_hides_its_steps(
    tmp_path: Path, few_digits: ImageDataset, tensorboard: Any
) -> None:
    train(few_digits, tmp_path)
    train(few_digits, tmp_path)

    assert list(scalars(tensorboard, tmp_path)["blocks.0.norm/gradient_norm"]) == list(range(1, STEPS + 1))


def test_the_bundle_has_the_history_of_the_layers_that_it_has(few_digits: ImageDataset, tmp_path: Path) -> None:
    config = Config("dcgan", "digits", width=4, depth=1)
    rows = Rows.of(config, few_digits)
    gan = DCGAN((1, 28, 28), 10, depth=1, width=4)
    watch = LayerWatch(gan.generator, 1, lambda *_: None)
    gan.generator(torch.randn(8, 74)).square().sum().backward()
    watch.record()
    checkpoint.write(tmp_path / "run", config, 1, gan, torch.optim.Adam(gan.parameters()), watch.tensors())
    part = published_part.of(gan, few_digits, rows)
    bundle.store_statistics(part)

    history = checkpoint.read(tmp_path / "run").history
    made = bundle.make("tiny", config, part, {}, history)

    found = made.manifest.training_history
    assert found is not None
    assert list(found.layers) == [layer.name for layer in made.manifest.norm_layers]
    (name,) = found.layers
    assert (found.steps, found.percentiles) == ((1,), layer_watch.PERCENTILES)
    assert found.layers[name].gamma == ((1.0, 1.0, 1.0),)
    assert found.layers[name].running_var[0] == pytest.approx(history[name][0, 9:12].tolist(), rel=1e-3)
    assert TrainingHistory.model_validate_json(found.model_dump_json()) == found


def test_without_tensorboard_nothing_is_started(
    few_digits: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "training.event_file", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)

    with pytest.raises(InvalidInput, match=r"watch-layers: needs TensorBoard: pip install 'denge\[tensorboard\]'"):
        train(few_digits, tmp_path)

    assert list(tmp_path.iterdir()) == []
