"""A pool of networks with their real accuracies, real short trainings and untrained scores.

Kept as a CSV file with a row a network, appended as each is trained: what is there is not trained
again. Networks are random ones of half of NAS-Bench-Macro's rows (``benchmarks.truth.beliefs``)
with 35M to 70M multiply-adds, which the pool stands for.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.truth.beliefs import halves
from nas.belief.scores import Ask
from nas.candidates import Floats
from nas.objective import Objective
from nas.space import Batch, space
from training.data import Data, load
from training.evaluator import proxy_recipe
from training.loop.train import train
from training.proxies import proxy, score_all
from training.recipe import Recipe
from trials.record import trial_seed
from trials.signal import PROBABILITY

SCORES = ("naswot", "snip", "synflow", "gradient-norm")
SPACE = space("macro").with_template(classes=10, in_channels=3)
AIM = Objective(70e6, "hard")  # in the window this is the accuracy itself
SIDE = 24  # pixels
FACTS = ("network", "truth", "accuracy", "loss", "probability", "seconds")


class Pool(NamedTuple):
    """Rows (N, D) and of each, (N,): its own accuracy after 50 epochs; accuracy, loss, mean
    probability of the own class and processor seconds of its short training; and by name its
    untrained scores and their seconds."""

    rows: Batch
    truth: Floats
    accuracy: Floats
    loss: Floats
    probability: Floats
    seconds: Floats
    scores: dict[str, Floats]
    score_seconds: dict[str, Floats]

    def part(self, chosen: NDArray[np.int64]) -> Pool:
        """Some of the networks, by position."""
        return Pool(
            self.rows[chosen],
            self.truth[chosen],
            self.accuracy[chosen],
            self.loss[chosen],
            self.probability[chosen],
            self.seconds[chosen],
            {name: values[chosen] for name, values in self.scores.items()},
            {name: values[chosen] for name, values in self.score_seconds.items()},
        )


def window(half: int) -> tuple[Batch, Floats]:
    """The half's networks that may be trained, in a random order, and their accuracies."""
    _, *tables = halves()
    table = tables[half]
    inside = np.asarray(AIM.admits(SPACE.costs(table.rows).macs.astype(float)))
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(inside))
    return table.rows[chosen], table.accuracy[chosen]


def build(path: Path, pictures: str, count: int, half: int) -> None:
    """Train the first ``count`` networks of the window that ``path`` does not have yet."""
    torch.set_num_threads(1)
    rows, truth = window(half)
    data, recipe = load(pictures, size=SIDE), proxy_recipe(32, "cpu", reference=32, stride=8)
    done = {one["network"] for one in _read(path)} if path.exists() else set()
    with path.open("a", newline="") as file:
        out = csv.writer(file)
        if not done:
            out.writerow([*FACTS, *SCORES, *(f"{name} seconds" for name in SCORES)])
        for i, row in enumerate(rows[:count]):
            if name(row) not in done:
                out.writerow([name(row), truth[i], *measured(row, recipe, data, trial_seed(0, i))])
                file.flush()


def measured(row: Batch, recipe: Recipe, data: Data, seed: int) -> list[float]:
    """Accuracy, loss, probability and seconds of the training; scores, and their seconds."""
    spec = SPACE.spec_of(row)
    start = time.process_time()
    found = train(spec, recipe, data, seed, "cpu")
    if found.loss is None:
        raise RuntimeError(f"the training of {spec.name} tells no loss")
    seconds, values = [time.process_time()], []
    for each in SCORES:
        values.append(proxy(each, "cpu")(spec, data, seed).value)
        seconds.append(time.process_time())
    trained, *scored = np.diff([start, *seconds]).tolist()
    given = float(found.details[PROBABILITY])
    return [found.accuracy, found.loss, given, trained, *values, *scored]


def ask(pictures: str) -> Ask:
    """The scores of other networks, on the same pictures."""
    return lambda specs: score_all(SCORES, load(pictures, size=SIDE))(specs)


def read(path: Path, most: int) -> Pool:
    """At most so many networks of the table that ``build`` keeps. Raises ValueError for none."""
    lines = list(_read(path))[:most]
    if not lines:
        raise ValueError(f"{path} has no networks: build it first")
    rows = np.array([[int(digit) for digit in one["network"]] for one in lines])
    truth, accuracy, loss, given, seconds = (column(lines, key) for key in FACTS[1:])
    scores = {key: column(lines, key) for key in SCORES}
    paid = {key: column(lines, f"{key} seconds") for key in SCORES}
    return Pool(rows, truth, accuracy, loss, given, seconds, scores, paid)


def column(lines: list[dict[str, str]], key: str) -> Floats:
    """The numbers of one column, (N,)."""
    return np.array([float(one[key]) for one in lines])


def name(row: Batch) -> str:
    """Its positions in the menus, a digit a layer."""
    return "".join(map(str, row.tolist()))


def _read(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)
