"""What a network does, by kind of layer: what its latency is made of.

Two networks of equal multiply-adds can differ several times in latency, because a device has a rate
of its own for each kind of layer: depthwise convolutions compute little and write much, activations
and norms compute next to nothing, and a GPU at batch 1 mostly waits for the next layer.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.cost import Shape, fold
from models.plan import (
    Act,
    Conv,
    Excite,
    GlobalPool,
    Layer,
    LayerScale,
    Linear,
    Norm,
    Pool,
    Repeat,
    Residual,
    plan,
)
from models.spec import ArchSpec

KINDS = (
    "conv", "pointwise", "depthwise", "squeeze", "linear", "norm", "act", "pool", "sum", "scale",
)  # fmt: skip
"""``squeeze``: convolutions within squeeze-and-excitation; ``scale``: its product, layer scales."""


def work(spec: ArchSpec) -> list[tuple[int, ...]]:
    """Of the stem, each stage and the head: for each of ``KINDS`` in turn the multiply-adds, the
    elements put out and the number of layers, for one image.

    Raises ValueError where the resolution is too small for the network's strides.
    """
    network = plan(spec)
    shape = (spec.in_channels, spec.resolution)
    found = []
    for layers in (network.stem, *network.stages, network.head):
        tally = _Tally()
        shape = tally.fold(layers, shape)
        found.append(tuple(number for kind in KINDS for number in tally.found[kind]))
    return found


class _Tally:
    def __init__(self) -> None:
        self.found = {kind: [0, 0, 0] for kind in KINDS}

    def fold(
        self, layers: Iterable[Layer], shape: Shape, times: int = 1, within: bool = False
    ) -> Shape:
        """Count ``layers``, each ``times`` times, ``within`` squeeze-and-excitation or not; the
        shape that they put out."""
        for layer in layers:
            shape = self._layer(layer, shape, times, within)
        return shape

    def _layer(self, layer: Layer, shape: Shape, times: int, within: bool) -> Shape:
        if isinstance(layer, Repeat):
            return self.fold(layer.body, shape, times * len(layer.drops), within)
        if isinstance(layer, Excite):
            self.fold(layer.body, shape, times, within=True)
            self._add("scale", 0, shape, times)
            return shape
        if isinstance(layer, Residual):
            out = self.fold(layer.body, shape, times, within)
            self.fold(layer.shortcut, shape, times, within)
            self._add("sum", 0, out, times)
            return self.fold(layer.after, out, times, within)
        cost, out = fold((layer,), shape)
        if kind := _kind(layer, within):
            self._add(kind, cost.macs, out, times)
        return out

    def _add(self, kind: str, macs: int, out: Shape, times: int) -> None:
        for i, number in enumerate((macs, out[0] * out[1] ** 2, 1)):
            self.found[kind][i] += times * number


_SIMPLE: dict[type[Layer], str] = {
    Linear: "linear", Norm: "norm", Act: "act", Pool: "pool", GlobalPool: "pool",
    LayerScale: "scale",
}  # fmt: skip


def _kind(layer: Layer, within: bool) -> str | None:
    """One of ``KINDS``; None for what does no work."""
    if not isinstance(layer, Conv):
        return _SIMPLE.get(type(layer))
    if within:
        return "squeeze"
    if layer.groups == layer.cin > 1:
        return "depthwise"
    return "pointwise" if layer.kernel == 1 else "conv"
