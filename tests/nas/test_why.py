"""One network is chosen, and one sentence says why it is not the one that was measured highest."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.spec import ArchSpec
from nas.objective import Objective
from nas.result import Finalist, SearchResult, candidates, result
from nas.search import search
from nas.search.ending import summary
from nas.search.why import why
from nas.space import space
from reports.nas import report
from tests.nas.test_nas_search import stub
from trials.store.study import read_run

MBCONV = space("mbconv")
AIM = Objective(400e6)


@pytest.fixture(scope="module")
def found() -> SearchResult:
    return search(MBCONV, stub, trials=6, sampler="random", seed=2)


def named(found: SearchResult, number: int) -> SearchResult:
    return result(found.trials, AIM, number, found.basis, found.finals)


def test_the_highest_dot(found: SearchResult) -> None:
    most = max(candidates(found.trials, AIM), key=lambda one: one.accuracy)
    assert "highest accuracy" in why(named(found, most.number), AIM, "macs")


def test_a_dearer_network_is_higher(found: SearchResult) -> None:
    """An exponent so steep that the cheapest network has the greatest reward."""
    steep = Objective(400e6, w=-3.0)
    trained = candidates(found.trials, steep)
    most = max(trained, key=lambda one: one.accuracy)
    said = why(result(found.trials, steep), steep, "macs")
    assert most.number != max(trained, key=lambda one: one.reward).number  # else nothing is tried
    assert said.startswith(f"Trial {most.number} was measured higher")
    assert f"a reward of {most.reward:.4f}" in said


def test_luck_is_not_believed(tmp_path: Path) -> None:
    """One training of a poor network comes out lucky: the bar, the end, the page and Optuna name
    the same two networks, each by its own word."""

    def lucky(spec: ArchSpec, seed: int) -> float:
        return stub(spec, seed) + 0.1 * (np.random.default_rng(seed).random() < 0.15)

    found = search(MBCONV, lucky, trials=20, seed=1, run_dir=tmp_path / "run")
    trained = candidates(found.trials, AIM)
    most = max(trained, key=lambda one: one.accuracy)
    assert found.best.reward < most.reward  # else nothing is tried
    said = why(found, AIM, "macs")
    assert said.startswith(f"Trial {most.number} was measured higher, {100 * most.accuracy:.1f} %")
    of_it, of_chosen = map(float, re.findall(r"rewards of ([\d.]+) and ([\d.]+)\.", said)[0])
    assert of_it < of_chosen
    end = summary(found, AIM, tmp_path / "run", "macs")
    assert f"chosen: {found.best.spec.name}, trial {found.best.number} of 20" in end
    assert said in end
    study = read_run(tmp_path / "run", from_json=ArchSpec.from_json).study
    assert study.metric_names == ["reward"]
    assert study.best_trial.number == max(trained, key=lambda one: one.reward).number
    assert study.user_attrs["chosen"] == f"trial {found.best.number}: {found.best.spec.name}"
    report(tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert said in page
    assert page.count("★ chosen") == 1
    (row,) = re.findall(r'<tr class="chosen">.*?</tr>', page)
    assert f"{found.best.spec.name} ★ chosen" in row
    assert ("not on the front" in row) == (found.best not in found.front)


def test_finals_have_the_last_word(found: SearchResult) -> None:
    most = max(candidates(found.trials, AIM), key=lambda one: one.accuracy)
    other = next(one.number for one in candidates(found.trials, AIM) if one.number != most.number)
    finals = [Finalist(n, 0.5, None, None, 2, 0.5) for n in (other, most.number)]
    said = why(replace(named(found, other), finals=tuple(finals)), AIM, "macs")
    assert said.startswith("Of 2 networks that were trained further it has the greatest reward: ")
    assert f"Trial {most.number} was measured higher before" in said


def test_what_was_trained_more_often_is_not_compared_with_the_rest(found: SearchResult) -> None:
    numbers = [one.number for one in candidates(found.trials, AIM)][:4]
    rounds = ((2, 0.5), (2, 0.4), (1, 0.6), (1, 0.3))
    finals = [Finalist(n, 0.5, None, None, *r) for n, r in zip(numbers, rounds, strict=True)]
    said = why(replace(named(found, numbers[0]), finals=tuple(finals)), AIM, "macs")
    assert said.startswith(
        "Of 4 networks that were trained further the best 2 were so once more, and of these it has "
        f"the greatest reward: 0.5000, where the next, trial {numbers[1]}, has 0.4000"
    )


def test_the_parent_itself_is_called_so(found: SearchResult) -> None:
    """Whatever name the space has for it."""
    best = found.best
    for distance, said in ((0.0, True), (0.2, False)):
        told = {"inherited": {"distance": distance}}
        trials = tuple(
            replace(one, evaluation=one.evaluation and replace(one.evaluation, details=told))
            for one in found.trials
        )
        words = why(replace(found, trials=trials), AIM, "macs")
        assert words.startswith("It is the parent itself, unchanged, at 224 pixels.") is said
        assert best.spec.resolution == 224
