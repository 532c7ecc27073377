"""A pool of networks with their real accuracies, real short trainings and untrained scores.

Kept as a CSV file with a row a network, appended as each is trained: what is there is not trained
again. Beside it, likewise, what each is worth by the weights that it inherits from a parent of the
search's own (``training.transfer.own``), and that parent. Networks are random ones of half of
NAS-Bench-Macro's rows (``benchmarks.truth.beliefs``) with 35M to 70M multiply-adds, which the pool
stands for.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.truth.beliefs import halves
from nas.belief.scores import Ask
from nas.candidates import Floats
from nas.objective import Objective
from nas.space import Batch, largest, space
from training.data import Data, load
from training.evaluator import proxy_recipe
from training.loop.train import train
from training.proxies import proxy, score_all
from training.recipe import Recipe
from training.transfer.child import child
from training.transfer.own import own_recipe, raise_on, raising, untrained
from training.transfer.parent import Parent, keep
from training.transfer.sources import read_parent
from trials.record import Evaluation, trial_seed
from trials.signal import PROBABILITY

SCORES = ("naswot", "snip", "synflow", "gradient-norm")
SPACE = space("macro").with_template(classes=10, in_channels=3)
AIM = Objective(70e6, "hard")  # in the window this is the accuracy itself
SIDE, WHOLE = 24, 32  # pixels of trainings from scratch, and of pictures
OWN = own_recipe(WHOLE, "cpu", 1.0, WHOLE, 8)
CPU = torch.device("cpu")
TRAINED = ("accuracy", "loss", "probability", "seconds")
FACTS = ("network", "truth", *TRAINED)


class Trained(NamedTuple):
    """Of each network, (N,): accuracy, loss, mean probability of the own class and processor
    seconds."""

    accuracy: Floats
    loss: Floats
    probability: Floats
    seconds: Floats

    def part(self, chosen: NDArray[np.int64]) -> Trained:
        """Some of the networks, by position."""
        return Trained(*(values[chosen] for values in self))


class Pool(NamedTuple):
    """Rows (N, D) and of each, (N,): its own accuracy after 50 epochs; its short training from
    ``scratch``; what it is worth by the weights that it inherits from an ``own`` parent, which it
    took ``raised`` seconds to train; and by name its untrained scores and their seconds."""

    rows: Batch
    truth: Floats
    scratch: Trained
    own: Trained
    raised: float
    scores: dict[str, Floats]
    score_seconds: dict[str, Floats]

    def part(self, chosen: NDArray[np.int64]) -> Pool:
        """Some of the networks, by position."""
        return Pool(
            self.rows[chosen],
            self.truth[chosen],
            self.scratch.part(chosen),
            self.own.part(chosen),
            self.raised,
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
    """Train the first ``count`` networks of the window that ``path`` does not have yet, and score
    them by a parent's weights where ``own`` of it does not."""
    torch.set_num_threads(1)
    rows, truth = window(half)
    rows, data, whole = rows[:count], load(pictures, size=SIDE), load(pictures, size=WHOLE)
    recipe = proxy_recipe(WHOLE, "cpu", reference=WHOLE, stride=8)
    columns = *FACTS, *SCORES, *(f"{name} seconds" for name in SCORES)

    def short(i: int) -> list[float]:
        return [truth[i], *measured(rows[i], recipe, data, trial_seed(0, i))]

    _append(path, columns, rows, short)
    parent = raised(path, whole)

    def inherited(i: int) -> list[float]:
        start = time.process_time()
        found = child(parent, SPACE.spec_of(rows[i]), OWN, whole, 0, "cpu")[1]
        return [truth[i], *told(found, time.process_time() - start)]

    _append(_own(path), FACTS, rows, inherited)


def raised(path: Path, data: Data) -> Parent:
    """The parent of the pool at ``path``, the largest network of the space, trained where it is not
    there yet; its seconds are beside it."""
    place, facts = _own(path).with_suffix(".safetensors"), _own(path).with_suffix(".json")
    if not facts.exists():
        longer = raising(OWN, "cpu", len(data.train))
        start = time.process_time()
        made = raise_on(untrained(largest(SPACE)), longer, data, 0, CPU)
        keep(made, place)
        facts.write_text(json.dumps({"seconds": time.process_time() - start}))
    return read_parent(place)


def _own(path: Path) -> Path:
    return path.with_suffix(".own.csv")


def _append(
    path: Path, columns: tuple[str, ...], rows: Batch, measure: Callable[[int], list[float]]
) -> None:
    """Add a line of what each row comes to that ``path`` does not have."""
    done = {one["network"] for one in _read(path)} if path.exists() else set()
    with path.open("a", newline="") as file:
        out = csv.writer(file)
        if not done:
            out.writerow(columns)
        for i, row in enumerate(rows):
            if name(row) not in done:
                out.writerow([name(row), *measure(i)])
                file.flush()


def measured(row: Batch, recipe: Recipe, data: Data, seed: int) -> list[float]:
    """Accuracy, loss, probability and seconds of the training; scores, and their seconds."""
    spec = SPACE.spec_of(row)
    start = time.process_time()
    found = train(spec, recipe, data, seed, "cpu")
    seconds, values = [time.process_time()], []
    for each in SCORES:
        values.append(proxy(each, "cpu")(spec, data, seed).value)
        seconds.append(time.process_time())
    trained, *scored = np.diff([start, *seconds]).tolist()
    return [*told(found, trained), *values, *scored]


def told(found: Evaluation, seconds: float) -> list[float]:
    """What ``TRAINED`` are of it."""
    if found.loss is None:
        raise RuntimeError("a training tells no loss")
    return [found.accuracy, found.loss, float(found.details[PROBABILITY]), seconds]


def ask(pictures: str) -> Ask:
    """The scores of other networks, on the same pictures."""
    return lambda specs: score_all(SCORES, load(pictures, size=SIDE))(specs)


def read(path: Path, most: int) -> Pool:
    """At most so many networks of the table that ``build`` keeps. Raises ValueError for none."""
    lines, own = list(_read(path))[:most], list(_read(_own(path)))[:most]
    if not lines:
        raise ValueError(f"{path} has no networks: build it first")
    if [one["network"] for one in lines] != [one["network"] for one in own]:
        raise ValueError(f"{_own(path)} has other networks than {path}: build both again")
    rows = np.array([[int(digit) for digit in one["network"]] for one in lines])
    short, inherited = (Trained(*(column(each, key) for key in TRAINED)) for each in (lines, own))
    seconds = json.loads(_own(path).with_suffix(".json").read_text())["seconds"]
    scores = {key: column(lines, key) for key in SCORES}
    paid = {key: column(lines, f"{key} seconds") for key in SCORES}
    return Pool(rows, column(lines, "truth"), short, inherited, seconds, scores, paid)


def column(lines: list[dict[str, str]], key: str) -> Floats:
    """The numbers of one column, (N,)."""
    return np.array([float(one[key]) for one in lines])


def name(row: Batch) -> str:
    """Its positions in the menus, a digit a layer."""
    return "".join(map(str, row.tolist()))


def _read(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)
