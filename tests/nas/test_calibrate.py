"""How far a proxy can be believed: rank agreement, which networks, and their trainings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from models.capacity import capacity
from models.spec import ArchSpec
from nas.calibrate import (
    AGAIN,
    FEWEST,
    LONGER,
    agreement,
    lead,
    read_again,
    spread_out,
    train_again,
)
from nas.search import Evaluate, search
from reports.page import Page
from reports.sections.agreement import about_agreement
from tests.nas.test_samplers import tiny
from tests.support.command import command
from trials.conduct import Means
from trials.store.view import Record
from trials.workers.pool import InProcess


def accuracy(spec: ArchSpec, seed: int) -> float:
    return 0.2 + (int(spec.key[:6], 16) % 500) / 1000


def other(spec: ArchSpec, seed: int) -> float:
    return 0.3 + (seed % 400) / 1000


def refused(spec: ArchSpec, seed: int) -> float:
    raise AssertionError("trained again")


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, list[Record]]:
    found = search(tiny(), accuracy, 1e12, 9, "random", run_dir=tmp_path / "run", low=0)
    return tmp_path / "run", list(found.trials)


@given(st.integers(FEWEST, 30), st.integers(0, 2**32 - 1))
def test_tau_lies_in_its_interval_and_is_scipys(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, two = rng.integers(0, 9, n), rng.normal(size=n)
    found = agreement(list(one), list(two))
    expected = np.nan_to_num(kendalltau(one, two).statistic)
    assert found.tau == pytest.approx(expected, abs=1e-9)
    assert -1 - 1e-9 <= found.low <= found.high <= 1 + 1e-9
    assert found.n == n


def test_tau_of_the_same_order_is_one_and_of_no_order_is_zero() -> None:
    assert agreement([1, 2, 3, 4, 5], [10, 20, 30, 40, 50]).tau == pytest.approx(1)
    assert agreement([1, 2, 3, 4], [7, 7, 7, 7]).tau == 0
    with pytest.raises(ValueError, match=f"at least {FEWEST}"):
        agreement([1, 2, 3], [1, 2, 3])


def test_a_lead_is_the_difference_of_two_taus() -> None:
    truth, good, bad = range(8), [0, 1, 2, 3, 4, 5, 7, 6], [7, 6, 5, 4, 3, 2, 1, 0]
    found = lead(good, bad, truth)
    assert found.difference == pytest.approx(agreement(good, truth).tau + 1)
    assert found.told
    assert found.n == 8
    assert lead(bad, good, truth).difference == -found.difference
    assert not lead(good, good, truth).told
    with pytest.raises(ValueError, match=f"at least {FEWEST}"):
        lead([1, 2, 3], [1, 2, 3], [1, 2, 3])


def test_of_two_equal_scores_few_networks_seldom_name_a_better_one() -> None:
    """Two scores as good as each other: in some 10 of 100 studies of eight networks the 90 %
    interval excludes 0; comparing the two τ alone names one of them nearly always."""
    rng, told, named = np.random.default_rng(0), 0, 0
    for _ in range(200):
        truth = rng.standard_normal(8)
        one, other = truth + rng.standard_normal((2, 8))
        found = lead(one.tolist(), other.tolist(), truth.tolist())
        told += found.told
        named += found.difference != 0
    assert told / 200 < 0.2
    assert named / 200 > 0.8


@pytest.mark.parametrize(
    ("count", "good", "bad", "told"),
    [(8, 0.5, 0.5, 0.06), (8, 0.8, 0, 0.33), (16, 0.8, 0, 0.77), (16, 0.7, 0.3, 0.34)],
)
def test_intervals_hold_the_true_lead_nine_times_in_ten(
    count: int, good: float, bad: float, told: float
) -> None:
    """400 draws of networks, scores that are so correlated with the truth; how often they tell is
    what docs/proxy.md says."""
    shared = good * bad
    mixed = np.linalg.cholesky([[1, good, bad], [good, 1, shared], [bad, shared, 1]])
    true = 2 / np.pi * (np.arcsin(good) - np.arcsin(bad))  # τ of two normal scores
    found = []
    for seed in range(400):
        truth, one, other = mixed @ np.random.default_rng(seed).standard_normal((3, count))
        found.append(lead(one.tolist(), other.tolist(), truth.tolist()))
    assert 0.87 < np.mean([one.low <= true <= one.high for one in found]) < 0.98
    assert np.mean([one.told for one in found]) == pytest.approx(told, abs=0.025)


def test_networks_are_spread_from_the_worst_to_the_best(
    trained: tuple[Path, list[Record]],
) -> None:
    _, records = trained
    every = sorted(r.evaluation.accuracy for r in records if r.evaluation)
    some = [r.evaluation.accuracy for r in spread_out(records, 5) if r.evaluation]
    assert some == [every[i] for i in (0, 2, 4, 6, 8)]
    assert len(spread_out(records, 100)) == 9


def test_trained_again_under_other_seeds_and_only_once(trained: tuple[Path, list[Record]]) -> None:
    run_dir, records = trained
    chosen = spread_out(records, 4)
    again = train_again(chosen, run_dir / AGAIN, 0, "r", Means(lambda: InProcess(other)))
    assert [r.spec for r in again] == [r.spec for r in chosen]
    assert not {r.seed for r in again} & {r.seed for r in records}
    assert train_again(chosen, run_dir / AGAIN, 0, "r", Means(lambda: InProcess(refused))) == again
    assert read_again(run_dir, AGAIN).keys() == {r.number for r in chosen}
    every = train_again(
        spread_out(records, 9), run_dir / AGAIN, 0, "r", Means(lambda: InProcess(other))
    )
    assert every[:4] == again  # of more networks, only the further ones are trained
    assert {r.attrs["trial"] for r in every} == {r.number for r in records if r.evaluation}
    with pytest.raises(ValueError, match="recipe is 'r', not 'longer'"):
        train_again(chosen, run_dir / AGAIN, 0, "longer", Means(lambda: InProcess(other)))
    assert read_again(run_dir, "longer") == {}


def test_stopped_and_gone_on_with_it_counts_each_network_once(
    trained: tuple[Path, list[Record]],
) -> None:
    run_dir, records = trained
    chosen, totals = spread_out(records, 4), []

    def stopped(spec: ArchSpec, seed: int) -> float:
        if spec.key == chosen[2].spec.key:
            raise KeyboardInterrupt
        return other(spec, seed)

    def watched(_: object, trials: int) -> nullcontext[Callable[[Record], None]]:
        totals.append(trials)
        return nullcontext(lambda record: None)

    def again(evaluate: Evaluate) -> list[Record]:
        means = Means(lambda: InProcess(evaluate), progress=watched)
        return train_again(chosen, run_dir / AGAIN, 0, "r", means)

    with pytest.raises(KeyboardInterrupt):
        again(stopped)
    assert [r.spec for r in again(other)] == [r.spec for r in chosen]
    assert totals == [4, 4]


def the_same(spec: ArchSpec, seed: int) -> float:
    """A longer training that ranks as the first one did."""
    return accuracy(spec, seed) + 0.1


def capacities(spec: ArchSpec, seed: int) -> float:
    """One that ranks as capacity does."""
    return capacity(spec) / (1 + abs(capacity(spec))) / 2 + 0.5


def said_of(run_dir: Path, records: list[Record], count: int, longer: Evaluate) -> str:
    """The report's section, ``count`` networks trained longer."""
    chosen = spread_out(records, count)
    train_again(chosen, run_dir / LONGER, 0, "longer", Means(lambda: InProcess(longer)))
    page = Page("")
    about_agreement(page, run_dir, records)
    page.write(run_dir / "section.html")
    return (run_dir / "section.html").read_text()


def test_the_report_says_which_agrees_better_or_that_it_cannot_be_told(
    trained: tuple[Path, list[Record]],
) -> None:
    run_dir, records = trained
    said = said_of(run_dir, records, 3, the_same)
    assert "3 networks were trained longer" in said
    assert "ranks more" not in said
    assert "The proxy ranks more than capacity as longer training does" in said_of(
        run_dir, records, 9, the_same
    )


@pytest.mark.parametrize(
    ("longer", "words"),
    [
        (capacities, "Capacity ranks more than the proxy as longer training does"),
        (other, "cannot tell whether the proxy or capacity ranks more as longer training does"),
    ],
)
def test_the_report_may_say_the_contrary(
    trained: tuple[Path, list[Record]], longer: Evaluate, words: str
) -> None:
    run_dir, records = trained
    assert words in said_of(run_dir, records, 9, longer)


@pytest.mark.slow
def test_command_line_reports_how_rankings_agree(tmp_path: Path) -> None:
    out = tmp_path / "run"
    quick = ("--data", "digits", "--proxy-images", 64, "--proxy-epochs", 1, "--device", "cpu",
             "--resolution", 64, "--budget", "40M", "--trials", 5, "--out", out)  # fmt: skip
    done = command("nas.search", *quick, "--calibrate", 4, "--longer", 2)
    assert done.returncode == 0, done.stderr
    assert {len(read_again(out, name)) for name in (AGAIN, LONGER)} == {4}
    recipes = {
        record.evaluation.recipe
        for name in (AGAIN, LONGER)
        for record in read_again(out, name).values()
        if record.evaluation
    }
    assert len(recipes) == 2
    page = (out / "report.html").read_text()
    for text in ("How far the proxy can be believed", "itself under another seed",
                 "What the answer rests on",
                 "proxy and longer training", "capacity and longer training",
                 "the difference of their τ is"):  # fmt: skip
        assert text in page
