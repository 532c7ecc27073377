"""What a network says of pictures, and where it finds that."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from models.spec import ArchSpec
from reports.cam.maps import Maps


class Looked(NamedTuple):
    """A network and what it says of the pictures.

    name     where it was found
    method   ``CAM`` or ``Grad-CAM``, of ``layer``
    classes  names of all its outputs
    pixels   uint8 (N, 3, side, side), RGB, the pictures as they went in
    """

    name: str
    spec: ArchSpec
    method: str
    layer: str
    classes: tuple[str, ...]
    pixels: Tensor
    maps: Maps

    def told(self) -> list[str]:
        """Of each picture the class that its map is of, and how likely it is."""
        pairs = zip(self.maps.of.tolist(), self.maps.shares.tolist(), strict=True)
        return [f"{self.classes[of]}, {100 * share:.0f} %" for of, share in pairs]
