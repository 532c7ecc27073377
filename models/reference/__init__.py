"""Every published network that the tables quote, and how it is measured.

A network that a spec describes is costed by its closed form. The others are constructed by
torchvision, by timm or pytorchcv (the extra ``reference``) or, where no library has them, here and
in ``models.reference.amoebanet``, and counted on the meta device: nothing is allocated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from models.cost import cost
from models.families import family
from models.reference.amoebanet import AmoebaNet
from models.reference.count import Count, count_on_meta
from models.reference.published import PUBLISHED


class Missing(ImportError):
    """The library that has a network is not installed."""


def measure(name: str) -> Count:
    """The multiply-adds, parameters and fvcore total of one of ``published``'s networks.

    Raises ValueError for another name, ``Missing`` where the network's library is not installed.
    """
    if name not in PUBLISHED:
        raise ValueError(f"{name!r:.80} is no network of the published tables")
    side = PUBLISHED[name].resolution
    if name in SPECS:
        found = cost(replace(family(SPECS[name]), resolution=side))
        return Count(found.macs, found.params, found.fvcore)
    return count_on_meta(CONSTRUCTORS[name], side, channels=1 if name == "LeNet-5" else 3)


def lenet() -> nn.Module:
    """LeNet-5 as it is taught: C3 fully connected, plain average pools, a linear output layer.

    For (N, 1, 32, 32). LeCun et al. 1998, "Gradient-based learning applied to document
    recognition".
    """
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )


def alexnet() -> nn.Module:
    """AlexNet as it won in 2012: two groups (one a GPU) and local response norm.

    For (N, 3, 227, 227). Krizhevsky et al. 2012, sections 3.3 to 3.5.
    """

    def norm() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)

    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4),
        nn.ReLU(),
        norm(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2),
        nn.ReLU(),
        norm(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(9216, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, 1000),
    )


def _torchvision(name: str, **settings: Any) -> nn.Module:
    import torchvision

    network: nn.Module = getattr(torchvision.models, name)(**settings)
    return network


def _timm(name: str) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise _missing("timm") from error
    network: nn.Module = timm.create_model(name)
    return network


def _pytorchcv(name: str) -> nn.Module:
    try:
        from pytorchcv.model_provider import get_model
    except ImportError as error:
        raise _missing("pytorchcv") from error
    network: nn.Module = get_model(name)
    return network


def _missing(library: str) -> Missing:
    return Missing(f"needs {library}: pip install 'evenscale[reference]'")


# Published name → family name.
SPECS = {
    **{f"EfficientNet-B{i}": f"efficientnet-b{i}" for i in range(8)},
    **{f"ResNet-{layers}": f"resnet-{layers}" for layers in (18, 50, 101, 152)},
    "ResNeXt-50 32x4d": "resnext-50",
    "ResNeXt-101": "resnext-101-64x4d",
    "MnasNet-A1": "mnasnet-a1",
    "MnasNet-B1": "mnasnet-b1",
    **{f"ConvNeXt-{size}": f"convnext-{size.lower()}" for size in ("T", "S", "B", "L", "XL")},
    **{
        name: f"{prefix}-{name.split(mark)[1]}"
        for mark, prefix in (
            ("MobileNetV1 ", "mobilenet-v1"),
            ("MobileNetV2 ", "mobilenet-v2"),
            ("ReXNet x", "rexnet"),
        )
        for name in PUBLISHED
        if name.startswith(mark)
    },
}
# ``init_weights=False``: torchvision's slow initialisation would be thrown away.
CONSTRUCTORS: dict[str, Callable[[], nn.Module]] = {
    "LeNet-5": lenet,
    "AlexNet": alexnet,
    "AlexNet, one GPU": partial(_torchvision, "alexnet"),
    "VGG-16": partial(_torchvision, "vgg16", init_weights=False),
    "VGG-19": partial(_torchvision, "vgg19", init_weights=False),
    "GoogLeNet": partial(_torchvision, "googlenet", aux_logits=False, init_weights=False),
    "DenseNet-121": partial(_torchvision, "densenet121"),
    "DenseNet-169": partial(_torchvision, "densenet169"),
    "DenseNet-201": partial(_torchvision, "densenet201"),
    "DenseNet-264": partial(
        _torchvision, "DenseNet", growth_rate=32, block_config=(6, 12, 64, 48), num_init_features=64
    ),
    "Inception-v3": partial(_torchvision, "inception_v3", aux_logits=False, init_weights=False),
    "Inception-v4": partial(_timm, "inception_v4"),
    "Inception-ResNet-v2": partial(_timm, "inception_resnet_v2"),
    "Xception": partial(_timm, "legacy_xception"),
    "SENet": partial(_timm, "legacy_senet154"),
    "NASNet-A": partial(_timm, "nasnetalarge"),
    "PNASNet": partial(_timm, "pnasnet5large"),
    "MnasNet-small": partial(_timm, "mnasnet_small"),
    "PolyNet": partial(_pytorchcv, "polynet"),
    "AmoebaNet-A": partial(AmoebaNet, "A", 18, 190),
    "AmoebaNet-C": partial(AmoebaNet, "C", 18, 228),
    "GPipe": partial(AmoebaNet, "B", 18, 512),
}
