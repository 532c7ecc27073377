"""The classifier that a network begins with whose features are inherited."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from training.data import Data, Split, first, part
from training.recipe import Recipe
from training.transfer.head import features, fit, install, taken


def begin(
    network: nn.Module, split: Split, side: int, data: Data, recipe: Recipe, seed: int
) -> None:
    """Give ``network`` a classifier that is fitted to the features of ``split`` at ``side`` pixels.

    Where a training by ``recipe`` follows, these are the features that it will see
    (``in_training``): of a few hundred pictures a classifier that is fitted to features at rest is
    too sure of what moves as soon as these are trained on (docs/transfer.md); what is drawn at
    random in them derives from ``seed``. Where none follows, or nothing but the classifier learns,
    they are at rest.
    """
    torch.manual_seed(seed)
    moves = recipe.epochs > 0 and not recipe.freeze
    given = (
        in_training(network, split, side, data, recipe)
        if moves
        else features(network, split, side, data)
    )
    install(network, fit(given, split.labels, len(data.classes), balance=recipe.balance))


def in_training(network: nn.Module, split: Split, side: int, data: Data, recipe: Recipe) -> Tensor:
    """What the classifier is given in a training's batches, float32 (N, features): normalised by
    each batch's own statistics, with the network's dropout and stochastic depth.

    Pictures are in order and as they are. Those that are left over come in a batch that is filled
    up with the ones before them. The network is the same afterwards, in eval mode.
    """
    batch = recipe.batch_of(len(split))
    batch = min(batch, recipe.micro_batch or batch)
    left = len(split) % batch
    with _moving(network):
        found = taken(network, first(split, len(split) - left), side, data, batch)
        if left:
            last = taken(network, part(split, slice(-batch, None)), side, data, batch)
            found = torch.cat([found, last[-left:]])
    return found


@contextmanager
def _moving(network: nn.Module) -> Iterator[None]:
    """Training mode for a while, in which running statistics stay as they are; then eval mode."""
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    network.train()
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()
