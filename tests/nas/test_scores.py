"""Scores of untrained networks: asked for once, kept, believed as trainings bear them out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from models.spec import ArchSpec
from nas.belief.account import FEWEST, account, in_words
from nas.belief.belief import Belief
from nas.belief.knowledge import NONE, SCORES, Knowledge
from nas.belief.scored import REFERENCE
from nas.belief.scores import FILE, Asked, Scores
from nas.candidates import Candidates, Floats
from nas.objective import Objective
from nas.rerank.ranking import expected
from nas.search import search
from nas.search.__main__ import main
from nas.space import space
from reports.nas import report
from tests.nas.test_nas_search import stub
from tests.support.command import assert_refused, command, in_process
from trials.store.study import read_run

MBCONV = space("mbconv")
CANDIDATES = Candidates(MBCONV, Objective(400e6))
ROWS = CANDIDATES.draw(160, np.random.default_rng(0))


def hidden(spec: ArchSpec) -> float:
    """Normal, of the network alone, and by no feature to be told."""
    return float(np.random.default_rng(int(spec.key, 16)).standard_normal())


def giving(score: Callable[[ArchSpec], float], asked: list[str] | None = None) -> Asked:
    """``score`` by the name "own"; the keys that are asked for go to ``asked``."""

    def ask(specs: Sequence[ArchSpec]) -> list[dict[str, float]]:
        if asked is not None:
            asked.extend(spec.key for spec in specs)
        return [{"own": score(spec)} for spec in specs]

    return Asked(["own"], ask)


def nobody(specs: Sequence[ArchSpec]) -> list[dict[str, float]]:
    raise AssertionError(f"asked for {len(specs)} networks")


SPECS = [MBCONV.spec_of(row) for row in ROWS[:4]]


def test_a_network_is_asked_for_once_and_kept(tmp_path: Path) -> None:
    asked: list[str] = []
    scores = Scores(*giving(hidden, asked), tmp_path / FILE)
    found = scores([*SPECS, SPECS[0]])
    assert found[:, 0].tolist() == [hidden(spec) for spec in [*SPECS, SPECS[0]]]
    assert scores(SPECS[1:]).shape == (3, 1)
    assert asked == [spec.key for spec in SPECS]
    again = Scores(["own"], nobody, tmp_path / FILE)
    assert (again(SPECS) == found[:4]).all()
    assert again.asked == 4
    assert again.seconds == pytest.approx(scores.seconds, abs=0.01)


def test_a_torn_line_is_asked_for_again(tmp_path: Path) -> None:
    file = tmp_path / FILE
    Scores(*giving(hidden), file)(SPECS[:3])
    file.write_bytes(file.read_bytes()[:-20])
    asked: list[str] = []
    scores = Scores(*giving(hidden, asked), file)
    assert scores.asked == 2
    scores(SPECS)
    assert asked == [SPECS[2].key, SPECS[3].key]
    assert Scores(["own"], nobody, file)(SPECS)[:, 0].tolist() == [hidden(s) for s in SPECS]


def test_a_network_without_a_score_is_kept_as_such(tmp_path: Path) -> None:
    def ask(spec: ArchSpec) -> float:
        return -math.inf if spec == SPECS[0] else 1.0

    Scores(*giving(ask), tmp_path / FILE)(SPECS)
    kept = Scores(["own"], nobody, tmp_path / FILE)(SPECS)
    assert np.isnan(kept[0, 0])
    assert (kept[1:] == 1).all()


def test_what_cannot_be_had_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not kept"):
        Scores(["own"], path=tmp_path / FILE)(SPECS)
    with pytest.raises(ValueError, match="give other of each"):
        Scores(["other"], giving(hidden).ask)(SPECS)
    with pytest.raises(ValueError, match="at least one"):
        Scores([], nobody)
    with pytest.raises(ValueError, match="of 64 networks 0 have a score own"):
        Knowledge(CANDIDATES, scores=Scores(*giving(lambda _: math.nan))).scored(ROWS)
    with pytest.raises(ValueError, match="cannot use scores"):
        search(MBCONV, stub, trials=2, sampler="random", scores=giving(hidden))


def seen(score: Callable[[ArchSpec], float]) -> Knowledge:
    return Knowledge(CANDIDATES, scores=Scores(*giving(score)))


def truth() -> Floats:
    """Follows the hidden score as much as a choice that features tell."""
    choice = Knowledge(CANDIDATES)(ROWS)[NONE].groups["choices"][:, 0]
    own = np.array([hidden(MBCONV.spec_of(row)) for row in ROWS])
    found: Floats = 0.6 + 0.02 * (own + choice)
    return found


def missed(see: Knowledge, accuracy: Floats, count: int = 24) -> float:
    """Root mean square error on networks that were not trained, seen with their own scores."""
    belief = Belief(see, ROWS[:count], accuracy[:count])
    return float(np.std(belief.mean(ROWS[count:], scored=True) - accuracy[count:]))


def test_a_score_that_tells_is_believed_of_either_sign() -> None:
    accuracy = truth()
    without, own = missed(Knowledge(CANDIDATES), accuracy), missed(seen(hidden), accuracy)
    turned = missed(seen(lambda spec: 100 - 7 * hidden(spec)), accuracy)
    assert own < 0.6 * without
    assert turned == pytest.approx(own, rel=0.02)


def test_a_score_that_tells_nothing_costs_little() -> None:
    accuracy = truth() - 0.02 * np.array([hidden(MBCONV.spec_of(row)) for row in ROWS])
    for count in (8, 16):
        without = missed(Knowledge(CANDIDATES), accuracy, count)
        assert missed(seen(hidden), accuracy, count) < 1.2 * without


def test_what_is_expected_of_a_score_asks_nobody_and_is_what_features_tell() -> None:
    asked: list[str] = []

    def score(spec: ArchSpec) -> float:
        return float(sum(stage.layers for stage in spec.stages))  # a feature, in layers

    see = Knowledge(CANDIDATES, scores=Scores(*giving(score, asked)))
    before = see.expected(ROWS)[NONE].groups[SCORES]
    assert len(set(asked)) == len(asked) <= REFERENCE
    own = see.scored(ROWS)[NONE].groups[SCORES]
    assert before == pytest.approx(own, abs=0.15)  # standard deviations
    assert (see.expected(ROWS)[NONE].groups[SCORES] == before).all()


def test_a_network_without_a_score_is_taken_as_expected() -> None:
    lost = MBCONV.spec_of(ROWS[5])
    see = seen(lambda spec: math.nan if spec == lost else hidden(spec))
    own, foretold = (view[NONE].groups[SCORES] for view in (see.scored(ROWS), see.expected(ROWS)))
    assert own[5] == foretold[5]
    assert (np.delete(own, 5, 0) != np.delete(foretold, 5, 0)).all()


def test_an_account_has_the_scores() -> None:
    see = seen(hidden)
    found = account(Belief(see, ROWS[:40], truth()[:40]), see)
    low, middle, _ = found["agreement"]["own"]
    assert 0.2 < low < middle
    assert "scored" not in in_words(found)


def scored(spec: ArchSpec, seed: int) -> float:
    return stub(spec, seed) + 0.02 * hidden(spec)


def test_a_search_goes_on_as_it_would_have_with_and_without_its_file(tmp_path: Path) -> None:
    asked: list[str] = []
    given = giving(hidden, asked)
    whole = search(MBCONV, scored, trials=7, run_dir=tmp_path / "whole", scores=given)
    assert len(asked) == len(set(asked))
    for name, kept in (("kept", True), ("lost", False)):
        search(MBCONV, scored, trials=5, run_dir=tmp_path / name, scores=given)
        if not kept:
            (tmp_path / name / FILE).unlink()
        on = search(MBCONV, scored, trials=7, run_dir=tmp_path / name, scores=given, resume=True)
        assert [one.spec for one in on.trials] == [one.spec for one in whole.trials]
        assert on.best.spec == whole.best.spec
    nothing = Asked(["own"], nobody)
    search(MBCONV, scored, trials=7, run_dir=tmp_path / "whole", scores=nothing, resume=True)
    with pytest.raises(ValueError, match="scores"):
        search(MBCONV, scored, trials=8, run_dir=tmp_path / "whole", resume=True)


def test_a_run_says_what_scores_it_had_and_is_ranked_again_by_them(tmp_path: Path) -> None:
    given = giving(hidden)
    found = search(MBCONV, scored, trials=FEWEST, run_dir=tmp_path, scores=given)
    assert found.basis is not None
    assert f"{found.basis['scored']['networks']} networks were scored" in in_words(found.basis)
    page = report(tmp_path).read_text()
    assert "<td>own</td>" in page
    run = read_run(tmp_path, from_json=ArchSpec.from_json)
    means = expected(run)
    assert max(means, key=lambda number: means[number]) in {one.number for one in found.trials}
    (tmp_path / FILE).unlink()
    with pytest.raises(ValueError, match="--by measured"):
        expected(run)


def test_candidates_are_chosen_by_their_own_scores() -> None:
    """Of networks that features do not tell apart, the search finds those that score well."""

    def evaluate(spec: ArchSpec, seed: int) -> float:
        return 0.5 + 0.05 * hidden(spec)

    def later(scores: Asked | None) -> float:
        found = search(MBCONV, evaluate, trials=14, scores=scores)
        return float(np.mean([hidden(one.spec) for one in found.trials[8:]]))

    assert later(giving(hidden)) > 1.0 > later(None)


@pytest.mark.slow
def test_command_line_with_scores(tmp_path: Path) -> None:
    out = tmp_path / "run"
    wide = ("--space", "macro", "--budget", "40M", "--scores", "synflow", "--out", out)
    quick = ("--data", "digits", "--proxy-images", 60, "--proxy-epochs", 1, "--device", "cpu")
    done = command("nas.search", *wide, *quick, "--trials", 4)
    assert done.returncode == 0, done.stderr
    assert "networks were scored untrained, in" in done.stdout
    kept = len((out / FILE).read_text().splitlines())
    assert kept > REFERENCE / 2
    assert "networks were scored untrained, in" in (out / "report.html").read_text()
    again = command("nas.search", *wide[:4], "--out", out, *quick, "--trials", 4, "--resume")
    assert again.returncode == 0, again.stderr  # by the scores that it began with
    assert len((out / FILE).read_text().splitlines()) == kept
    ranked = command("nas.rerank", out)
    assert ranked.returncode == 0, ranked.stderr


@pytest.mark.parametrize("given", ["nothing", "naswot,"])
def test_an_unknown_score_is_refused(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--scores", given, "--data", "digits", "--out", tmp_path / "run"]
    assert_refused(in_process(main, asked, capsys), "choose of naswot, snip")
    assert not (tmp_path / "run").exists()
