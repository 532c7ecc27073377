"""The benchmark of what short trainings decide: its networks, and how pairs are counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.truth import scaling_decided
from benchmarks.truth.scaling_decided import MEASURES, Decided, decided, measures, networks
from models.build import build
from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from training.transfer.parent import Moments, Parent, weights_of
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


def test_shares_come_to_the_table_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trainings are stood in for by what their seed draws."""
    made: list[tuple[str, int, int]] = []

    def trained(spec: ArchSpec, recipe: Any, data: Any, seed: int, device: Any) -> Evaluation:
        made.append((spec.key, recipe.epochs, seed))
        drawn = np.random.default_rng(len(spec.key) + seed + spec.resolution).random()
        return Evaluation(drawn, seed, 1.0, drawn, details={"probability": drawn})

    def opened(name: str) -> Parent:
        torch.manual_seed(0)
        own = family(name)
        moments = Moments((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        return Parent(name, own, weights_of(build(own)), moments)

    monkeypatch.setattr(scaling_decided, "train", trained)
    monkeypatch.setattr(scaling_decided, "child", lambda _, *given: (None, trained(*given)))
    monkeypatch.setattr(scaling_decided, "open_parent", opened)
    monkeypatch.setattr(scaling_decided, "prepared", lambda parent, *_: parent)

    def run(out: Path, *more: str) -> str:
        scaling_decided.main(["digits", "--images", "40", "--out", str(out), *more])
        return capsys.readouterr().out

    whole, once, out = run(tmp_path / "whole"), sorted(made), tmp_path / "shared"
    assert len(once) == 6 * (3 + 3 + 2)
    made.clear()
    run(out, "--parents-only")
    assert not made
    assert [run(out, "--share", f"{number}/4") for number in (1, 2, 3, 4)] == [""] * 4
    assert sorted(made) == once
    (out / "parent.safetensors").unlink()  # the table needs none
    assert run(out) == whole
    assert sorted(made) == once
