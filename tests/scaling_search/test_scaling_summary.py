"""What a scaling search says of its answer: which networks were compared, and how sure that is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

from reports.__main__ import main as report
from scaling_search.coefficients import PAPER
from scaling_search.result import ScalingResult
from scaling_search.search import search
from scaling_search.summary import answer, compared, in_points, measured, product, summary
from scaling_search.surface.comparison import Measured, comparisons
from scaling_search.surface.evidence import Evidence, Training
from tests.support.surface import baseline, evaluate
from trials.energy import FILE_NAME


def run(trials: int, run_dir: Path | None = None) -> ScalingResult:
    return search(baseline(), evaluate, 4.0, trials, run_dir=run_dir, phis=(0.0, 1.0))


@pytest.fixture(scope="module")
def found() -> ScalingResult:
    return run(30)


def test_the_networks_that_are_compared_are_told_by_their_own_numbers(
    found: ScalingResult, tmp_path: Path
) -> None:
    grid = found.grid
    paper = grid.points[grid.roles["paper"]].realised
    assert product(paper) != product(PAPER.at(1))  # or nothing needs telling
    said = summary(found, tmp_path)
    assert "the paper's 1.2/1.1/1.15" not in said
    for item in found.comparisons:
        assert item.realised == grid.points[grid.roles[item.against]].realised
        assert product(item.realised) in said
    assert product(found.point.realised) in compared(found)
    assert product(PAPER.at(1)) in compared(found)
    assert "1.92" in compared(found)


def test_without_the_papers_direction_nothing_is_said_of_it(found: ScalingResult) -> None:
    others = tuple(item for item in found.comparisons if item.against != "paper")
    assert "paper" not in compared(replace(found, comparisons=others))
    none = replace(found, comparisons=())
    assert "is compared" not in summary(none, Path("run"))


def test_measured_differences_are_of_trainings_of_one_seed(found: ScalingResult) -> None:
    depth, width = found.grid.roles["depth"], found.grid.roles["width"]
    mine, theirs = [0.71, 0.74, 0.72, 0.9], [0.70, 0.71, 0.72]
    trainings = [Training(depth, n, a) for n, a in enumerate(mine)]
    trainings += [Training(width, n, a) for n, a in enumerate(theirs)]
    trainings += [Training(width, 4, 0.1), Training(width, 5, None)]
    of = {c.against: c for c in comparisons(found.surface, Evidence(found.grid, trainings), depth)}
    told = of["width"].measured
    assert told is not None
    expected = ttest_rel(mine[:3], theirs).confidence_interval(0.9)
    assert told.n == 3
    assert told.difference == pytest.approx(np.mean(mine[:3]) - np.mean(theirs))
    assert (told.low, told.high) == pytest.approx((expected.low, expected.high))
    assert of["resolution"].measured is None  # never trained
    assert of["depth"].measured is None  # itself


def test_one_pair_has_no_interval() -> None:
    assert measured(Measured(1, 0.012, None, None)) == "+1.20, 1 pair"
    assert measured(Measured(2, 0.012, -0.003, 0.027)) == "+1.20 (-0.30 to +2.70), 2 pairs"
    assert measured(None) == "no pair"


def test_a_region_that_leaves_everything_open_says_so_where_the_numbers_stand(
    found: ScalingResult,
) -> None:
    def said(inside: float) -> str:
        nodes = len(found.region.inside)
        count = round(inside * nodes)
        region = replace(found.region, inside=np.arange(nodes) < count)
        return answer(replace(found, region=region)).split(". ")[1]

    guess = "hardly more than a guess"
    assert "rules out nothing" in said(1.0)
    assert guess in said(1.0)
    nearly = said(0.998)
    assert "covers 99 %" in nearly
    assert "next to nothing" in nearly
    assert guess in nearly
    assert guess in said(0.92)
    assert said(0.3) == "The 90 % region covers 30 % of all ways to scale"
    assert "less than 1 %" in said(0.001)


def test_the_page_has_the_measured_beside_the_fitted(tmp_path: Path) -> None:
    found = run(30, tmp_path)
    report([str(tmp_path)])
    page = (tmp_path / "report.html").read_text("utf-8")
    section = page.split("Against other ways")[1].split("<h2>")[0]
    assert "fitted difference" in section
    assert "measured difference" in section
    assert any(item.measured is not None for item in found.comparisons)
    for item in found.comparisons:
        if item.verdict != "same":
            assert in_points(item.difference, item.low, item.high) in section
            assert measured(item.measured) in section
    assert not re.search(r"the paper.s 1\.2/", page)


def test_the_energy_of_a_run_is_told_where_it_is_known(tmp_path: Path) -> None:
    found = run(7, tmp_path)
    page = tmp_path / "report.html"
    report([str(tmp_path)])
    assert "energy:" not in (summary(found, tmp_path) + page.read_text("utf-8")).lower()
    (tmp_path / FILE_NAME).write_text('{"CPU package 0": 1234}')
    report([str(tmp_path)])
    assert "energy: 1.23 kJ by CPU package 0" in summary(found, tmp_path)
    assert "Energy: 1.23 kJ by CPU package 0" in page.read_text("utf-8")
