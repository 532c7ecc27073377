"""ReXNet beside EfficientNet: widths of equal cost, published accuracies between them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from reports.__main__ import main
from reports.scalability import between, closed_form, matched, matches, rexnet
from trials.latencies import Reading


class FakeClock:
    """Seconds that are multiply-adds, in place of a stopwatch."""

    def __init__(self, device: str, batch: int, threads: int) -> None:
        self.measured_on = {"device": device, "batch": batch, "threads": threads}

    def __call__(self, spec: ArchSpec) -> Reading:
        seconds = 1e-10 * cost(spec).macs
        return Reading(seconds, seconds, seconds, 4)


@pytest.mark.parametrize("kind", ["macs", "params", "activations"])
@pytest.mark.parametrize("member", ["efficientnet-b0", "efficientnet-b2"])
def test_no_other_width_comes_nearer(member: str, kind: str) -> None:
    found = matched(member, kind, closed_form(kind))
    wanted = getattr(cost(family(member)), kind)
    assert found.cost == wanted
    assert found.matched == getattr(cost(rexnet(found.width)), kind)
    away = abs(found.matched - wanted)
    for beside in (found.width - 0.01, found.width + 0.01):
        assert abs(getattr(cost(rexnet(beside)), kind) - wanted) >= away
    assert abs(found.deviation) < 2


def test_a_member_cheaper_than_width_1_is_found_below_it() -> None:
    def of(spec: ArchSpec) -> float:
        return 1e6 if spec.name == "efficientnet-b0" else float(cost(spec).macs) / 300

    found = matched("efficientnet-b0", "macs", of)
    assert 0.5 < found.width < 1
    assert found.other is None or found.width >= 0.9


def test_published_accuracies_stand_at_their_widths_and_nowhere_outside() -> None:
    assert between(1.0) == pytest.approx(77.9)
    assert between(1.5) == pytest.approx(80.3)
    assert between(0.9) == pytest.approx(77.2)
    middle = between(1.6)
    assert middle is not None
    assert 80.3 < middle < 81.6
    assert between(0.89) is None
    assert between(3.2) is None


def test_no_rexnet_is_large_enough_for_every_member() -> None:
    with pytest.raises(ValueError, match="has the activations of efficientnet-b7: leave it out"):
        matched("efficientnet-b7", "activations", closed_form("activations"))


def test_latencies_are_asked_for_beside_the_member() -> None:
    asked: list[str] = []

    def timed(member: str) -> object:
        asked.append(member)
        return FakeClock("cpu", 1, 1)

    found = list(matches(["efficientnet-b0"], ["macs", "latency"], timed))  # type: ignore[arg-type]
    assert asked == ["efficientnet-b0"]
    assert found[0].width == found[1].width
    assert found[1].cost == pytest.approx(0.0386, abs=1e-4)


def test_command_writes_table_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.commands.scalability_go.Stopwatch", FakeClock)
    given = ["scalability", "--members", "efficientnet-b0", "--out", str(tmp_path)]
    main([*given, "--at", "macs", "params", "activations", "latency"])
    said = capsys.readouterr().out
    assert "| macs | B0 | 386M | 77.1 | x0.9" in said
    assert "| latency | B0 |" in said
    table = pd.read_csv(tmp_path / "scalability.csv")
    assert set(table["kind"]) == {"macs", "params", "activations", "latency"}
    assert len(list(tmp_path.glob("scalability-*.png"))) == 3


def test_latencies_stand_beside_every_match_where_they_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[str] = []

    class Counting(FakeClock):
        def __call__(self, spec: ArchSpec) -> Reading:
            timed.append(spec.name)
            return super().__call__(spec)

    monkeypatch.setattr("reports.commands.scalability_go.Stopwatch", Counting)
    given = ["scalability", "--members", "efficientnet-b0", "--at", "macs", "params"]
    main([*given, "--out", str(tmp_path)])
    assert timed == []
    assert "latency" not in capsys.readouterr().out.lower()
    assert "latency" not in pd.read_csv(tmp_path / "scalability.csv")
    main([*given, "--latency", "--out", str(tmp_path)])
    said = capsys.readouterr().out
    assert "| equal | EfficientNet | cost | latency | top-1 | ReXNet | cost | latency |" in said
    assert (
        "| macs | B0 | 386M | 38.6 ms | 77.1 | x0.97 | 385M (-0.2 %) | 38.5 ms (-0.2 %) |" in said
    )
    assert "Latencies: {" in said
    table = pd.read_csv(tmp_path / "scalability.csv").set_index("kind")
    for kind in ("macs", "params"):
        macs = cost(rexnet(table.width[kind])).macs
        assert table.matched_latency[kind] == pytest.approx(1e-10 * macs)
        assert table.latency[kind] == pytest.approx(1e-10 * cost(family("efficientnet-b0")).macs)
    assert len(set(timed)) == 3  # B0 and two widths, none of which is looked for by its latency
