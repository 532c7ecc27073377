"""What networks of any space have in common, as numbers: how one space's table speaks of another.

Stages are looked at by where they stand between stem and head, the first at 0 and the last at 1,
and read at ``ANCHORS`` places by straight lines in between: a space of seven stages has its own
seven, one of three is stretched. Layers that are chosen one by one and have the same channels in a
row are one stage. Traits of a stage: the logarithm of its expansion, its kernel, its layers and its
squeeze-and-excitation, means over its layers; of the network: the logarithms of its multiply-adds,
parameters, activations and layers. Sizes are those on ImageNet (224 pixels, 1,000 classes),
whatever the search's own pictures are, so that no trait depends on resolution.
"""

from __future__ import annotations

import math

import numpy as np

from models.cost import Part
from models.spec import ArchSpec
from nas.costing import Floats
from nas.space import Batch, LayerChoices, Space

ANCHORS = 7
SIDE, CLASSES, CHANNELS = 224, 1000, 3
KINDS = ("expansion", "kernel", "layers", "se")
TOTALS = ("macs", "params", "activations", "depth")
NAMES = (*(f"{kind} at {i}" for kind in KINDS for i in range(ANCHORS)), *TOTALS)
_FINE = 1e6  # parts of an expansion's logarithm, which is summed in integers


class Traits:
    """The map from rows (N, D) of ``space`` to traits (N, ``len(NAMES)``)."""

    def __init__(self, space: Space) -> None:
        self._own_side = bool(space.resolutions)
        self._space = space.at((SIDE,)).with_template(classes=CLASSES, in_channels=CHANNELS)
        self._stages = _stages(space)
        self._to_anchors = _to_anchors(len(self._stages))

    def __call__(self, rows: Batch) -> Floats:
        parts = self._space.over_parts(rows[:, 1:] if self._own_side else rows, _numbers)
        sizes, sums = parts[:, :, :3].sum(1), parts[:, 1:-1, 3:]
        stages = np.stack([sums[:, places].sum(1) for places in self._stages], 1).astype(float)
        layers = stages[:, :, 0]
        means = stages[:, :, 1:] / np.maximum(layers, 1)[:, :, None]
        expansion, kernel, se = np.moveaxis(means, 2, 0)
        kinds = (expansion / _FINE, kernel, np.log1p(layers), se)
        depth = np.log1p(layers.sum(1, keepdims=True))
        return np.hstack([*(kind @ self._to_anchors for kind in kinds), np.log(sizes), depth])


def _stages(space: Space) -> list[list[int]]:
    """The places that each stage holds, in order."""
    found: list[list[int]] = []
    for i, place in enumerate(space.places):
        before = space.places[i - 1] if i else None
        if (
            isinstance(place, LayerChoices)
            and isinstance(before, LayerChoices)
            and (place.stride, place.channels) == (1, before.channels)
        ):
            found[-1].append(i)
        else:
            found.append([i])
    return found


def _to_anchors(stages: int) -> Floats:
    """(stages, ANCHORS): what is read at each anchor of what stands in each stage."""
    own = np.linspace(0, 1, stages) if stages > 1 else np.zeros(1)
    anchors = np.linspace(0, 1, ANCHORS)
    return np.array([np.interp(anchors, own, one) for one in np.eye(stages)])


def _numbers(network: ArchSpec, made: list[Part]) -> list[tuple[int, ...]]:
    """Of stem, each stage and head: macs, params, activations; layers, and sums over the layers of
    the expansion's logarithm, the kernel and whether there is squeeze-and-excitation."""
    none = (0, 0, 0, 0)
    inner = [
        # A bare projection is no layer of the stage's kind.
        none
        if s.block == "projection"
        else (
            s.layers,
            round(_FINE * math.log(s.expansion)) * s.layers,
            s.kernel * s.layers,
            bool(s.se) * s.layers,
        )
        for s in network.stages
    ]
    return [(*part.cost[:3], *own) for part, own in zip(made, [none, *inner, none], strict=True)]
