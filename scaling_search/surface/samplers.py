"""Two ways to walk the grid, each an Optuna sampler of "alpha", "beta", "gamma" and "repeat".

The first three are a point's nominal multipliers of depth, width and resolution, which are one
point's alone: so that who looks at a study by other means sees them and no number of a point.

``PlainGrid`` gives every point equal repeats. ``AdaptiveGrid`` asks ``allocation.choose``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from scaling_search.coefficients import Multipliers
from scaling_search.points.grid import Grid
from scaling_search.surface.allocation import choose
from scaling_search.surface.evidence import MAX_REPEATS, Evidence, Training
from trials.signal import probability_in

METHODS = ("adaptive", "grid")
COEFFICIENTS, REPEAT = ("alpha", "beta", "gamma"), "repeat"

_EXHAUSTED = "every point of the grid was trained as often as it may be"


class GridExhausted(ValueError):
    """Every training that the grid allows was made."""


def spans(grid: Grid) -> dict[str, FloatDistribution]:
    """What the points' nominal multipliers are."""
    columns = zip(*(point.nominal for point in grid.points), strict=True)
    return {
        name: FloatDistribution(min(column), max(column))
        for name, column in zip(COEFFICIENTS, columns, strict=True)
    }


def space(grid: Grid) -> dict[str, BaseDistribution]:
    """A point's nominal multipliers and the repeat that stands for the seed."""
    return {**spans(grid), REPEAT: IntDistribution(0, MAX_REPEATS - 1)}


def choice(grid: Grid, place: int, repeat: int) -> dict[str, Any]:
    """The parameters of a point's training."""
    return {**dict(zip(COEFFICIENTS, grid.points[place].nominal, strict=True)), REPEAT: repeat}


def place_in(grid: Grid, params: Mapping[str, Any]) -> int:
    """The inverse of ``choice``, but for the repeat."""
    return grid.asked_for(Multipliers(*(params[name] for name in COEFFICIENTS)))


def sampler(method: str, grid: Grid, seed: int) -> BaseSampler:
    """The sampler of that name; ValueError for any other."""
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}")
    return PlainGrid(grid, seed) if method == "grid" else AdaptiveGrid(grid, seed)


def evidence_of(study: Study, grid: Grid, before: int | None = None) -> Evidence:
    """What the study's trials say, but for trial ``before`` and later ones.

    Raises ValueError where one trained a network that is no point of the grid.
    """
    trainings = []
    for trial in study.get_trials(deepcopy=False):
        # The network itself tells which point it is; a trial that is just beginning has none yet.
        spec = trial.user_attrs.get("spec")
        begun = REPEAT in trial.params and (spec is not None or COEFFICIENTS[2] in trial.params)
        if not begun or (before is not None and trial.number >= before):
            continue
        complete = trial.state == TrialState.COMPLETE
        accuracy = trial.values[0] if complete else None
        running = trial.state == TrialState.RUNNING
        place = place_in(grid, trial.params) if spec is None else grid.place_of(spec)
        repeat = trial.params[REPEAT]
        beside = _beside(trial.user_attrs.get("evaluation", {})) if complete else {}
        trainings.append(Training(place, repeat, accuracy, running, **beside))
    return Evidence(grid, trainings)


def _beside(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What a training tells beside its accuracy, as ``Training`` has it. How many pictures that was
    measured on, or tells as much as that many would, a user's own evaluation may not say."""
    details = evaluation.get("details", {})
    pictures = details.get("effective_images", details.get("held_out_images"))
    return {
        "pictures": pictures if isinstance(pictures, int) and pictures > 0 else None,
        "loss": evaluation.get("loss"),
        "probability": probability_in(details),
    }


class _Drawn(BaseSampler):
    """Draws both parameters together, by the study, the seed and the trial's number alone."""

    def __init__(self, grid: Grid, seed: int) -> None:
        self._grid = grid
        self._seed = seed

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Both parameters are drawn together."""
        return dict(space(self._grid))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Asked for where ``sample_relative`` has nothing left: both parameters come together."""
        raise GridExhausted(_EXHAUSTED)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Nothing to keep: every decision is drawn from the study."""


class PlainGrid(_Drawn):
    """Every point once, then every point with the next seed, and so on.

    Within a repeat the baseline and the single-dimension points come first, the others in a random
    order that the seed determines, another one in each repeat.
    """

    def __init__(self, grid: Grid, seed: int) -> None:
        super().__init__(grid, seed)
        pairs = list(itertools.product(range(len(grid.points)), range(MAX_REPEATS)))
        np.random.RandomState(seed).shuffle(pairs)  # the legacy generator never changes its draws
        self._pairs = sorted(pairs, key=lambda pair: (pair[1], pair[0] not in grid.reserved))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The trial's own training; nothing where every possible one is made."""
        if trial.number >= len(self._pairs):
            return {}
        place, repeat = self._pairs[trial.number]
        return choice(self._grid, place, repeat)


class AdaptiveGrid(_Drawn):
    """The trainings that ``allocation.choose`` picks."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next training; nothing where every possible one is made."""
        evidence = evidence_of(study, self._grid, before=trial.number)
        chosen = choose(evidence, self._seed, trial.number)
        return {} if chosen is None else choice(self._grid, *chosen)
