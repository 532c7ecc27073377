"""The network that candidates inherit from: its weights, made ready for the user's pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.build import build
from models.inherit import inherit, rebase
from models.spec import ArchSpec
from training.data import Data, Split
from training.loop.augment import to_float
from training.loop.feeds.placed import placed
from training.loop.train import OnEpoch, first, train
from training.recipe import Recipe
from training.transfer.begin import begin

BATCH = 128  # pictures at once where nothing is learned from them
STATISTICS = 512  # pictures by which batch norms are moved


class Moments(NamedTuple):
    """Mean and standard deviation of each channel that pictures are normalised by, in 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Parent:
    """A network with weights, and how its pictures are normalised; picklable.

    name      what people call it
    spec      with the classes and the channels that its weights have
    weights   for ``build(spec)``, strictly
    moments   of the pictures that it takes
    source    the digest of the weights that these were made from; None: these themselves
    own       whether it is a search's own, which trains it from scratch
    """

    name: str
    spec: ArchSpec
    weights: Mapping[str, Tensor]
    moments: Moments
    source: str | None = None
    own: bool = False

    @property
    def untrained(self) -> bool:
        """Whether it has yet to be trained: its weights are random."""
        return self.own and self.source is None

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that depend on the spec and on every weight."""
        found = hashlib.sha256(self.spec.key.encode())
        for name in sorted(self.weights):
            found.update(name.encode())
            found.update(self.weights[name].contiguous().numpy().tobytes())
        return found.hexdigest()[:16]

    @cached_property
    def network(self) -> nn.Module:
        """The built network with its weights, in evaluation mode; nobody may change it."""
        made = build(self.spec)
        made.load_state_dict(dict(self.weights))
        return made.to(memory_format=torch.channels_last).eval()

    def twin(self, recipe: Recipe) -> Parent:
        """It as the recipe's children are seen: without the leading strides that theirs lack."""
        if not recipe.drop_strides:
            return self
        if recipe.key not in self._twins:
            spec = recipe.network(self.spec, self.spec.classes, self.spec.in_channels)
            self._twins[recipe.key] = replace(self, spec=spec)
        return self._twins[recipe.key]

    @cached_property
    def _twins(self) -> dict[str, Parent]:
        return {}

    def facts(self) -> dict[str, Any]:
        """What a run says of it, JSON: the same however it was prepared."""
        told: dict[str, Any] = {"name": self.name, "digest": self.source or self.digest}
        return told | {"own": True} if self.own else told

    def __reduce__(self) -> tuple[Any, ...]:  # without the network, which is made again
        told = self.name, self.spec, dict(self.weights), self.moments, self.source, self.own
        return Parent, told


def alike(spec: ArchSpec) -> dict[str, Any]:
    """The settings that a network shares with the parent of its weights, by their names."""
    return {name: getattr(spec, name) for name in ("activation", "norm_eps", "norm_momentum")}


def of_data(parent: Parent, data: Data) -> Parent:
    """``parent`` for pictures as ``data`` has them: their normalisation, channels and classes.

    The first convolution takes over what differs between the normalisations; up to what its
    padding sees, the function stays. The classifier of other classes is a fresh one.
    """
    spec = replace(parent.spec, classes=len(data.classes), in_channels=data.channels)
    mean, std = (tuple(value.tolist()) for value in (data.mean, data.std))
    # Grey pictures are three equal channels, and three are one where weights know one only.
    between = Moments(
        *((sum(each) / len(each),) * len(parent.moments.mean) for each in (mean, std))
    )
    same = len(between.mean) == data.channels
    first = Moments(mean, std) if same else between
    weights = inherit(parent.spec, _renormalised(parent.weights, parent.moments, first), spec)
    if not same:
        grey = Moments(*((each[0],) * data.channels for each in between))
        weights = _renormalised(weights, grey, Moments(mean, std))
    return Parent(parent.name, spec, weights, Moments(mean, std), parent.source or parent.digest)


def _renormalised(weights: Mapping[str, Tensor], old: Moments, new: Moments) -> dict[str, Tensor]:
    """Weights for pictures that are normalised by ``new`` where these are for ``old``."""
    (mean, std), (now, spread) = (map(torch.tensor, one) for one in (old, new))
    kernel = weights["stem.0.weight"]
    # x under the old moments is x under the new ones · gain + offset.
    gain, offset = spread / std, (now - mean) / std
    lost = (kernel * offset[:, None, None]).sum((1, 2, 3))
    found = {**weights, "stem.0.weight": kernel * gain[:, None, None]}
    if "stem.0.bias" in weights:
        return found | {"stem.0.bias": weights["stem.0.bias"] + lost}
    return found | {"stem.1.running_mean": weights["stem.1.running_mean"] - lost}


def batches(split: Split, side: int, data: Data, batch: int = BATCH) -> Iterator[Tensor]:
    """The pictures as networks take them, (batch, C, side, side) each."""
    for images in torch.split(split.images, batch):
        yield to_float(images, side, data.mean, data.std, channels_last=True)


def prepared(
    parent: Parent,
    recipe: Recipe,
    data: Data,
    seed: int,
    device: torch.device,
    epochs: int,
    on_epoch: OnEpoch | None = None,
) -> Parent:
    """``parent`` once it has seen the pictures: what candidates are to inherit.

    Its batch norms' statistics become those of the pictures, by the same function
    (``models.inherit.rebase``); its classifier is fitted (``training.transfer.begin``); then all of
    it is trained for ``epochs`` by ``recipe``, 0: it is not. Of the validation pictures nothing is
    used.
    """
    data = placed(data, device)
    if recipe.resolution is not None:  # seen as candidates will be, whatever it was made for
        parent = replace(parent, spec=replace(parent.spec, resolution=recipe.reference))
    ready = of_data(parent, data)
    side = recipe.side(ready.spec)
    split = first(data.train, recipe.images)
    network = ready.network.to(device)
    rebase(network, batches(first(split, STATISTICS), side, data))
    recipe = replace(recipe, epochs=epochs)
    begin(network, split, side, data, recipe, seed)
    if epochs:
        train(
            ready.spec,
            recipe,
            data,
            seed,
            device,
            network=network,
            on_epoch=on_epoch,
        )
    return replace(ready, weights=weights_of(network))


class MadeReady(NamedTuple):
    """The seconds that a parent's preparation took, and the device, as an Evaluation has it."""

    seconds: float
    device: str


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """The network's state on the CPU, in plain memory."""
    return {name: one.detach().cpu().contiguous() for name, one in network.state_dict().items()}


def keep(parent: Parent, path: Path, made: MadeReady | None = None) -> None:
    """Write the weights with the spec and the normalisation that they are for, as safetensors, and
    what it took to make them ready."""
    facts = {
        "name": parent.name,
        "spec": parent.spec.to_json(),
        "moments": json.dumps(parent.moments),
        "source": parent.source or parent.digest,
        **({"own": "yes"} if parent.own else {}),
        **({} if made is None else {"made_ready": json.dumps(made)}),
    }
    save_file(dict(parent.weights), path, metadata=facts)
