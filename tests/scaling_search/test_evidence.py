"""What the surface learns of trainings that tell losses and probabilities beside accuracies."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.spec import ArchSpec
from reports.__main__ import main as report
from scaling_search.points.grid import Grid, grid
from scaling_search.result import ScalingResult
from scaling_search.search import search
from scaling_search.summary import learned_from, summary
from scaling_search.surface.allocation import choose
from scaling_search.surface.evidence import ACCURACY, Evidence, Training
from scaling_search.surface.regression import VAGUE, NoisePrior, fit, slope_to
from scaling_search.surface.surface import Surface
from tests.support.surface import baseline, evaluate, off
from trials.record import Evaluation
from trials.signal import told

MERITS = st.lists(st.floats(0.05, 0.95), min_size=3, max_size=12, unique=True)
FEW = 40  # pictures that an accuracy is a share of


@cache
def points() -> Grid:
    return grid(baseline(), 4.0 * baseline().macs(baseline().spec))


def trained(accuracies: list[float], merits: list[float] | None) -> list[Training]:
    """Each point once, the baseline first; both means of the probability are the merit."""
    trainings = [Training(place, 0, value) for place, value in enumerate(accuracies)]
    if merits is None:
        return trainings
    pairs = zip(trainings, merits, strict=True)
    return [replace(one, loss=-math.log(merit), probability=merit) for one, merit in pairs]


def full(spec: ArchSpec, seed: int) -> Evaluation:
    """The accuracy is a share of few pictures, loss and probability are as fine as they come."""
    exact = evaluate(spec, seed)
    coarse = np.random.default_rng([seed, int(spec.key, 16) % 2**32, 1]).binomial(FEW, exact)
    details = {"probability": exact - 0.2, "effective_images": FEW}
    return Evaluation(float(coarse) / FEW, seed, 1.0, -math.log(exact - 0.1), details=details)


def bare(spec: ArchSpec, seed: int) -> Evaluation:
    """The same accuracy alone."""
    made = full(spec, seed)
    return replace(made, loss=None, details={"effective_images": FEW})


def run(
    trials: int, score: object = full, run_dir: Path | None = None, **options: object
) -> ScalingResult:
    return search(baseline(), score, 4.0, trials, run_dir=run_dir, phis=(0.0, 1.0), **options)  # type: ignore[arg-type]


@given(MERITS, st.integers(0, 2**32 - 1))
def test_what_is_learned_is_the_accuracy_to_expect_of_the_merit(
    merits: list[float], seed: int
) -> None:
    noise = np.random.default_rng(seed).normal(0, np.std(merits), len(merits))
    accuracies = (0.3 + 0.4 * np.array(merits) + 0.2 * noise).tolist()
    evidence = Evidence(points(), trained(accuracies, merits))
    learned = evidence.learned
    assert learned.mean() == pytest.approx(np.mean(accuracies))
    if np.cov(accuracies, merits)[0, 1] <= 0:
        assert learned.tolist() == accuracies
        return
    order = np.argsort(merits)
    assert (np.diff(learned[order]) >= 0).all()  # of a higher merit never less is expected
    slope, level = np.polyfit(merits, accuracies, 1)
    assert learned == pytest.approx(level + slope * np.array(merits), abs=1e-9)
    assert learned.std() <= np.std(accuracies) * (1 + 1e-9)


@pytest.mark.parametrize("pictures", [None, 300])
def test_trainings_that_tell_accuracies_alone_are_fitted_as_ever(pictures: int | None) -> None:
    rng = np.random.default_rng(0)
    accuracies = [0.6, *rng.uniform(0.7, 0.8, 11)]
    trainings = [replace(one, pictures=pictures) for one in trained(accuracies, None)]
    evidence = Evidence(points(), [*trainings, Training(3, 1, None)])
    assert evidence.fitted_to == ACCURACY
    assert evidence.learned.tolist() == accuracies
    level = float(np.mean(accuracies[1:]))
    noise = NoisePrior.of_pictures(level, pictures) if pictures else VAGUE
    slope = slope_to(level, 0.6, points().ratio)
    same = fit(evidence.data(), slope=slope, noise=noise)
    assert (evidence.posterior().means == same.means).all()
    assert (evidence.posterior().scales == same.scales).all()


@pytest.mark.parametrize(
    ("merits", "fitted_to"),
    [([0.3, 0.5, 0.6, 0.7], "probability and loss"), ([0.7, 0.6, 0.5, 0.3], ACCURACY)],
    ids=["agreeing", "the other way"],
)
def test_what_it_is_fitted_to_is_told(merits: list[float], fitted_to: str) -> None:
    accuracies = [0.4, 0.5, 0.55, 0.6]
    trainings = trained(accuracies, merits)
    assert Evidence(points(), trainings).fitted_to == fitted_to
    assert Evidence(points(), trainings[:2]).fitted_to == ACCURACY  # too few for a spread
    without = [replace(one, probability=None) for one in trainings]
    losses = "accuracy and loss" if fitted_to != ACCURACY else ACCURACY
    assert Evidence(points(), without).fitted_to == losses
    mixed = [*trainings, Training(5, 0, 0.7)]  # a training of before, which told its accuracy
    assert Evidence(points(), mixed).learned.tolist() == [*accuracies, 0.7]


def test_the_scale_moves_no_region() -> None:
    """Differences shrink, and with them the noise that is held beforehand: what is ruled out is
    what would be, were the surface fitted to ``told`` itself."""
    rng = np.random.default_rng(4)
    true = [0.7, *(0.8 - 0.3 * off(point.spec) for point in points().points[1:9])]
    merits = np.array([0.5 * value + rng.normal(0, 0.004) for value in true])
    accuracies = np.array([value + rng.normal(0, 0.05) for value in true])
    trainings = trained(accuracies.tolist(), merits.tolist())
    evidence = Evidence(points(), [replace(one, pictures=100) for one in trainings])
    moved = told(accuracies, -np.log(merits), merits)
    share = float(evidence.learned.std() / moved.std())
    assert share < 0.85
    level = float(moved[1:].mean())
    slope = slope_to(level, float(moved[0]), points().ratio)
    data = replace(evidence.data(), accuracy=moved[1:])
    wide = fit(data, slope=slope, noise=NoisePrior.of_pictures(level, 100))
    mine = evidence.posterior()
    assert mine.noise == pytest.approx(share**2 * wide.noise, rel=0.05)
    one, other = Surface(mine), Surface(wide)
    assert one.optimum.tolist() == other.optimum.tolist()
    assert one.region.size == pytest.approx(other.region.size, abs=0.01)
    assert 0 < one.region.size < 1
    assert one.regret == pytest.approx(share * other.regret, rel=0.05)


def test_decisions_do_not_depend_on_the_order_of_arrival() -> None:
    rng = np.random.default_rng(2)
    accuracies = rng.uniform(0.6, 0.8, 24).tolist()
    done = trained(accuracies, (np.array(accuracies) - rng.uniform(0.1, 0.2, 24)).tolist())
    shuffled = [done[i] for i in rng.permutation(24)]
    assert Evidence(points(), done).fitted_to != ACCURACY
    assert choose(Evidence(points(), done), 0, 24) == choose(Evidence(points(), shuffled), 0, 24)


def test_a_search_finds_by_losses_what_accuracies_are_too_coarse_for() -> None:
    best = np.array([0.2, 0.5, 0.3])
    by, away = {}, {}
    for name, score in (("all", full), ("accuracy", bare)):
        by[name] = run(30, score)
        away[name] = float(((by[name].surface.optimum - best) ** 2).sum())
    assert by["accuracy"].fitted_to == ACCURACY
    assert by["all"].fitted_to == "probability and loss"
    assert away["all"] < 0.02
    assert away["all"] < away["accuracy"]
    assert by["all"].region.size < 0.5 * by["accuracy"].region.size
    low, high = by["all"].confidence["alpha"]
    assert low <= 4**0.2 <= high


@pytest.mark.parametrize("given_", ["high", None, [0.5], True])
def test_details_of_a_users_own_may_mean_anything(given_: object) -> None:
    def score(spec: ArchSpec, seed: int) -> Evaluation:
        return replace(full(spec, seed), details={"probability": given_})

    assert run(8, score).fitted_to == "accuracy and loss"


@pytest.mark.parametrize("method", ["adaptive", "grid"])
def test_a_resumed_search_learns_what_it_had_learned(tmp_path: Path, method: str) -> None:
    whole = run(22, method=method)
    run(12, run_dir=tmp_path / "run", method=method)
    resumed = run(22, run_dir=tmp_path / "run", method=method, resume=True)
    assert resumed.to_dict() == whole.to_dict()
    assert resumed.fitted_to == "probability and loss"


def test_a_plain_grid_names_by_what_is_learned() -> None:
    """Accuracies that are all but alike name by chance."""
    count = len(points().points)
    found = run(count, method="grid")
    trainings = [
        (record.evaluation.details["probability"], record.spec.key)
        for record in found.trials
        if record.evaluation is not None and record.spec.key != baseline().spec.key
    ]
    assert found.point.spec.key == max(trainings)[1]


def test_the_screen_and_the_page_say_what_the_surface_was_fitted_to(tmp_path: Path) -> None:
    found = run(12, run_dir=tmp_path / "run")
    said = "fitted to the probability and loss of each training"
    assert said in learned_from(found)
    assert said in summary(found, tmp_path / "run")
    assert json.loads((tmp_path / "run/coefficients.json").read_text())["fitted_to"] == (
        "probability and loss"
    )
    report([str(tmp_path / "run")])
    assert said in (tmp_path / "run" / "report.html").read_text("utf-8")
    accuracies = run(12, bare)
    assert learned_from(accuracies) == ""
    assert "fitted to" not in summary(accuracies, tmp_path)
