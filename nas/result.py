"""What a search of the space came to, read back from its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.spec import ArchSpec
from nas.objective import Objective
from nas.pareto import front
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
class SearchResult:
    """A search's outcome.

    best     the recommended network: the best posterior mean reward where the sampler has a model
             of the noise, else the best reward measured
    front    networks that no other beats in both accuracy and cost, by rising cost
    trials   every finished trial, failed ones too
    basis    what naming it rests on (``nas.belief.account``); None where no model was asked
    """

    best: Candidate
    front: tuple[Candidate, ...]
    trials: tuple[Record, ...]
    basis: Mapping[str, Any] | None = None

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
) -> SearchResult:
    """The outcome of finished trials; ``recommended`` is the number of the network to name, and
    ``basis`` what that rests on.

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
    return SearchResult(best, tuple(trained[i] for i in kept), tuple(records), basis)
