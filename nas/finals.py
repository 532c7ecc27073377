"""The end of a search by cheap scores: its best networks are trained further, and one is named.

A score of seconds finds who may be best; who of these is, a few longer trainings under several
seeds say. Accuracies of a few hundred pictures are too coarse to tell near equals apart, so what is
compared is exp(-loss): the geometric mean of the probability that pictures' own classes are given,
in [0, 1] like an accuracy, and rewarded with the cost as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from nas.objective import Objective
from nas.result import Candidate, Finalist
from trials.record import Evaluation
from trials.store.view import Record

FINALISTS, SEEDS = 4, 2

Finals = Callable[[Sequence[Record]], Mapping[int, Sequence[Evaluation]]]
"""Trains each record's network further, under several seeds; what came out, by trial number."""


def finalists(best: int, trained: Sequence[Candidate], records: Sequence[Record]) -> list[Record]:
    """The records to train further: the named network's, then by falling reward; no spec twice."""
    order = sorted(trained, key=lambda one: (one.number != best, -one.reward, one.number))
    by_number = {record.number: record for record in records}
    chosen: dict[str, Record] = {}
    for one in order:
        chosen.setdefault(one.spec.key, by_number[one.number])
    return list(chosen.values())[:FINALISTS]


def decided(
    trained: Mapping[int, Sequence[Evaluation]], costs: Mapping[int, float], objective: Objective
) -> list[Finalist]:
    """Those of which any training ended well, the one to name first. ``costs`` by trial number."""
    found = [
        _finalist(number, list(evaluations), costs[number], objective)
        for number, evaluations in trained.items()
        if evaluations
    ]
    return sorted(found, key=lambda one: (-one.merit, one.number))


def _finalist(
    number: int, evaluations: list[Evaluation], cost: float, objective: Objective
) -> Finalist:
    accuracies = [one.accuracy for one in evaluations]
    losses = [one.loss for one in evaluations if one.loss is not None]
    accuracy, count = sum(accuracies) / len(accuracies), len(accuracies)
    loss = sum(losses) / count if len(losses) == count else None
    squares = sum((one - accuracy) ** 2 for one in accuracies)
    worth = accuracy if loss is None else math.exp(-loss)
    return Finalist(
        number=number,
        accuracy=accuracy,
        loss=loss,
        spread=math.sqrt(squares / (count - 1)) if count > 1 else None,
        trainings=count,
        merit=objective.reward(worth, cost),
    )
