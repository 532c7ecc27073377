"""A user's own factory of modules: counted, searched, and reported without the factory."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models.build import build
from models.cost import cost
from models.families import family
from models.memory import training_bytes
from reports.__main__ import main as report
from scaling_search.points.modules import ModuleBaseline, Scaled
from scaling_search.result import ScalingResult
from scaling_search.search import search
from tests.support.command import assert_refused, in_process
from tests.support.docs import example
from trials.store.study import read_run


def plain(depth: float, width: float, resolution: float) -> nn.Module:
    """Convolutions in a row."""
    channels, layers = round(16 * width), round(4 * depth)
    convs = [nn.Conv2d(channels if i else 3, channels, 3, padding=1) for i in range(layers)]
    return nn.Sequential(*convs, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


BASELINE = ModuleBaseline(plain, side=24)


def evaluate(network: Scaled, seed: int) -> float:
    assert isinstance(BASELINE.build(network), nn.Module)
    return 0.5 + 0.1 * network.width + 0.001 * (seed % 7)


def find(run_dir: Path | None, trials: int = 8, resume: bool = False) -> ScalingResult:
    return search(
        BASELINE, evaluate, "2x", trials, run_dir=run_dir, resume=resume, step=0.5, phis=(0.0, 1.0)
    )


def test_counted_once_and_exactly() -> None:
    built = []

    def factory(depth: float, width: float, resolution: float) -> nn.Module:
        built.append((depth, width, resolution))
        return plain(depth, width, resolution)

    baseline = ModuleBaseline(factory, side=24)
    weights = 9 * (3 * 16 + 3 * 16 * 16)
    assert baseline.macs(baseline.spec) == 24 * 24 * weights + 160
    assert baseline.cost(baseline.spec) == {
        "macs": 24 * 24 * weights + 160,
        "params": weights + 4 * 16 + 170,
        "fvcore": 24 * 24 * weights + 160 + 24 * 24 * 16,  # the adaptive pool's input
        "activations": 4 * 16 * 24 * 24 + 10,
    }
    baseline.cost(baseline.spec)
    baseline.macs(baseline.at_side(baseline.spec, 24))
    assert built == [(1.0, 1.0, 1.0)] * 2  # the products, and for ``cost`` the activations


def test_counts_are_the_closed_forms() -> None:
    spec = replace(family("mobilenet-v2-0.35"), classes=10)

    def factory(depth: float, width: float, resolution: float) -> nn.Module:
        return build(spec)

    baseline = ModuleBaseline(factory, side=64)
    assert baseline.cost(baseline.spec) == cost(replace(spec, resolution=64))._asdict()


def test_a_search_and_its_family() -> None:
    found = find(None)
    assert len(found.trials) == 8
    for point in found.grid.points[1:]:
        assert abs(point.error) <= 0.03


def test_reported_from_the_study_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = tmp_path / "run"
    find(run_dir)
    for name in ("_count", "build"):
        monkeypatch.delattr(ModuleBaseline, name)
    report([str(run_dir)])
    page = (run_dir / "report.html").read_text("utf-8")
    assert "How plain should scale" in page
    assert "Layers were rounded by the rule" not in page
    points = (run_dir / "points.csv").read_text("utf-8").splitlines()
    assert len(points) > 3
    member = json.loads((run_dir / "family" / "phi-1.json").read_text("utf-8"))
    network = Scaled.from_json(json.dumps(member["spec"]))
    assert member["side"] == network.side
    assert member["key"] == network.key
    assert f"{member['memory']['bytes'] / 2**30:.1f} GiB" in page
    counted = member["cost"]
    assert member["memory"]["bytes"] == training_bytes(
        counted["params"], counted["activations"], 32
    )


def test_resumed_without_counting_points_again(tmp_path: Path) -> None:
    whole = find(tmp_path / "whole", 9)
    find(tmp_path / "run", 5)
    built: list[float] = []

    def factory(depth: float, width: float, resolution: float) -> nn.Module:
        built.append(depth)
        return plain(depth, width, resolution)

    again = search(
        ModuleBaseline(factory, 24, name="plain"), evaluate, "2x", 9, run_dir=tmp_path / "run",
        resume=True, step=0.5, phis=(),
    )  # fmt: skip
    assert [r.spec for r in again.trials] == [r.spec for r in whole.trials]
    assert again.coefficients == whole.coefficients
    assert again.grid.points == whole.grid.points
    assert len(built) <= 2 * 4 + 2  # the baseline, and what the four trainings cost
    records = read_run(tmp_path / "run", from_json=Scaled.from_json).finished()
    assert [record.spec for record in records] == [record.spec for record in again.trials]


def test_another_kind_of_network_is_another_search(tmp_path: Path) -> None:
    find(tmp_path / "run", 3)
    with pytest.raises(ValueError, match="is the run of another search"):
        search(family("resnet-18"), lambda spec, seed: 0.5, "2x", 4, run_dir=tmp_path / "run",
               resume=True, step=0.5)  # fmt: skip


def test_networks_that_no_report_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A ``Scalable`` of one's own is searched and gone on with; a report says that it cannot."""

    class Own(ModuleBaseline):
        networks = "my own"

    run_dir = tmp_path / "run"
    own = Own(plain, side=24)
    for trials in (3, 4):
        search(own, evaluate, "2x", trials, run_dir=run_dir, resume=trials > 3, step=0.5, phis=())
    assert_refused(in_process(report, [run_dir], capsys), "'my own', are its caller's own")


def test_a_run_that_has_no_points_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    find(tmp_path / "run", 3)
    journal = tmp_path / "run" / "journal.log"
    lines = journal.read_text("utf-8").splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"points"' not in line[:200]), "utf-8")
    assert_refused(in_process(report, [tmp_path / "run"], capsys), "no points yet")


def test_pickled_with_what_was_counted() -> None:
    BASELINE.macs(BASELINE.spec)
    again = pickle.loads(pickle.dumps(BASELINE))
    assert again.spec == BASELINE.spec
    assert again.cost(again.spec) == BASELINE.cost(BASELINE.spec)


@pytest.mark.slow
def test_workers() -> None:
    found = search(BASELINE, evaluate, "2x", 4, workers=2, step=0.5, phis=())
    assert [record.state for record in found.trials] == ["complete"] * 4


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.integers(1, 999), st.integers(1, 999))
def test_json_both_ways(depth: float, width: float, side: int, base: int) -> None:
    network = Scaled(depth, width, side, base, "net")
    again = Scaled.from_json(network.to_json())
    assert again == network
    assert again.key == network.key == replace(network, name="other").key
    assert again.key != replace(network, side=side + 1).key


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"depth": 1}', "[" * 9999, '{"depth":0,"width":1,"side":8,"base_side":8}',
     '{"depth":1,"width":NaN,"side":8,"base_side":8}',
     '{"depth":1,"width":1,"side":0.5,"base_side":8}',
     '{"depth":1,"width":1,"side":8,"base_side":8,"name":""}'],
)  # fmt: skip
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no scaled module"):
        Scaled.from_json(text)


def test_bad_baselines() -> None:
    for side in (0, 2.5, True):
        with pytest.raises(ValueError, match="side"):
            ModuleBaseline(plain, side)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="channels 0"):
        ModuleBaseline(plain, 24, channels=0)

    def patches(depth: float, width: float, resolution: float) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.Flatten(), nn.Linear(8, 2))

    with pytest.raises(ValueError, match="the module cannot take 8 pixels"):
        ModuleBaseline(patches, 8).macs(Scaled(1, 1, 8, 8))
    assert ModuleBaseline(patches, 16).macs(Scaled(1, 1, 16, 16)) == 3 * 8 * 256 + 16
    assert torch.is_grad_enabled()


def test_the_documented_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs as printed; its run is reported, and its family's members are built."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    exec(example("own-networks.md", "Modules of one's own"), names)
    baseline, run_dir = names["baseline"], tmp_path / "runs" / "modules"
    assert len(names["answer"].trials) == 12
    report([str(run_dir)])
    assert "How factory should scale" in (run_dir / "report.html").read_text("utf-8")
    member = json.loads((run_dir / "family" / "phi-1.json").read_text("utf-8"))
    network = baseline.from_json(json.dumps(member["spec"]))
    assert sum(p.numel() for p in baseline.build(network).parameters()) == member["cost"]["params"]
