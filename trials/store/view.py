"""A run as it can be read: records of its trials.

Each trial stores the user attributes "spec" (JSON text), "seed", "cost", "bars" (where it may be
stopped early), then "evaluation", "stopped" or "failure", "retried" (a failure that was given a
second chance), in shared studies "driver", and whatever attributes its proposal brought. Its state
is COMPLETE with values, PRUNED where its training was stopped, or FAIL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from trials.record import Evaluation, Failure, Rungs, Stopped, as_rungs
from trials.store.header import Header

if TYPE_CHECKING:
    from models.spec import ArchSpec

OUTCOMES: dict[type, str] = {Evaluation: "evaluation", Stopped: "stopped", Failure: "failure"}
ANSWER, CHOSEN = "answer", "chosen"  # the study's attributes
RESERVED = ("spec", "seed", "cost", "bars", *OUTCOMES.values(), "retried", "driver")

_STATES: dict[TrialState, Literal["complete", "stopped", "failed"]] = {
    TrialState.COMPLETE: "complete", TrialState.PRUNED: "stopped", TrialState.FAIL: "failed"
}  # fmt: skip


@dataclass(frozen=True)
class Proposal:
    """What to try next. `cost` and `attrs` are JSON; `seed` None derives it from the trial.

    `bars` are the accuracies, by share of the training, below which it is to be stopped.
    """

    spec: ArchSpec
    cost: dict[str, Any] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    bars: Rungs = ()


@dataclass(frozen=True)
class Record:
    """One trial as the study tells it: `evaluation` and `values` where complete, else `failure`,
    or `stopped` where its training was ended early."""

    number: int
    state: Literal["running", "complete", "stopped", "failed"]
    spec: ArchSpec
    seed: int
    cost: dict[str, Any]
    params: dict[str, Any]
    attrs: dict[str, Any]
    evaluation: Evaluation | None
    failure: Failure | None
    retried: Failure | None
    values: tuple[float, ...] | None
    stopped: Stopped | None = None
    bars: Rungs = ()


class Settings(dict[str, Any]):
    """A run's settings; one that is missing is the file's fault, not the reader's."""

    def __missing__(self, key: str) -> Any:
        raise ValueError(
            f"the run has no setting {key!r}: use the version of this package that made it"
        )


class RunView:
    """A run to read from, live while its driver writes; what a report is drawn from."""

    def __init__(
        self,
        study: optuna.Study,
        header: Header,
        run_dir: Path | None,
        from_json: Callable[[str], ArchSpec],
    ) -> None:
        self.study = study
        self.header = header
        self._settings = Settings(header.settings)
        self.dir = run_dir
        # A trial's record is made at each of its steps; only what is in flight need be remembered.
        self._from_json = lru_cache(1024)(from_json)
        self._finished: dict[int, Record] = {}

    @property
    def settings(self) -> Settings:
        """The search's settings, as its caller gave them.

        Raises ValueError for one that is asked for and missing.
        """
        return self._settings

    @property
    def seed(self) -> int:
        """The study's seed, from which every trial's derives."""
        return int(self.header.settings["seed"])

    @property
    def answer(self) -> dict[str, Any] | None:
        """What the search named when it last ended, JSON; None before that."""
        found: dict[str, Any] | None = self.study.user_attrs.get(ANSWER)
        return found

    def finished(self) -> list[Record]:
        """Every finished trial by number. Trials that other programs put there are left out."""
        for trial in self.study.get_trials(deepcopy=False, states=tuple(_STATES)):
            if trial.number not in self._finished and _is_ours(trial.user_attrs):
                self._keep(trial)
        return [record for _, record in sorted(self._finished.items())]

    def record(self, trial: FrozenTrial) -> Record:
        """One trial's record; it must have a "spec".

        Raises ValueError where the study holds what no run wrote.
        """
        try:
            return self._record(trial)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"trial {trial.number} of study {self.header.name!r:.80} is damaged ({error!r:.200}"
                "): restore the study from a copy"
            ) from error

    def _keep(self, trial: FrozenTrial) -> Record:
        """A finished trial's record: as it never changes again, it is read from the study once."""
        record = self._finished[trial.number] = self.record(trial)
        return record

    def _record(self, trial: FrozenTrial) -> Record:
        attrs = trial.user_attrs
        failure, retried = attrs.get("failure"), attrs.get("retried")
        if type(attrs["seed"]) is not int or not isinstance(attrs["cost"], dict):
            raise ValueError("its seed is no whole number, or its cost no object")
        stopped = attrs.get("stopped")
        return Record(
            number=trial.number,
            state=_STATES.get(trial.state, "running"),
            spec=self._from_json(attrs["spec"]),
            seed=attrs["seed"],
            cost=attrs["cost"],
            params=dict(trial.params),
            attrs={key: value for key, value in attrs.items() if key not in RESERVED},
            evaluation=_evaluation(attrs),
            failure=None if failure is None else Failure.from_dict(failure),
            retried=None if retried is None else Failure.from_dict(retried),
            values=tuple(trial.values) if trial.state == TrialState.COMPLETE else None,
            stopped=None if stopped is None else Stopped.from_dict(stopped),
            bars=as_rungs(attrs.get("bars", ())),
        )


def _is_ours(attrs: dict[str, Any]) -> bool:
    return "spec" in attrs and has_outcome(attrs)


def has_outcome(attrs: dict[str, Any]) -> bool:
    """Whether a trial with these attributes has come to something."""
    return not attrs.keys().isdisjoint(OUTCOMES.values())


def _evaluation(attrs: dict[str, Any]) -> Evaluation | None:
    stored = attrs.get("evaluation")
    return None if stored is None else Evaluation.from_dict(stored)
