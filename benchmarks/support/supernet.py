"""A supernet over the space ``mbconv``: all of its proxy twins at once, sharing their weights."""

from __future__ import annotations

import itertools
import sys
import time

import numpy as np
import torch
from torch import Tensor, nn

from models.build import Network, build
from models.spec import ArchSpec, StageSpec
from nas.space import Value, space
from training.data import Data
from training.loop.augment import to_float
from training.loop.optimizer import zero_starts
from training.loop.train import evaluate, first
from training.loop.trainer import Trainer
from training.recipe import Recipe

SPACE = space("mbconv")
BATCH = 250  # pictures at once outside training
REPORTED = 400  # steps between two lines of the log


class Supernet(nn.Module):
    """In training, each batch takes a path drawn uniformly (SPOS: Guo et al. 2020,
    arXiv:1904.00420, section 3.3).

    Each layer has a path for every expansion, kernel and SE or none. A path without SE has the
    convolutions of the one with it, but norms of its own. A stage of n layers is the first n; stem
    and head are everybody's.
    """

    def __init__(self, recipe: Recipe, data: Data, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.networks = nn.ModuleDict()
        for values in itertools.product(*(SPACE.places[0].values[name] for name in _VARIED)):
            spec = _uniform(dict(zip(_VARIED, values, strict=True)))
            twin = recipe.network(spec, len(data.classes), data.channels)
            self.networks[_key(spec.stages[0])] = build(twin)
        shared = self._network(next(iter(self.networks)))
        self.stem, self.head = shared.stem, shared.head
        for key in self.networks:
            network, with_se = self._network(key), self._network(key.replace("plain", "se"))
            network.stem, network.head = self.stem, self.head
            for its, own in zip(_convolutions(with_se), _convolutions(network), strict=True):
                own.weight = its.weight
        if recipe.zero_init:
            zero_starts(self)

    def _network(self, key: str) -> Network:
        return self.networks[key]  # type: ignore[return-value]

    def path(self, spec: ArchSpec) -> nn.Sequential:
        """The layers that ``spec`` is made of, ordered as its own network's."""
        stages = []
        for i, stage in enumerate(spec.stages):
            layers = self._network(_key(stage)).stages[i].children()
            stages.append(nn.Sequential(*itertools.islice(layers, stage.layers)))
        return nn.Sequential(self.stem, nn.Sequential(*stages), self.head)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.path(SPACE.spec_of(SPACE.random(1, self.rng)[0]))(x)
        return out


_VARIED = ("e", "k", "se")


def _uniform(values: dict[str, Value]) -> ArchSpec:
    """The deepest network that has these choices in every stage."""
    return SPACE.spec(
        {name: values.get(name.split("_")[1], menu[-1]) for name, menu in SPACE.choices.items()}
    )


def _key(stage: StageSpec) -> str:
    return f"e{stage.expansion}k{stage.kernel}{'se' if stage.se else 'plain'}"


def _convolutions(network: Network) -> list[nn.Conv2d]:
    """Those of the stages, without those of squeeze-and-excitation, which have biases."""
    return [
        module
        for module in network.stages.modules()
        if isinstance(module, nn.Conv2d) and module.bias is None
    ]


def train(network: Supernet, recipe: Recipe, data: Data, seed: int, steps: int) -> float:
    """``steps`` steps of the recipe's schedule, from its warm-up to 0; core-seconds taken."""
    start = time.process_time()
    twin = recipe.network(SPACE.template, len(data.classes), data.channels)
    run = Trainer(twin, recipe, data, first(data.train, recipe.images), seed, network=network)
    run.steps = steps
    for weight in network.parameters():  # the fused step wants all momenta or none
        run.optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
    while run.step < steps:
        loss = run.epoch(lambda done: done >= steps or done % REPORTED == 0)
        print(f"step {run.step} of {steps}: loss {loss:.3f}", file=sys.stderr, flush=True)
    return time.process_time() - start


def score(
    network: Supernet, recipe: Recipe, data: Data, spec: ArchSpec, pictures: int
) -> tuple[float, float, float]:
    """Accuracy on the recipe's validation pictures, negative cross-entropy, core-seconds."""
    start = time.process_time()
    path, side = network.path(spec), recipe.side(spec)
    images = first(data.train, pictures).images
    calibrate(path, to_float(images, side, data.mean, data.std, channels_last=True))
    accuracy, loss = evaluate(path, first(data.validation, recipe.held_out), side, data, BATCH)
    return accuracy, -loss, time.process_time() - start


def calibrate(path: nn.Module, images: Tensor) -> None:
    """Measure the statistics of all batch norms anew, as means over batches (SPOS, 3.4)."""
    for module in path.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    path.train()
    with torch.no_grad():
        for some in torch.split(images, BATCH):
            path(some)
