"""The search of a few known networks by which scores and signals are judged."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import optuna
import pytest

from benchmarks.support.on_pool import OnPool
from benchmarks.truth.end_to_end import Named, Search
from benchmarks.truth.pool import AIM, FACTS, SCORES, SPACE, Pool, Trained, name, read
from nas.belief.scores import Scores
from nas.candidates import Candidates
from nas.samplers import tell
from nas.samplers.base import NetworkSampler

ROWS = Candidates(SPACE, AIM).draw(12, np.random.default_rng(0))
COUNT = len(ROWS)


def pool() -> Pool:
    """Trainings of 10 s, scores of 1 s, and a parent of 20 s; accuracies that losses agree with."""
    truth = np.linspace(0.8, 0.91, COUNT)
    scores = {each: np.arange(COUNT, dtype=float) for each in SCORES}
    seconds = {each: np.ones(COUNT) for each in SCORES}
    paid = np.full(COUNT, 10.0)
    short = Trained(truth / 2, 2 - truth, truth / 3, paid)
    return Pool(ROWS, truth, short, short, 20.0, scores, seconds)


def test_the_pool_is_searched_and_nothing_else() -> None:
    candidates = Candidates(SPACE, AIM)
    method = NetworkSampler(candidates, OnPool(ROWS, candidates, None), seed=0)
    study = optuna.create_study(sampler=method, direction="maximize")
    seen = set()
    for i in range(COUNT):
        trial = study.ask()
        for choice, values in SPACE.choices.items():
            trial.suggest_categorical(choice, values)
        row = SPACE.indices([trial.params])[0]
        seen.add(row.tobytes())
        tell(study, trial, AIM, 0.5 + 0.01 * i, float(candidates.costs(row[None])[0]))
    assert seen == {row.tobytes() for row in ROWS}


@pytest.mark.parametrize(
    "way", ["random, acc", "tpe, loss", "auto, acc", "auto, loss", "auto, prob", "tpe, prob"]
)
def test_a_search_trains_what_its_seconds_pay_for(way: str) -> None:
    search = Search(pool(), way, 0, Scores(SCORES))
    found = []
    for seconds in (25, 45, 10_000):
        while search.affords(seconds):
            search.train()
        found.append(search.named())
    assert [one.trained for one in found] == [2, 4, COUNT]
    assert found[-1] == Named(0.0, COUNT)  # the signals of this pool tell the truth


def test_an_own_parent_is_paid_first() -> None:
    search = Search(pool(), "random, own", 0, Scores(SCORES))
    assert not search.affords(25)
    assert search.named().trained == 0
    while search.affords(55):
        search.train()
    assert search.named().trained == 3


def test_scores_are_paid() -> None:
    kept = Scores(SCORES, lambda specs: [dict.fromkeys(SCORES, 0.5) | {
        "naswot": float(spec.stages[0].layers + len(spec.key) % 3)} for spec in specs])  # fmt: skip
    search = Search(pool(), "auto, prob + naswot", 0, kept)
    while search.affords(60):
        search.train()
    # Three trainings before the model; before the fourth 64 networks and the pool are scored.
    assert search.named().trained == 3


def test_a_table_is_read_as_it_was_kept(tmp_path: Path) -> None:
    told, path = pool(), tmp_path / "pool.csv"
    columns = [*FACTS, *SCORES, *(f"{each} seconds" for each in SCORES)]
    for place, trained in ((path, told.scratch), (tmp_path / "pool.own.csv", told.own)):
        with place.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(columns)
            for i, row in enumerate(ROWS):
                facts = [told.truth[i], *(column[i] for column in trained)]
                own = [told.scores[each][i] for each in SCORES]
                out.writerow([name(row), *facts, *own, *[1.0] * len(SCORES)])
    (tmp_path / "pool.own.json").write_text('{"seconds": 20.0}')
    found = read(path, 5)
    assert (found.rows == ROWS[:5]).all()
    assert (found.part(np.array([2, 4])).scratch.loss == told.scratch.loss[[2, 4]]).all()
    assert found.raised == told.raised
    with pytest.raises(ValueError, match="no networks"):
        read(path, 0)
