"""The report's answer to: how far can this proxy be believed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.capacity import capacity
from models.cost import cost
from nas.belief.account import FEWEST as TOLD
from nas.calibrate import AGAIN, FEWEST, LONGER, agreement, lead, read_again
from reports.page import Page
from trials.store.view import Record

Row = tuple[str, list[float], list[float]]
Scores = dict[int, float]  # by the trial's number


def about_agreement(page: Page, run_dir: Path, records: Sequence[Record]) -> None:
    """How the proxy ranks this run's networks, beside sizes, another seed and longer training."""
    trained = {r.number: r for r in records if r.evaluation is not None}
    accuracy = {number: _accuracy(record) for number, record in trained.items()}
    sizes = {
        "parameters": {n: float(cost(r.spec).params) for n, r in trained.items()},
        "capacity": {n: capacity(r.spec) for n, r in trained.items()},
    }
    again, longer = (
        {n: _accuracy(r) for n, r in read_again(run_dir, name).items()} for name in (AGAIN, LONGER)
    )
    told = len(trained) >= TOLD or again or longer  # fewer trials rank nothing by themselves
    rows = [
        [name, str(found), str(found.n)]
        for name, one, other in _pairs(accuracy, sizes, again, longer)
        if told and len(one) >= FEWEST and (found := agreement(one, other))
    ]
    if not rows:
        return
    page.heading("How far the proxy can be believed")
    page.text(
        "Kendall's τ between two rankings of the same networks: 1 is the same order, 0 none in "
        "common; in brackets the 90 % bootstrap interval. The proxy under another seed is its own "
        "noise ceiling: it can agree with nothing better than with itself. The networks of a "
        "search are alike by design, which lowers every τ."
    )
    page.table(["rankings", "τ", "networks"], rows)
    if len(longer) >= FEWEST:
        page.text(" ".join(_led(accuracy, name, size, longer) for name, size in sizes.items()))
    else:
        page.text(
            f"{len(longer) or 'No'} networks were trained longer, so nothing here says whether the "
            "ranking lasts: --calibrate 20 trains twenty of them."
        )


def _led(accuracy: Scores, name: str, size: Scores, longer: Scores) -> str:
    """Whether trainings or a size rank as longer training does, or the networks cannot tell."""
    numbers = sorted(longer.keys() & accuracy.keys())
    found = lead(*([score[n] for n in numbers] for score in (accuracy, size, longer)))
    said = f"as longer training does: the difference of their τ is {found}, n = {found.n}."
    if not found.told:
        return f"These networks cannot tell whether the proxy or {name} ranks more {said}"
    better, worse = ("the proxy", name) if found.difference > 0 else (name, "the proxy")
    return f"{better[:1].upper()}{better[1:]} ranks more than {worse} {said}"


def _pairs(
    accuracy: Scores, sizes: Mapping[str, Scores], again: Scores, longer: Scores
) -> list[Row]:
    found = [_row(f"proxy and {name}", accuracy, size) for name, size in sizes.items()]
    found.append(_row("proxy and itself under another seed", accuracy, again))
    found.append(_row("proxy and longer training", accuracy, longer))
    return found + [
        _row(f"{name} and longer training", size, longer) for name, size in sizes.items()
    ]


def _row(name: str, one: Scores, other: Scores) -> Row:
    shared = sorted(one.keys() & other.keys())
    return name, [one[n] for n in shared], [other[n] for n in shared]


def _accuracy(record: Record) -> float:
    return 0.0 if record.evaluation is None else record.evaluation.accuracy
