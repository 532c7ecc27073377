"""Is the chosen network better than what one would pick without a search?

Known networks whose cost lies in the window, at the searched networks' resolution or brought into
it by another one, are trained as the search's trainings are: those named, or where weights are
inherited the parent itself, which is what one would fine-tune without a search. So is the chosen
network, again and with the same seeds: that training by which it was chosen is the luckiest of
many.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import variance
from typing import Any

import optuna

from models.cost import cost
from models.spec import ArchSpec
from nas.costing import cost_text
from nas.search.rivals import Plan, Rival
from trials.conduct import Means, accuracy, conduct
from trials.loop import SearchFailed
from trials.record import trial_seed
from trials.store.run import Run
from trials.store.study import open_run
from trials.store.view import Proposal

LEVEL = 0.9
KEPT = "against"  # below the search's directory
_SEED = 1_618_033  # apart from the seeds of the search's own trainings


@dataclass(frozen=True)
class Against:
    """The chosen network and the known ones, trained alike, and what was left out and why."""

    chosen: Rival
    known: tuple[Rival, ...]
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, the inverse of ``from_dict``."""
        known = [one.to_dict() for one in self.known]
        return {"chosen": self.chosen.to_dict(), "known": known, "left_out": list(self.left_out)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Against:
        """Read what ``to_dict`` wrote."""
        known = tuple(Rival.from_dict(one) for one in data["known"])
        return cls(Rival.from_dict(data["chosen"]), known, tuple(data["left_out"]))

    @property
    def trained(self) -> tuple[Rival, ...]:
        """All of them, the chosen one first."""
        return (self.chosen, *self.known)

    def half_width(self, one: Rival) -> float | None:
        """Of the 90 % interval of its mean, by the noise that all trainings here show together;
        None where none was repeated."""
        found = self._noise()
        return found and found[0] * found[1] / len(one.accuracies) ** 0.5

    def _noise(self) -> tuple[float, float] | None:
        """Standard deviation between trainings of one network, and Student's t for it."""
        from scipy.stats import t  # a second to load

        several = [one.accuracies for one in self.trained if len(one.accuracies) > 1]
        degrees = sum(len(own) - 1 for own in several)
        if not degrees:
            return None
        squares = sum((len(own) - 1) * variance(own) for own in several)
        return (squares / degrees) ** 0.5, float(t.ppf((1 + LEVEL) / 2, degrees))

    def in_words(self, kind: str) -> str:
        """A sentence for each known network, and one for what was left out."""
        said = [self._compared(one, kind) for one in self.known]
        said += [f"Not compared with {line}." for line in self.left_out]
        return " ".join(said)

    def _compared(self, one: Rival, kind: str) -> str:
        if one.spec.key == self.chosen.spec.key:
            return f"The chosen network is {one.name} itself."
        ahead = self.chosen.mean - one.mean
        what = f"{one.name} ({100 * one.mean:.1f} % at {cost_text(kind, one.cost)})"
        own = f"the chosen one ({100 * self.chosen.mean:.1f} %, trained again)"
        noise = self._noise()
        if noise is None:
            return f"Against {what}, {own} is {100 * ahead:+.1f} points: of single trainings."
        counts = 1 / len(one.accuracies) + 1 / len(self.chosen.accuracies)
        reach = noise[0] * noise[1] * counts**0.5
        verb = "is better than" if ahead > reach else "is worse than" if ahead < -reach else None
        span = f"{100 * (ahead - reach):+.1f} to {100 * (ahead + reach):+.1f}, 90 % interval"
        said = f"{own} {verb or 'is not told from'} {what}: {100 * ahead:+.1f} points ({span})."
        return said[:1].upper() + said[1:]


def train(
    plan: Plan, chosen: Rival, directory: Path, seed: int, recipe: str, means: Means
) -> Against | None:
    """Train the plan's networks and the chosen one, each under the plan's seeds.

    None where none of the chosen network's trainings, or of all others, ended well. ``directory``
    keeps the run: what was trained there is not trained again. Raises ValueError where it holds
    trainings of another seed or recipe.
    """
    entered = {one.spec.key: one for one in (chosen, *plan.known)}
    wanted = [(key, repeat) for repeat in range(plan.seeds) for key in entered]

    def propose(trial: optuna.Trial, run: Run) -> Proposal | None:
        begun = _begun(run)
        for key, repeat in wanted:
            if (key, repeat) not in begun:
                one = entered[key]
                paid = {**cost(one.spec)._asdict(), "cost": one.cost}
                attrs = {"network": key, "repeat": repeat}
                return Proposal(one.spec, paid, attrs, trial_seed(seed + _SEED, repeat))
        return None

    settings = {"kind": "against", "seed": seed, "recipe": recipe}
    resume = (directory / "run.json").exists()
    with open_run(
        directory, settings, ["maximize"], from_json=ArchSpec.from_json, resume=resume
    ) as run:
        missing = set(wanted) - _begun(run)
        if missing or run.interrupted():
            with suppress(SearchFailed):  # the search's own answer stands
                conduct(run, propose, accuracy, run.started() + len(missing), means)
        told = {
            (record.attrs["network"], record.attrs["repeat"]): record.evaluation.accuracy
            for record in run.finished()
            if record.evaluation is not None
        }
    return _told(plan, chosen, told)


def _told(plan: Plan, chosen: Rival, told: Mapping[tuple[str, int], float]) -> Against | None:
    """The accuracies at their networks; None where the chosen one, or all others, have none."""

    def with_own(one: Rival) -> Rival:
        found = [told.get((one.spec.key, repeat)) for repeat in range(plan.seeds)]
        return replace(one, accuracies=tuple(x for x in found if x is not None))

    own, known = with_own(chosen), [with_own(one) for one in plan.known]
    lost = [
        f"{one.name}, none of whose trainings ended well" for one in known if not one.accuracies
    ]
    kept = tuple(one for one in known if one.accuracies)
    return Against(own, kept, (*plan.left_out, *lost)) if own.accuracies and kept else None


def _begun(run: Run) -> set[tuple[str, int]]:
    """(network, repeat) of all trainings, running ones too."""
    attrs = (trial.user_attrs for trial in run.study.get_trials(deepcopy=False))
    return {(own["network"], own["repeat"]) for own in attrs if "spec" in own}
