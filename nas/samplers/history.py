"""What a study says about its trials, as arrays; and how it is told what a training came to."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from nas.candidates import Candidates, Floats, Taken
from nas.objective import Objective
from nas.space import Batch
from nas.stopping import Curves
from trials.signal import PROBABILITY, probability_in, told


class Entry(NamedTuple):
    """One trial: its candidate (D,), None without all its choices; what it costs of each kind,
    "cost" being the objective's; its accuracy, its loss and the mean probability of the own class,
    NaN where it has none; whether it runs, was stopped, has ended; what was refused before it."""

    number: int
    row: Batch | None
    costs: Mapping[str, Any]
    accuracy: float
    loss: float
    probability: float
    running: bool
    stopped: bool
    ended: bool
    refused: list[dict[str, Any]]

    @property
    def cost(self) -> float:
        """As the objective counts it; NaN where it has none."""
        return float(self.costs.get("cost", np.nan))


def outcome(
    accuracy: float, cost: float, loss: float | None = None, probability: float | None = None
) -> dict[str, Any]:
    """The user attributes by which a trial says what its training came to, and at what cost.

    A search stores more of both (``trials``). Samplers learn from these and not from the trial's
    values, which an aim may have made anything of.
    """
    details = {PROBABILITY: probability}
    evaluation = {"accuracy": accuracy, "loss": loss, "details": details}
    return {"cost": {"cost": cost}, "evaluation": evaluation}


def tell(
    study: optuna.Study,
    trial: optuna.Trial,
    objective: Objective,
    accuracy: float,
    cost: float,
    loss: float | None = None,
    probability: float | None = None,
) -> None:
    """Finish a trial of a study that no search drives, so that its sampler learns from it."""
    for name, value in outcome(accuracy, cost, loss, probability).items():
        trial.set_user_attr(name, value)
    study.tell(trial, objective.values(accuracy, cost))


def _accuracy(trial: FrozenTrial) -> float:
    if trial.state != TrialState.COMPLETE:
        return float("nan")
    try:
        return float(trial.user_attrs["evaluation"]["accuracy"])
    except (KeyError, TypeError):
        raise ValueError(
            f"trial {trial.number} is complete and stores no accuracy to learn from: tell it by "
            "nas.samplers.tell"
        ) from None


def _real(facts: Mapping[str, Any], name: str) -> float:
    value = facts.get(name)
    return float("nan") if value is None else float(value)


class Ledger:
    """The trials of a study, each read again until it has ended, after which none ever changes.

    Raises ValueError for a candidate that was trained and stores no accuracy (``outcome``).
    """

    def __init__(self, candidates: Candidates, study: optuna.Study) -> None:
        self._study = weakref.ref(study)  # which may hold the sampler that holds this
        self._menus = {
            name: {value: i for i, value in enumerate(values)}
            for name, values in candidates.space.choices.items()
        }
        self._ended: dict[int, Entry] = {}
        self._taken = Taken(candidates, _batch(candidates, []))
        self._fresh: list[Batch] = []  # not in it yet

    def of(self, study: optuna.Study) -> bool:
        """Whether these are that study's trials."""
        return self._study() is study

    def entries(self, study: optuna.Study) -> list[Entry]:
        """Of every trial, by number."""
        ended = self._ended
        return [
            ended.get(trial.number) or self._read(trial)
            for trial in study.get_trials(deepcopy=False)
        ]

    @property
    def taken(self) -> Taken:
        """The networks of the trials that have ended."""
        if self._fresh:
            self._taken.add(np.array(self._fresh))
            self._fresh = []
        return self._taken

    def _read(self, trial: FrozenTrial) -> Entry:
        params, attrs = trial.params, trial.user_attrs
        row = None
        if self._menus.keys() <= params.keys():
            row = np.array([menu[params[name]] for name, menu in self._menus.items()])
        told = attrs.get("evaluation", {})
        given = probability_in(told.get("details", {}))
        entry = Entry(
            trial.number,
            row,
            costs=attrs.get("cost", {}),
            accuracy=np.nan if row is None else _accuracy(trial),
            loss=_real(told, "loss"),
            probability=np.nan if given is None else given,
            running=trial.state == TrialState.RUNNING,
            stopped=trial.state == TrialState.PRUNED,
            ended=trial.state.is_finished(),
            refused=attrs.get("refused", []),
        )
        if entry.ended:
            self._ended[trial.number] = entry
            if row is not None:
                self._fresh.append(row)
        return entry


class History:
    """What a study says about all trials but one, ordered by number.

    rows        (N, D) candidates, of every trial that has all its choices
    numbers     (N,) of the trials
    cost        (N,) as the objective counts it
    accuracy    (N,), NaN for a trial that failed, was stopped or is running
    estimate    (N,), the accuracy, or what its probabilities or its loss say of it where all have
                them (``signal.told``); for a trial that was stopped what its curve lets expect
    error       (N,), the estimate's standard error beyond a training's own noise
    running     (N,) bool
    reward      (N,), NaN as the accuracy is
    taken       the networks of all of these

    The costs that trials were begun with stand. Arrays are made when they are asked for: not every
    method needs them. ``ledger`` is what was read of the study before.
    """

    def __init__(
        self,
        candidates: Candidates,
        study: optuna.Study,
        but: int | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        ledger = ledger or Ledger(candidates, study)
        self._candidates, self._study, self._ledger = candidates, study, ledger
        self._entries = [
            entry
            for entry in ledger.entries(study)
            if entry.row is not None and entry.number != but
        ]

    def settled(self, kind: str = "cost") -> tuple[Batch, Floats]:
        """Candidates and their costs of that kind, of what was trained and of what was refused:
        what ``Candidates.learn`` is to know before it is asked what others cost."""
        known = [(entry.row, entry.costs.get(kind)) for entry in self._entries]
        known += [(one["row"], one.get(kind)) for entry in self._entries for one in entry.refused]
        told = [(row, cost) for row, cost in known if cost is not None and np.isfinite(cost)]
        return (
            _batch(self._candidates, [row for row, _ in told]),
            np.array([cost for _, cost in told], dtype=float),
        )

    @cached_property
    def rows(self) -> Batch:
        return _batch(self._candidates, [entry.row for entry in self._entries])

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        return np.array([entry.number for entry in self._entries], dtype=np.int64)

    @cached_property
    def cost(self) -> Floats:
        costs: Floats = np.array([entry.cost for entry in self._entries], dtype=float)
        known = np.isfinite(costs)
        if not known.all():
            costs[~known] = self._candidates.costs(self.rows[~known])
        return costs

    @cached_property
    def accuracy(self) -> Floats:
        return np.array([entry.accuracy for entry in self._entries], dtype=float)

    @cached_property
    def running(self) -> NDArray[np.bool_]:
        return np.array([entry.running for entry in self._entries], dtype=bool)

    @cached_property
    def reward(self) -> Floats:
        found: Floats = self._candidates.objective.reward(self.accuracy, self.cost)
        return found

    @property
    def estimate(self) -> Floats:
        return self._foretold[0]

    @property
    def error(self) -> Floats:
        return self._foretold[1]

    @cached_property
    def _foretold(self) -> tuple[Floats, Floats]:
        losses, given = (
            np.array([getattr(entry, name) for entry in self._entries], dtype=float)
            for name in ("loss", "probability")
        )
        estimate, error = told(self.accuracy, losses, given), np.zeros(len(self._entries))
        stopped = {e.number: i for i, e in enumerate(self._entries) if e.stopped}
        if stopped:
            trials = self._study.get_trials(deepcopy=False)
            curves = Curves(trials, self._candidates.objective)
            for trial in trials:
                if (i := stopped.get(trial.number)) is not None:
                    estimate[i], error[i] = curves.expected(trial)
        return estimate, error

    @cached_property
    def taken(self) -> Taken:
        pending = [entry.row for entry in self._entries if not entry.ended]
        return Taken(self._candidates, _batch(self._candidates, pending), self._ledger.taken)

    @property
    def finished(self) -> NDArray[np.int64]:
        """Positions of the trials that have an accuracy."""
        return np.flatnonzero(np.isfinite(self.accuracy))

    @property
    def known(self) -> NDArray[np.int64]:
        """Positions of those that have an estimate of it."""
        return np.flatnonzero(np.isfinite(self.estimate))


def _batch(candidates: Candidates, rows: list[Any]) -> Batch:
    return np.array(rows, dtype=np.int64).reshape(-1, len(candidates.space.choices))
