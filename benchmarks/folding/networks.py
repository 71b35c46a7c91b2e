"""Networks of timm with batch normalisation, built without pretrained weights and without torchvision."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

SIZES = {
    "resnet18": 64,
    "resnet50": 64,
    "resnet50d": 64,
    "resnext50_32x4d": 64,
    "seresnet50": 64,
    "ecaresnet26t": 64,
    "skresnet18": 64,
    "resnest14d": 64,
    "res2net50_26w_4s": 64,
    "gernet_s": 64,
    "densenet121": 64,
    "dla34": 64,
    "dpn68": 64,
    "vgg11_bn": 224,
    "inception_v3": 128,
    "xception41": 64,
    "mobilenetv2_100": 64,
    "mobilenetv3_small_100": 64,
    "mnasnet_100": 64,
    "efficientnet_b0": 64,
    "efficientnet_lite0": 64,
    "tinynet_e": 64,
    "mixnet_s": 64,
    "ghostnet_100": 64,
    "hardcorenas_a": 64,
    "lcnet_050": 64,
    "rexnet_100": 64,
    "repghostnet_050": 64,
    "repvgg_a0": 64,
    "mobileone_s0": 64,
    "repvit_m0_9": 64,
    "fastvit_t8": 64,
    "levit_128s": 64,
    "regnetx_002": 64,
    "regnety_002": 64,
    "hrnet_w18_small": 64,
    "cspdarknet53": 64,
    "darknet53": 64,
    "selecsls42b": 64,
    "ese_vovnet19b_dw": 64,
    "hgnet_tiny": 64,
    "convmixer_768_32": 64,
    "efficientformer_l1": 224,
    "efficientvit_b0": 64,
    "mobilevit_s": 64,
    "mobilevitv2_050": 64,
    "starnet_s1": 64,
    "swiftformer_xs": 64,
    "visformer_tiny": 64,
    "xcit_nano_12_p16_224": 64,
    "nextvit_small": 64,
    "tiny_vit_5m_224": 224,
    "resnetv2_50": 64,
    "lambda_resnet26t": 128,
    "resnetv2_18": 64,
    "cs3darknet_focus_s": 64,
    "shvit_s1": 64,
    "fasternet_t0": 64,
    "efficientvit_m0": 64,
    "inception_next_atto": 64,
    "mobilenetv4_conv_small_050": 64,
    "ghostnetv2_100": 64,
    "levit_conv_128s": 64,
    "tf_efficientnetv2_b0": 64,
    "botnet26t_256": 64,
}
"""Height and width of the images, by network."""

_FIXED = frozenset(
    {
        "levit_128s",
        "levit_conv_128s",
        "efficientvit_m0",
        "botnet26t_256",
        "visformer_tiny",
        "xcit_nano_12_p16_224",
    }
)
"""Networks that are built for one size of image."""


class _EmptyClass(type):
    """A class whose attributes, as those of an enumeration, are their names."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports torchvision, which timm names but does not need for its networks, as modules of empty classes."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if self._is_its(name) else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        vars(module)["__getattr__"] = self._empty_class
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass

    @staticmethod
    def _is_its(name: str) -> bool:
        return name.partition(".")[0] == "torchvision"

    @staticmethod
    def _empty_class(name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _EmptyClass(name, (), {})


def build(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A network in evaluation mode, and four rows for it."""
    if importlib.util.find_spec("torchvision") is None:
        sys.meta_path.append(_StandIn())
    import timm  # noqa: PLC0415 - after its stand-in

    torch.manual_seed(seed)
    size = SIZES[name]
    network = timm.create_model(name, pretrained=False, **({"img_size": size} if name in _FIXED else {})).eval()
    draw_statistics(network, torch.randn(8, 3, size, size))
    return network, torch.randn(4, 3, size, size)


def norm_layers(network: nn.Module) -> dict[str, _BatchNorm]:
    """Its batch-normalisation layers by their names."""
    return {name: module for name, module in network.named_modules() if isinstance(module, _BatchNorm)}


def statistics(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    """The running mean and variance, which every network here has, to be changed in place."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean, layer.running_var


def draw_statistics(network: nn.Module, rows: Tensor) -> None:
    """Random scales and shifts, a tenth of the scales negative, and statistics near those of the rows."""
    layers = list(norm_layers(network).values())
    with torch.no_grad():
        for layer in layers:
            layer.weight.uniform_(0.5, 1.5)
            layer.weight[torch.rand_like(layer.weight) < 0.1] *= -1
            layer.bias.normal_(0, 0.2)
            layer.momentum = 1.0
            layer.train()
        network(rows)
        for layer in layers:
            layer.eval()
            layer.momentum = 0.1
            mean, variance = statistics(layer)
            mean += 0.1 * variance.sqrt() * torch.randn_like(mean)
            variance *= torch.exp(0.1 * torch.randn_like(variance))
