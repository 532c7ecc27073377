"""Whether channels on a line beat channels by stages, on these pictures: trainings of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from scipy.stats import t

from models.cost import cost
from models.spec import ArchSpec
from trials.conduct import Means, accuracy, conduct
from trials.record import trial_seed
from trials.store.header import FILE_NAME
from trials.store.run import Run
from trials.store.study import open_run, read_run
from trials.store.view import Proposal, Record
from trials.workers.pool import Executor

CONVENTIONS = "conventions"
LINEAR, STAGEWISE = "linear", "stage-wise"
FEWEST = 2  # trainings of each, of which a spread can be told
LEVEL = 0.9

Accuracies = dict[str, list[float]]


class Verdict(NamedTuple):
    """By how much networks on a line are more accurate than networks by stages, in [-1, 1], with
    the 90 % interval; ``n`` trainings of each in ``settings`` settings of the limits."""

    difference: float
    low: float
    high: float
    n: int
    settings: int

    @property
    def says(self) -> str:
        """Which of both is the better one, or that neither is told apart."""
        if self.low > 0:
            return "linear growth beats the stage-wise convention"
        if self.high < 0:
            return "the stage-wise convention beats linear growth"
        return "linear growth and the stage-wise convention tie"

    def __str__(self) -> str:
        points = (f"{100 * one:+.2f}" for one in (self.difference, self.low, self.high))
        return "{} points (90 % interval {} to {})".format(*points)


def verdict(settings: Sequence[Accuracies]) -> Verdict | None:
    """The mean over settings of the difference within each, by Student's t with the trainings' own
    spreads (Welch in one setting). Settings with fewer than ``FEWEST`` trainings of either are left
    out; None where none is left."""
    told = [
        (np.array(one[LINEAR]), np.array(one[STAGEWISE]))
        for one in settings
        if min(len(one.get(LINEAR, ())), len(one.get(STAGEWISE, ()))) >= FEWEST
    ]
    if not told:
        return None
    errors = np.array([[x.var(ddof=1) / len(x) for x in pair] for pair in told]).ravel()
    freedom = np.array([[len(x) - 1 for x in pair] for pair in told]).ravel()
    difference = float(np.mean([line.mean() - stage.mean() for line, stage in told]))
    variance = errors.sum()
    effective = variance**2 / np.sum(errors**2 / freedom) if variance else float(freedom.sum())
    half = float(t.ppf((1 + LEVEL) / 2, effective) * np.sqrt(variance)) / len(told)
    count = sum(min(len(line), len(stage)) for line, stage in told)
    return Verdict(difference, difference - half, difference + half, count, len(told))


def train_conventions(
    networks: Mapping[str, ArchSpec],
    times: int,
    directory: Path,
    seed: int,
    recipe: str,
    executor: Callable[[], Executor],
    **shared: Any,
) -> list[Record]:
    """Train each of ``networks``, by the convention's name, ``times`` times; the k-th training of
    all under one seed. What ``directory`` has already is not trained again. ``shared`` is
    ``open_run``'s storage, join and study.

    Raises ValueError where the directory holds trainings of other networks, another seed or recipe.
    """
    keys = {name: spec.key for name, spec in networks.items()}
    settings = {"kind": CONVENTIONS, "seed": seed, "recipe": recipe, "networks": keys}
    names = list(networks)

    def propose(trial: optuna.Trial, run: Run) -> Proposal:
        k, place = divmod(trial.number, len(names))  # in turn, whoever else drives the study
        name, spec = names[place], networks[names[place]]
        facts = {"convention": name, "repeat": k}
        return Proposal(spec, cost(spec)._asdict(), facts, trial_seed(seed, k))

    with open_run(
        directory,
        settings,
        ["maximize"],
        from_json=ArchSpec.from_json,
        resume=(directory / FILE_NAME).exists(),
        **shared,
    ) as run:
        conduct(run, propose, accuracy, times * len(names), Means(executor))
        return run.finished()


def read_conventions(
    run_dir: Path, storage: str | None = None
) -> tuple[Accuracies, dict[str, ArchSpec]]:
    """What the trainings below a search's directory came to, and of which networks; both empty
    without any."""
    place = run_dir / CONVENTIONS
    if not (place / FILE_NAME).exists():
        return {}, {}
    found: Accuracies = {}
    specs: dict[str, ArchSpec] = {}
    for record in read_run(place, from_json=ArchSpec.from_json, storage=storage).finished():
        name = str(record.attrs["convention"])
        specs[name] = record.spec
        if record.evaluation is not None:
            found.setdefault(name, []).append(record.evaluation.accuracy)
    return found, specs
