"""Trainings of networks that ``torch.compile`` has taken over, in a worker that may be killed."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from torch import nn

from models.build import build
from models.spec import ArchSpec
from training.evaluator import ByName
from training.loop.train import train
from training.recipe import Recipe
from trials.record import Evaluation


@dataclass(frozen=True)
class Compiled:
    """``evaluate(spec, seed)``; a spec's second training finds its network compiled."""

    source: ByName
    recipe: Recipe
    device: str
    backend: str

    def __call__(self, spec: ArchSpec, seed: int) -> Evaluation:
        data = self.source.data()
        twin = self.recipe.network(spec, len(data.classes), data.channels)
        network = _compiled(twin, self.backend)
        return train(spec, self.recipe, data, seed, self.device, network=network)


@functools.lru_cache(maxsize=1)
def _compiled(twin: ArchSpec, backend: str) -> nn.Module:
    network = build(twin)
    network.compile(backend=backend)
    return network
