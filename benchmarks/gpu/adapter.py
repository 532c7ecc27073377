"""What is asked of the project itself, in one place: trainings, networks of known accuracy."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.truth.proxy_fidelity import rows as accel_rows
from models.cost import cost
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.objective import Objective
from nas.space import space
from training.evaluator import ByName
from training.loop.train import train
from training.recipe import Recipe
from trials.record import Evaluation

_MACRO = space("macro")  # one, which keeps the stages that it has checked

SEEDS = 1000
"""Seeds of one training among ``Jobs``."""


@dataclass(frozen=True)
class Training:
    """``evaluate(spec, seed)``: the search's own training; ``graph`` None as a search runs it."""

    source: ByName
    recipe: Recipe
    device: str
    graph: bool | None = None

    def __call__(self, spec: ArchSpec, seed: int) -> Evaluation:
        data = self.source.data()
        return train(spec, self.recipe, data, seed, self.device, graph=self.graph)


@dataclass(frozen=True)
class Jobs:
    """Several trainings for one pool, whose workers are started once: n · SEEDS + seed is the
    n-th under ``seed``."""

    trainings: tuple[Training, ...]

    def __call__(self, spec: ArchSpec, seed: int) -> Evaluation:
        which, own = divmod(seed, SEEDS)
        return self.trainings[which](spec, own)


class Known(NamedTuple):
    """A network and its real top-1 in percent."""

    spec: ArchSpec
    top1: float


def candidates(count: int) -> list[ArchSpec]:
    """Networks that a search on a budget of 400M may train, drawn under seed 0."""
    searched = space("mnasnet")
    rows = Candidates(searched, Objective(400e6)).draw(count, np.random.default_rng(0))
    return [searched.spec_of(row) for row in rows]


def macro(path: Path, count: int) -> list[Known]:
    """NAS-Bench-Macro's networks with their CIFAR-10 accuracies, ``spread`` over these.

    Raises ValueError where a network does not cost what the table says.
    """
    with gzip.open(path, "rt") as file:
        lines = list(csv.DictReader(file))
    known = [
        Known(macro_spec(line["architecture"]), float(line["cifar10_top1_percent"]))
        for line in lines
    ]
    for line, (spec, _) in zip(lines, known, strict=True):
        price = cost(spec)
        if (price.macs, price.params) != (int(line["macs"]), int(line["params"])):
            raise ValueError(f"{spec.name} costs {price}, in {path.name} {line}")
    return spread(known, count)


def accel(path: Path, count: int) -> list[Known]:
    """Accel-NASBench's networks with their ImageNet accuracies, ``spread`` over these."""
    return spread([Known(*pair) for pair in accel_rows(str(path), "report", 0)], count)


def spread(known: list[Known], count: int) -> list[Known]:
    """``count`` of them, one drawn from each of as many equal slices of the ranking; seeded.

    In random order, so that the first few are a fair sample too.
    """
    rng = np.random.default_rng(0)
    ranked = sorted(known, key=lambda one: one.top1)
    slices = np.array_split(np.arange(len(ranked)), min(count, len(ranked)))
    chosen = [ranked[int(rng.choice(some))] for some in slices]
    return [chosen[i] for i in rng.permutation(len(chosen))]


def macro_spec(architecture: str) -> ArchSpec:
    """The network of eight digits: 0 leaves a layer out, 1 is MBConv 3 of kernel 3, 2 MBConv 6 of
    kernel 5 (Su et al. 2021, arXiv:2103.11922)."""
    choices = {f"layer{i}": int(digit) for i, digit in enumerate(architecture)}
    return replace(_MACRO.spec(choices), name=f"macro-{architecture}")
