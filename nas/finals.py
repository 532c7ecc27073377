"""The end of a search by cheap scores: its best networks are trained further, and one is named.

A score of seconds finds who may be best; who of these is, a few longer trainings say. They are
given out by sequential halving (Karnin, Koren and Somekh 2013, Proceedings of ICML, section 3): all
that may be best are trained further once, and only the best of these again, under another seed and,
where few judge, by other pictures: trained again by the same ones they keep the luck that they had
with these.
Accuracies of a few hundred pictures are too coarse to tell near equals apart, so what is compared
is the probability that pictures' own classes are given, the mean of its arithmetic and its
geometric mean (``trials.signal``): in [0, 1] like an accuracy, and rewarded with the cost as one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from nas.objective import Objective
from nas.result import Finalist
from trials.record import Evaluation
from trials.signal import measure_of, probability_of
from trials.store.view import Record

ROUNDS = 6, 3  # networks that are trained in each

Finals = Callable[[Sequence[Record], int], Mapping[int, Evaluation]]
"""Trains each record's network further, in the n-th round, 1 the first, under seeds of that round;
what came out of those that ended well, by trial number."""


def kept_in(run_dir: Path, step: int) -> Path:
    """Where a search's directory keeps the trainings of a round, 1 the first."""
    return run_dir / f"final-{step}"


def held(
    finals: Finals, best: int, records: Sequence[Record], objective: Objective
) -> list[Finalist]:
    """What the finals of these trials come to, as ``decided``; ``best`` is the number of the trial
    that is named without them."""
    chosen = finalists(best, records, objective)
    by_number = {record.number: record for record in chosen}
    costs = {number: float(record.cost["cost"]) for number, record in by_number.items()}
    trained: dict[int, list[Evaluation]] = {}
    told: list[Finalist] = []
    for n, count in enumerate(ROUNDS, 1):
        for number, found in finals(chosen[:count], n).items():
            trained.setdefault(number, []).append(found)
        told = decided(trained, costs, objective)
        chosen = [by_number[one.number] for one in told]
    return told


def finalists(best: int, records: Sequence[Record], objective: Objective) -> list[Record]:
    """The records to train further: the named network's, then by falling reward of what they are
    worth; no spec twice."""
    ended = [(one, one.evaluation) for one in records if one.evaluation is not None]
    measure = measure_of([evaluation for _, evaluation in ended])

    def order(pair: tuple[Record, Evaluation]) -> tuple[bool, float, int]:
        record, evaluation = pair
        merit = objective.reward(measure([evaluation]), float(record.cost["cost"]))
        return record.number != best, -merit, record.number

    chosen: dict[str, Record] = {}
    for record, _ in sorted(ended, key=order):
        chosen.setdefault(record.spec.key, record)
    return list(chosen.values())[: ROUNDS[0]]


def decided(
    trained: Mapping[int, Sequence[Evaluation]], costs: Mapping[int, float], objective: Objective
) -> list[Finalist]:
    """Those of which any training ended well, the one to name first: of those that were trained
    most often the best. ``costs`` by trial number."""
    measure = measure_of([one for evaluations in trained.values() for one in evaluations])
    found = [
        _finalist(number, evaluations, objective.reward(measure(evaluations), costs[number]))
        for number, evaluations in trained.items()
        if evaluations
    ]
    return sorted(found, key=lambda one: (-one.trainings, -one.merit, one.number))


def _finalist(number: int, evaluations: Sequence[Evaluation], merit: float) -> Finalist:
    accuracies = [one.accuracy for one in evaluations]
    losses = [one.loss for one in evaluations if one.loss is not None]
    given = [one for one in map(probability_of, evaluations) if one is not None]
    count = len(evaluations)
    return Finalist(
        number=number,
        accuracy=fmean(accuracies),
        loss=fmean(losses) if len(losses) == count else None,
        spread=stdev(accuracies) if count > 1 else None,
        trainings=count,
        merit=merit,
        probability=fmean(given) if len(given) == count else None,
    )
