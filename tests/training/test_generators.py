"""A generator, from training to a bundle."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.errors import InvalidInput
from models.manifest import Manifest
from models.runtime.load import load
from training import adversarial, bundle, latents, loop, published_part, run
from training.config import Config
from training.data.dataset import ImageDataset
from training.networks.dcgan import DCGAN, NOISE
from training.processes import OneProcess
from training.run import Rows

CONFIG = Config("dcgan", "digits", epochs=1, width=4, batch_size=64)


def test_a_step_descends_the_loss_of_each_network_by_its_own_weights(few_digits: ImageDataset) -> None:
    rows, rate = Rows.of(CONFIG, few_digits), 0.1
    network = DCGAN((1, 28, 28), 10, width=4)
    expected = copy.deepcopy(network)

    torch.manual_seed(1)
    losses = adversarial.train_epoch(
        network,
        torch.optim.SGD(network.parameters()),
        rows.train[:32],
        rows.train_labels[:32],
        batch_size=32,
        learning_rate=lambda _: rate,
    )

    # By the definition: -log D(x) - log(1 - D(G(z))) over two, then -log D(G(z)) by the discriminator that has learned.
    torch.manual_seed(1)
    order = torch.randperm(32)
    classes = torch.eye(10)[rows.train_labels[:32][order]]
    made = expected.generator(torch.cat([torch.randn(32, NOISE), classes], dim=1))
    real = expected.discriminator(rows.train[:32][order] * 2 - 1, classes).sigmoid()
    fake = expected.discriminator(made.detach(), classes).sigmoid()
    against = -(real.log() + (1 - fake).log()).mean() / 2
    _descend(expected.discriminator, against, rate)
    with_it = -expected.discriminator(made, classes).sigmoid().log().mean()
    _descend(expected.generator, with_it, rate)
    assert losses == pytest.approx((against.item(), with_it.item()), rel=1e-4)
    for name, tensor in expected.named_parameters():
        torch.testing.assert_close(network.get_parameter(name), tensor, rtol=1e-4, atol=1e-6)


def _descend(part: nn.Module, loss: Tensor, rate: float) -> None:
    parameters = list(part.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= rate * gradient


def test_a_loss_that_is_not_finite_ends_the_training(few_digits: ImageDataset) -> None:
    network = DCGAN((1, 28, 28), 10, width=4)
    torch.nn.init.constant_(network.discriminator.output.bias, torch.inf)
    rows = Rows.of(CONFIG, few_digits)

    with pytest.raises(loop.Diverged, match=r"a loss became (inf|nan) at step 0"):
        adversarial.train_epoch(
            network,
            torch.optim.SGD(network.parameters()),
            rows.train,
            rows.train_labels,
            batch_size=32,
            learning_rate=lambda _: 0.1,
        )


@pytest.fixture(scope="module")
def trained(few_digits: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> DCGAN:
    network = run.train(
        CONFIG,
        few_digits,
        Rows.of(CONFIG, few_digits),
        tmp_path_factory.mktemp("run"),
        resume=False,
        log=lambda _: None,
    )
    assert isinstance(network, DCGAN)
    return network


def test_the_bundle_is_of_the_generator_folded_completely(trained: DCGAN, few_digits: ImageDataset) -> None:
    rows = Rows.of(CONFIG, few_digits)

    part = published_part.of(trained, few_digits, rows)
    metrics = bundle.store_statistics(part)
    made = bundle.make("tiny", CONFIG, part, metrics)

    manifest: Manifest = made.manifest
    assert [layer.placement.kind for layer in manifest.norm_layers] == ["folded_back"] * 2
    assert manifest.generation == latents.generation(few_digits)
    assert (manifest.labels, manifest.preprocessing, manifest.inputs[0].shape) == (None, None, (-1, 74))
    drawn = latents.draw(few_digits, 20, seed=5)
    with torch.no_grad():
        expected = trained.generator(drawn)
    images = load(made.folded, optimize=True)({"latents": drawn.numpy()})["images"]
    np.testing.assert_allclose(images, expected, rtol=1e-4, atol=1e-5)
    assert made.held_out is not None


def test_its_statistics_are_of_latents_and_not_of_images(trained: DCGAN, few_digits: ImageDataset) -> None:
    rows = Rows.of(CONFIG, few_digits)

    bundle.store_statistics(published_part.of(trained, few_digits, rows))

    with torch.no_grad():
        first = trained.generator.blocks[0].conv(latents.draw(few_digits, len(rows.train), 0)[:, :, None, None])
    expected = first.double().mean(dim=(0, 2, 3))
    norm = trained.generator.blocks[0].norm
    np.testing.assert_allclose(norm.running_mean, expected, atol=1e-6)


def test_several_processes_are_refused(few_digits: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> None:
    two = OneProcess()
    two.count = 2

    with pytest.raises(InvalidInput, match="model: dcgan is trained by one process"):
        run.train(
            CONFIG,
            few_digits,
            Rows.of(CONFIG, few_digits),
            tmp_path_factory.mktemp("run"),
            resume=False,
            log=lambda _: None,
            processes=two,
        )
