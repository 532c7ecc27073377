"""A network without its classifier: the maps that detectors and segmenters take.

features = backbone(spec, weights)
pyramid = FeaturePyramidNetwork(list(features.channels.values()), 256)
pyramid(features(images))
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from models.build import build
from models.cost import parts
from models.deploy.maps import last_maps
from models.pretrained import load_weights
from models.spec import ArchSpec


class Backbone(nn.Module):
    """(N, C, H, W) → of each stride the last map that has it, by the stride as a word: "4", "8" …

    Strides are of the spec's own reductions; a side that they do not divide is rounded as the
    network rounds it. The modules keep the network's names, so its weights fit but for the head's.

    channels  of each map, in the order of the maps
    """

    def __init__(self, spec: ArchSpec, network: nn.Module, least: int = 4) -> None:
        super().__init__()
        self.spec, self.stem, self.stages = spec, network.stem, network.stages
        every = parts(spec)
        self._at = {number: str(stride) for stride, number in last_maps(spec, least).items()}
        self.channels = {name: every[number].channels for number, name in self._at.items()}

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the image a pixel of each map."""
        return tuple(map(int, self.channels))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The maps, the largest first."""
        found: dict[str, Tensor] = {}
        for number, layers in enumerate((self.stem, *self.stages)):  # type: ignore[misc]
            x = layers(x)
            if (name := self._at.get(number)) is not None:
                found[name] = x
        return found


def backbone(
    spec: ArchSpec, weights: Mapping[str, Tensor] | None = None, *, least: int = 4
) -> Backbone:
    """The maps of ``spec`` with strides of ``least`` and more, with ``weights`` as a training has
    written them, else fresh ones.

    Raises ValueError where the weights are another network's, and where there is no such map.
    """
    network = build(spec)
    if weights is not None:
        load_weights(network, dict(weights))
    return Backbone(spec, network, least)
