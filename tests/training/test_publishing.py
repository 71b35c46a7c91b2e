"""A user's own network, published by a call."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import training
from models.errors import InvalidInput, TrainingModeGraph
from models.manifest import ImagePreprocessing
from models.repository.repository import Repository
from models.runtime.load import load
from training import publish


def network() -> nn.Module:
    torch.manual_seed(0)
    found = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    nn.init.normal_(found[1].running_mean)
    nn.init.uniform_(found[1].running_var, 0.5, 2)
    return found.eval()


def test_a_network_is_published_with_what_is_known_of_it(tmp_path: Path) -> None:
    module, rows = network(), torch.rand(64, 1, 8, 8)
    greyscale = ImagePreprocessing(mode="grey", height=8, width=8, scale=1 / 255, mean=(0.0,), std=(1.0,))

    version = publish(
        module,
        rows[:1],
        name="theirs",
        reference_rows=rows,
        labels=["a", "b", "c"],
        preprocessing=greyscale,
        output_names=["scores"],
        repository=tmp_path,
    )

    bundle = Repository(tmp_path).read("theirs", version)
    manifest = bundle.manifest
    assert (version, manifest.labels, manifest.preprocessing) == (1, ("a", "b", "c"), greyscale)
    assert [spec.name for spec in (*manifest.inputs, *manifest.outputs)] == ["input", "scores"]
    assert [(layer.name, layer.placement.kind) for layer in manifest.norm_layers] == [("1", "folded_back")]
    assert manifest.lineage.origin == "imported"
    assert manifest.drift is not None
    assert bundle.held_out is not None
    expected = module.double()(rows.double()).detach().numpy()
    np.testing.assert_allclose(
        load(bundle.folded, optimize=True)({"input": rows.numpy()})["scores"], expected, atol=1e-5
    )


def test_weights_are_stored_in_half_precision(tmp_path: Path) -> None:
    rows = torch.rand(64, 1, 8, 8)

    publish(network(), rows[:1], name="theirs", reference_rows=rows, half_weights=True, repository=tmp_path)

    record = Repository(tmp_path).read("theirs", 1).manifest.half_weights
    assert record is not None
    assert (record.weights, record.rows, record.agreement) == (1, 64, 1.0)


def test_a_network_in_training_mode_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TrainingModeGraph, match="eval"):
        publish(network().train(), torch.zeros(1, 1, 8, 8), name="theirs", repository=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rows_of_several_inputs_are_given_by_name() -> None:
    class Two(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a + b

    rows = torch.zeros(64, 2)
    with pytest.raises(InvalidInput, match=r"several inputs: .* a, b"):
        publish(Two().eval(), (rows, rows), name="two", reference_rows=rows)


def test_the_package_has_one_name() -> None:
    assert training.publish is publish
    with pytest.raises(AttributeError, match="has no attribute 'unpublish'"):
        training.unpublish  # noqa: B018
