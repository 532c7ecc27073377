"""Memory: what a training step takes at its peak, by walking the plan.

Of each layer it is known which of its maps autograd keeps for the gradients, as torch and
``training.loop.quick`` compute it, and which maps its backward pass holds besides: the gradient
that comes in, the one that goes out, a product before it is summed, the gradient that waits at a
residual sum. The peak is the greatest, over all layers, of

    copies · params             weights and what the optimiser has of them; the gradients of the
                                layers behind this one
    + batch · maps              kept up to this layer, and what its backward pass holds

Backward, the layers behind a layer are done and have freed theirs. A stage that is computed again
(``recompute``) keeps its input alone until its turn comes. Counted in elements of float32; maps on
CUDA are bfloat16. Sources: torch's ``derivatives.yaml`` (what is saved), Chen et al. 2016
(arXiv:1604.06174, computing again).

``benchmarks/timing/memory.py`` measures peaks beside it (docs/training.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from models.cost import Shape, fold
from models.plan import (
    Act,
    Conv,
    Dropout,
    Excite,
    Flatten,
    GlobalPool,
    Layer,
    LayerScale,
    Linear,
    Norm,
    Permute,
    Pool,
    Repeat,
    Residual,
    plan,
)
from models.spec import ArchSpec

COPIES_OF_PARAMETERS = 3
"""Of the weights, with their gradients and momenta; AdamW and RMSProp keep one more, an average of
the weights another."""

_COPIES_OF_ACTIVATIONS = 4
_BYTES = 4
_IN_PLACE = "relu"  # its result tells the gradient, so the input is overwritten; ReLU6 copies it


def training_bytes(
    params: int, activations: int, batch: int, copies: int = COPIES_OF_PARAMETERS
) -> int:
    """Bytes of a training step of a network of which only this is known: roughly, and rather too
    many. 4 · (copies · params + 4 · batch · activations)."""
    return _BYTES * (copies * params + _COPIES_OF_ACTIVATIONS * batch * activations)


def step_bytes(
    spec: ArchSpec,
    batch: int,
    copies: int = COPIES_OF_PARAMETERS,
    *,
    recompute: bool = False,
    map_bytes: int = _BYTES,
) -> int:
    """Bytes of a training step at its peak, ``batch`` images at once, their pixels included.

    map_bytes  of an element of the maps: 4, or 2 where they are bfloat16

    Raises ValueError where nothing is left of images of the spec's resolution.
    """
    return max(
        _BYTES * (copies * one.params - one.waiting) + map_bytes * batch * one.maps
        for one in moments(spec, recompute)
    )


@dataclass(frozen=True)
class Moment:
    """A layer's turn in the backward pass.

    params   of the whole network
    waiting  of the layers whose gradients are not there yet
    maps     elements of an image that are there
    """

    params: int
    waiting: int
    maps: int


def moments(spec: ArchSpec, recompute: bool = False) -> list[Moment]:
    """Every layer's turn, from the first layer to the last, and the optimiser's at the end."""
    network = plan(spec)
    walk = _Walk((spec.in_channels, spec.resolution))
    walk.layers(network.stem)
    for stage in network.stages:
        walk.again(stage) if recompute else walk.layers(stage)
    walk.layers(network.head)
    optimiser = Moment(walk.params, 0, spec.in_channels * spec.resolution**2)
    return [replace(one, params=walk.params) for one in walk.found] + [optimiser]


class _Walk:
    """Layers from the first to the last.

    shape    of the map that is there, (channels, side); ``here``: whether it is kept already
    kept     elements of an image that are kept for the gradients of the layers so far
    pending  that wait while the layers at hand are at their turn: a residual sum's gradient
    params   of the layers so far
    """

    def __init__(self, shape: Shape) -> None:
        self.shape, self.here, self.first = shape, False, True
        self.kept = self.pending = self.params = 0
        self.found: list[Moment] = []

    @property
    def size(self) -> int:
        """Elements of the map that is there."""
        return self.shape[0] * self.shape[1] ** 2

    def keep(self) -> None:
        """Keep the map that is there, once."""
        self.kept += 0 if self.here else self.size
        self.here = True

    def turn(self, held: int) -> None:
        """The turn of the layer at hand, which holds so many elements for itself."""
        self.found.append(Moment(0, self.params, self.kept + self.pending + held))

    def layers(self, layers: Iterable[Layer]) -> None:
        """One after the other."""
        for layer in layers:
            self.layer(layer)

    def again(self, layers: tuple[Layer, ...]) -> None:
        """Layers whose maps are there at their turn only, computed again from their input."""
        self.keep()
        before = self.kept
        self.layers(layers)
        self.kept, self.here = before, False

    def layer(self, layer: Layer) -> None:
        """Raises TypeError for a kind of layer whose memory is not known."""
        if isinstance(layer, Repeat):
            for _ in layer.drops:
                self.layers(layer.body)
        elif isinstance(layer, Residual):
            self._residual(layer)
        elif isinstance(layer, Excite):
            self._excite(layer)
        elif isinstance(layer, Act):
            self._act(layer)
        elif isinstance(layer, Norm | LayerScale | Conv | Linear | Pool):
            self._map(layer)
        elif isinstance(layer, GlobalPool):
            self.shape, self.here = (self.shape[0], 1), False
        elif not isinstance(layer, Flatten | Permute | Dropout):
            raise TypeError(f"the memory of a layer {layer!r:.80} is not known: add it here")

    def _map(self, layer: Norm | LayerScale | Conv | Linear | Pool) -> None:
        """A layer that keeps its input and makes another map."""
        self.keep()
        came = 0 if self.first else self.size  # nobody asks for the pictures' gradient
        price, self.shape = fold((layer,), self.shape)
        goes = self.size
        held = came + goes
        if isinstance(layer, LayerScale):
            held += goes  # the product before it is summed to the scale's gradient
        if isinstance(layer, Pool) and layer.kind == "max":
            self.kept += 2 * goes  # where each largest was, int64
        if isinstance(layer, Norm) and layer.kind == "layer":
            self.kept += 2 * self.shape[1] ** 2  # each pixel's mean and deviation
        self.turn(held)
        self.params += price.params
        self.here = self.first = False

    def _act(self, layer: Act) -> None:
        if layer.name not in (_IN_PLACE, "sigmoid"):
            self.keep()
            self.here = False  # of what it makes, which is another map
        else:
            self.keep()  # its result, in its input's place
        self.turn(2 * self.size)

    def _excite(self, layer: Excite) -> None:
        self.keep()
        shape, size = self.shape, self.size
        self.layers(layer.body)
        self.kept += 0 if self.here else shape[0]
        self.shape, self.here = shape, False
        # The gradient that came in, the map's own, and the gate's before it is summed.
        self.turn(3 * size)

    def _residual(self, layer: Residual) -> None:
        shape, here = self.shape, self.here
        kept, size = self.kept, self.size
        self.pending += size
        self.layers(layer.body)
        self.pending -= size
        out = self.shape
        if layer.shortcut:
            # The body's first layer has kept what goes into both.
            self.shape, self.here = shape, here or self.kept > kept
            waits = out[0] * out[1] ** 2
            self.pending += waits
            self.layers(layer.shortcut)
            self.pending -= waits
        self.shape, self.here = out, False
        self.layers(layer.after)
