"""What a search of the space came to, read back from its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from models.spec import ArchSpec
from nas.belief.outlook import Expected
from nas.objective import Objective
from nas.pareto import front
from trials.record import Evaluation
from trials.store.view import Record


@dataclass(frozen=True)
class Candidate:
    """A trained network: its accuracy in [0, 1], what it costs and the reward of both."""

    number: int
    spec: ArchSpec
    accuracy: float
    cost: float
    reward: float


@dataclass(frozen=True)
class Finalist:
    """What further trainings of a trial's network came to.

    accuracy   their mean, in [0, 1], and ``loss`` likewise; None where they tell none
    spread     standard deviation of the accuracies, None of a single one
    trainings  how many ended well
    merit      the reward of what is compared in the accuracy's place (``trials.signal``)
    probability   mean probability of the pictures' own classes, None where they tell none
    """

    number: int
    accuracy: float
    loss: float | None
    spread: float | None
    trainings: int
    merit: float
    probability: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; ``Finalist(**facts)`` is the inverse."""
        return asdict(self)


@dataclass(frozen=True)
class SearchResult:
    """A search's outcome.

    best     the recommended network: that which its further trainings name, where there were any;
             else the best posterior mean reward where the sampler has a model of the noise, else
             the best reward measured. Its accuracy is its trial's
    front    networks that no other beats in both accuracy and cost, by rising cost
    trials   every finished trial, failed ones too
    basis    what naming it rests on (``nas.belief.account``); None where no model was asked
    finals   what the further trainings came to, the named network first; empty without any
    expected_front  what accuracy each cost is believed to buy, trained or not, with its 90 % band
             (``nas.belief.outlook``), by rising cost; empty where no model was asked
    against  what comparing it with known networks came to (``nas.search.against``), JSON; None
             where there was none
    """

    best: Candidate
    front: tuple[Candidate, ...]
    trials: tuple[Record, ...]
    basis: Mapping[str, Any] | None = None
    finals: tuple[Finalist, ...] = ()
    expected_front: tuple[Expected, ...] = ()
    against: Mapping[str, Any] | None = None

    @property
    def answer(self) -> dict[str, Any]:
        """What a study keeps of it, JSON."""
        told: dict[str, Any] = (
            {"finals": [one.to_dict() for one in self.finals]} if self.finals else {}
        )
        named = {"trial": self.best.number, "key": self.best.spec.key}
        front = [point._asdict() for point in self.expected_front]
        if self.against is not None:
            told["against"] = self.against
        return {**named, "belief": self.basis, "expected_front": front, **told}

    @property
    def evaluations(self) -> list[Evaluation]:
        """What the answer is judged by: every training, or with finals theirs, by their means."""
        own = {r.number: r.evaluation for r in self.trials if r.evaluation is not None}
        if not self.finals:
            return list(own.values())
        return [replace(own[one.number], accuracy=one.accuracy) for one in self.finals]

    def write(self, run_dir: Path) -> Path:
        """Write ``baseline.json``, the named network's spec, and return its path."""
        path = run_dir / "baseline.json"
        path.write_text(self.best.spec.to_json() + "\n", "utf-8")
        return path


def candidates(records: Sequence[Record], objective: Objective) -> list[Candidate]:
    """The trials that were trained, in order."""
    found = []
    for record in records:
        if record.evaluation is not None:
            accuracy, cost = record.evaluation.accuracy, float(record.cost["cost"])
            reward = objective.reward(accuracy, cost)
            found.append(Candidate(record.number, record.spec, accuracy, cost, reward))
    return found


def result(
    records: Sequence[Record],
    objective: Objective,
    recommended: int | None = None,
    basis: Mapping[str, Any] | None = None,
    finals: Sequence[Finalist] = (),
    expected_front: Sequence[Expected] = (),
) -> SearchResult:
    """The outcome of finished trials; ``recommended`` is the number of the network to name,
    ``basis`` what that rests on and ``expected_front`` what is believed of the window.

    Raises ValueError where none of them was trained.
    """
    trained = candidates(records, objective)
    if not trained:
        raise ValueError("no candidate was trained successfully: see the failures in trials.csv")
    best = max(trained, key=lambda c: (c.reward, -c.number))
    for one in trained:
        if one.number == recommended:
            best = one
    kept = front([c.accuracy for c in trained], [c.cost for c in trained])
    own = tuple(trained[i] for i in kept)
    told = tuple(finals), tuple(expected_front)
    return SearchResult(best, own, tuple(records), basis, *told)
