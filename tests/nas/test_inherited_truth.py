"""The benchmarks of what inherited weights say: shares, truths of other origin, known truths."""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.support import shares
from benchmarks.support.rankings import Truth
from benchmarks.support.shares import Share, parent_at, share
from benchmarks.truth import inherited_fidelity, inherited_macro, own_parent
from models.build import build
from models.families import family
from models.inherit import inheritance
from models.spec import ArchSpec
from tests.support.paths import NAS_BENCH_MACRO, needs_shared
from training.transfer.parent import Moments, Parent, weights_of
from trials.record import Evaluation

IMAGENET = Moments((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.mark.parametrize("of", [1, 3, 8])
def test_shares_have_everything_once(of: int) -> None:
    owners = [[n for n in range(1, of + 1) if Share(n, of).has(at)] for at in range(20)]
    assert all(len(one) == 1 for one in owners)
    assert share(f"{of}/{of}") == Share(of, of)


@pytest.mark.parametrize("text", ["0/4", "5/4", "2", "a/b", "-1/3", "1/0"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="give K/N"):
        share(text)


def test_a_share_makes_no_parent(tmp_path: Path) -> None:
    """Two processes would make the same one at once; what is there is read, not made."""
    path = tmp_path / "parent.safetensors"
    with pytest.raises(ValueError, match="--parents-only"):
        parent_at(path, Share(1, 2), lambda: opened("efficientnet-lite0"))
    made = parent_at(path, shares.WHOLE, lambda: opened("efficientnet-lite0"))
    assert [one.name for one in tmp_path.iterdir()] == ["parent.safetensors"]  # nothing partial

    def never() -> Parent:
        raise AssertionError("made again")

    assert parent_at(path, Share(2, 2), never).digest == made.digest


def test_a_clock_says_what_its_seconds_are() -> None:
    made = Evaluation(0.5, 0, 1.0, 0.7, details={"probability": 0.4})
    told = [shares.Clock(torch.device(one)).told(made) for one in ("cpu", "cuda")]
    assert [one["unit"] for one in told] == ["core-s", "wall-s"]
    assert shares.unit(told) == "core-s and wall-s"
    assert shares.unit([{"seconds": 1.0}]) == "core-s"  # kept before there was another
    assert told[0]["seconds"] >= 0


def opened(name: str, spec: ArchSpec | None = None) -> Parent:
    """A family's network with random weights."""
    torch.manual_seed(0)
    own = family(name)
    return Parent(name, own, weights_of(build(own)), IMAGENET)


def worth(spec: ArchSpec, origin: str) -> float:
    """A number from 0 to 1 that is the network's and the origin's own."""
    return zlib.crc32(f"{spec.key} {origin}".encode()) / 2**32


class Trainings:
    """Stand in for trainings: the loss is the network's and its origin's ``worth``."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str, int, int]] = []

    def child(
        self, parent: Parent, spec: ArchSpec, recipe: Any, data: Any, seed: int, device: Any
    ) -> tuple[None, Evaluation]:
        found = self._made(spec, parent.name, recipe.epochs, seed)
        found.details["inherited"] = {"distance": worth(spec, "distance")}
        return None, found

    def train(self, spec: ArchSpec, recipe: Any, data: Any, seed: int, device: Any) -> Evaluation:
        return self._made(spec, "scratch", recipe.epochs, seed)

    def _made(self, spec: ArchSpec, origin: str, epochs: int, seed: int) -> Evaluation:
        self.made.append((spec.key, origin, epochs, seed))
        loss = worth(spec, origin)
        return Evaluation(1 - loss, seed, 1.0, loss, details={"probability": 1 - loss})


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    made = Trainings()
    monkeypatch.setattr(inherited_fidelity, "child", made.child)
    monkeypatch.setattr(inherited_fidelity, "train", made.train)
    monkeypatch.setattr(inherited_fidelity, "open_parent", opened)
    monkeypatch.setattr(inherited_fidelity, "prepared", lambda parent, *_: parent)
    return made


Run = Callable[..., str]


@pytest.fixture
def fidelity(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(out: Path, *more: str) -> str:
        given = ["digits", "--networks", "5", "--truth", "2", "--images", "40", "--size", "8"]
        given += ["--others", "efficientnet-lite2,scratch", "--out", str(out), *more]
        inherited_fidelity.main(given)
        return capsys.readouterr().out

    return run


def test_shares_come_to_the_table_of_one_process(
    trainings: Trainings, fidelity: Run, tmp_path: Path
) -> None:
    whole = fidelity(tmp_path / "whole")
    once = sorted(trainings.made)
    trainings.made.clear()
    out = tmp_path / "shared"
    with pytest.raises(ValueError, match="--parents-only"):
        fidelity(out, "--share", "1/2")
    trainings.made.clear()  # the first, from scratch, needs no parent
    for one in out.glob("*.json"):
        one.unlink()
    fidelity(out, "--parents-only")
    assert not trainings.made
    assert fidelity(out, "--share", "1/2") == ""
    assert sorted(one.name for one in out.glob("*.json")) == ["0.json", "2.json", "4.json"]
    fidelity(out, "--share", "2/2")
    assert sorted(trainings.made) == once
    for one in out.glob("*.safetensors"):  # the table needs none
        one.unlink()
    assert fidelity(out) == whole
    (out / "4.json").unlink()
    assert "\n4 networks; in full " in fidelity(out, "--finished")
    (out / "3.json").unlink()
    with pytest.raises(ValueError, match="3 networks are finished"):
        fidelity(out, "--finished")
    assert not list(out.glob("*.safetensors"))
    assert sorted(trainings.made) == once  # nor is anything trained again


def test_truths_of_other_origin(trainings: Trainings, fidelity: Run, tmp_path: Path) -> None:
    """The score's loss is that of its own origin's truth, and nothing of the others'."""
    page = fidelity(tmp_path)
    found = [json.loads((tmp_path / f"{n}.json").read_text()) for n in range(5)]
    for row in found:
        spec = ArchSpec.from_json(row["spec"])
        for origin in ("efficientnet-lite2", "scratch"):
            assert row[f"{origin} 0"]["loss"] == row[f"{origin} 1"]["loss"] == worth(spec, origin)
    own, lite2, scratch, between = page.split("\n\n| ")[0], *page.split("\n\nTruth of ")[1:], page
    score = "| inherited, no training: loss | "
    assert f"{score}1.00 (1.00 to 1.00)" in own
    for part, origin in ((lite2, "efficientnet-lite2"), (scratch, "scratch")):
        known = np.array([-row[f"{origin} 0"]["loss"] for row in found])
        near = np.array([-row["score"]["distance"] for row in found])
        macs = np.ones(5)
        said = Truth(known, near, macs).cells([-row["score"]["loss"] for row in found])
        assert score + said.rpartition(" | ")[0] in part
    assert "| full with efficientnet-lite2 | " in between
    assert "| efficientnet-lite2 with scratch | " in between
    seeds = {(origin, seed) for _, origin, epochs, seed in trainings.made if epochs > 2}
    assert len({seed for _, seed in seeds}) == len(seeds) == 6  # no luck in common


def test_no_parent_helped_the_truth_of_an_own_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here a training from scratch agrees with it to the digit; a child's knows nothing of it."""
    made = Trainings()
    monkeypatch.setattr(own_parent, "child", made.child)
    monkeypatch.setattr(own_parent, "train", made.train)
    monkeypatch.setattr(own_parent, "raise_on", lambda parent, *_: parent)
    given = ["digits", "--networks", "6", "--size", "8", "--out", str(tmp_path)]
    own_parent.main(given)
    page = capsys.readouterr().out
    assert "| from scratch, short training: loss | 1.00 (1.00 to 1.00)" in page
    rows = [json.loads((tmp_path / f"{n}.json").read_text()) for n in range(6)]
    for row in rows:
        spec = ArchSpec.from_json(row["spec"])
        assert row["full 0"]["loss"] == row["scratch"]["loss"] == worth(spec, "scratch")
        assert row["score"]["loss"] == row["short"]["loss"] == worth(spec, "own-efficientnet-lite0")
    lengths = {(origin, epochs) for _, origin, epochs, _ in made.made}
    inherited = {("own-efficientnet-lite0", 0), ("own-efficientnet-lite0", 2)}
    assert lengths == {("scratch", 2), ("scratch", 15), *inherited}
    own_parent.main([*given, "--finished"])
    assert capsys.readouterr().out == page


@needs_shared(NAS_BENCH_MACRO)
def test_macro_networks_are_spread_over_flops() -> None:
    """Rows that are one network are one, with the mean of what is known of them."""
    known = inherited_macro.networks(NAS_BENCH_MACRO)
    assert len({one.spec.key for one in known}) == len(known) < 3308
    drawn = inherited_macro.spread(known, 12)
    places = [known.index(one) for one in drawn]
    assert places == sorted(places)
    assert [12 * place // len(known) for place in places] == list(range(12))
    assert drawn == inherited_macro.spread(known, 12)


@pytest.mark.parametrize(
    ("digits", "fresh", "most"), [("22222220", 0, 0.3), ("02222222", 1, 0.1), ("11111111", 0, 0.5)]
)
def test_a_macro_network_inherits(digits: str, fresh: int, most: float) -> None:
    """Layers are paired by the stride they have reached, into however many stages equal ones are
    joined; only the convolution that stands for a first layer left out has no donor."""
    parent = inherited_macro._spec(inherited_macro.LARGEST)
    torch.manual_seed(0)
    network: nn.Module = build(parent)
    found = inheritance(parent, weights_of(network), inherited_macro._spec(digits))
    assert found.changes["fresh"] == fresh
    assert 0 < found.distance < most


@pytest.mark.slow
@needs_shared(NAS_BENCH_MACRO)
def test_macro_from_its_parent_to_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["digits", "--networks", "4", "--parent-images", "32", "--parent-epochs", "1"]
    given += ["--images", "32", "--held-out", "32", "--out", str(tmp_path)]
    given += ["--table", str(NAS_BENCH_MACRO)]
    inherited_macro.main([*given, "--parents-only"])
    for number in (1, 2):
        inherited_macro.main([*given, "--share", f"{number}/2"])
    assert len(list(tmp_path.glob("*.json"))) == 4
    (tmp_path / "parent.safetensors").unlink()
    capsys.readouterr()
    inherited_macro.main(given)
    page = capsys.readouterr().out
    assert page.count("\n|") == 9 + 5 + 1
    assert "4 networks; known " in page
    inherited_macro.main([*given, "--finished"])
    assert capsys.readouterr().out == page
