"""The benchmark of what short trainings decide: its networks, and how pairs are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.truth.scaling_decided import MEASURES, Decided, decided, measures, networks
from models.cost import cost
from models.families import family
from trials.record import Evaluation


def test_the_networks_cost_twice_the_baseline() -> None:
    baseline = replace(family("efficientnet-lite0"), resolution=81)
    found = networks(baseline)
    assert len({spec.key for spec in found.values()}) == len(found) == 6
    for spec in found.values():
        assert cost(spec).macs / cost(baseline).macs == pytest.approx(2, rel=0.03)


def test_a_pair_is_decided_where_its_seeds_agree() -> None:
    """The first is ahead under every seed, though the seeds differ; the others are not told."""
    seeds = np.array([0.1, 0.5, 0.3])
    short = [seeds + 0.05, seeds + np.array([0.001, -0.001, 0.002]), seeds]
    assert decided(short, [0.9, 0.5, 0.7]) == Decided(3, 2, 2, 2)
    assert decided(short, [0.1, 0.5, 0.7]) == Decided(3, 2, 0, 0)


def test_the_measures_of_a_training() -> None:
    made = Evaluation(0.7, 0, 1.0, float(np.log(2)), details={"probability": 0.6})
    assert measures(made) == pytest.approx([0.7, 0.6, 0.5, 0.55])
    assert len(measures(made)) == len(MEASURES)
