"""``python -m reports networks``: the tables, files and pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib import image

from common.command import run
from models.cost import cost
from models.families import family
from models.reference import SPECS, Missing, measure
from models.reference.count import Count
from models.reference.published import HISTORY, PUBLISHED, RESULTS_TABLE
from models.scale import scale
from reports.__main__ import main
from reports.networks import measured
from reports.networks.groups import GROUPS


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks without a closed form measure what is published of them."""

    def stand_in(name: str) -> Count:
        if name in SPECS:
            return measure(name)
        published = PUBLISHED[name]
        return Count(int(published.flops or 1e9), int(published.params), int(1e9))

    monkeypatch.setattr(measured, "measure", stand_in)


def table(text: str) -> dict[str, list[str]]:
    """The Markdown rows by network, without the mark of a note and bold type."""
    rows = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert len({len(row) for row in rows[2:]}) == 1
    return {row[0].strip("* \\"): row for row in rows[2:]}


def write_family(run_dir: Path) -> None:
    (run_dir / "family").mkdir(parents=True)
    base = family("mobilenet-v2-0.5")
    for phi in (0, 1):
        spec = scale(base, 1.2**phi, 1.1**phi, 1.15**phi)
        facts: dict[str, Any] = {"phi": phi, "spec": json.loads(spec.to_json())}
        if phi == 1:  # as the scaling search writes it
            facts["cost"] = cost(spec)._asdict()
        (run_dir / "family" / f"phi-{phi}.json").write_text(json.dumps(facts))


@pytest.mark.usefixtures("quick")
def test_the_results_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_family(tmp_path / "run")
    argv = ["networks", "--out", str(tmp_path / "out"), "--run", str(tmp_path / "run")]
    assert run(main, argv) == 0
    text = capsys.readouterr().out
    rows = table(text)
    assert list(rows) == [row.name for row in RESULTS_TABLE] + ["phi 0", "phi 1"]
    assert rows["ResNet-50"][2:12] == [
        "25.6M", "26M (-1.7 %)", "4.83x", "4.9x (-1.4 %)",
        "4.09G", "4.1G (-0.3 %)", "10.6x", "11x (-3.6 %)", "4.11G", "76.0 / 93.0",
    ]  # fmt: skip
    assert rows["EfficientNet-B7"][6:8] == ["37.7G", "37G (+2.0 %)"]
    assert rows["phi 0"][2] == "1.97M"
    assert "PNASNet: 23B is a slip for 25B" in text
    assert "[1] EfficientNet, arXiv:1905.11946 v5, Table 2" in text
    with (tmp_path / "out" / "networks.csv").open() as file:
        records = {row["network"]: row for row in csv.DictReader(file)}
    assert int(records["EfficientNet-B0"]["flops"]) == 385_814_752
    assert int(records["EfficientNet-B0"]["fvcore"]) == 401_659_392
    assert float(records["ResNet-50"]["params_deviation_pct"]) == pytest.approx(-1.70, abs=0.01)
    assert records["GPipe"]["flops_published"] == records["phi 1"]["top1"] == ""
    for name in ("accuracy-params.png", "accuracy-flops.png"):
        assert image.imread(tmp_path / "out" / name).std() > 0.02


@pytest.mark.usefixtures("quick")
def test_the_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["networks", "--group", "history", "--out", str(tmp_path)]) == 0
    rows = table(capsys.readouterr().out)
    assert list(rows) == HISTORY
    assert rows["MobileNetV1 0.25-192"][4:6] == ["30.2M", "34M (-11.1 %)"]
    assert image.imread(tmp_path / "accuracy-flops.png").std() > 0.02


def test_a_missing_extra_leaves_rows_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without(name: str) -> Count:
        if name not in SPECS:
            raise Missing("needs timm: pip install 'evenscale[reference]'")
        return measure(name)

    monkeypatch.setattr(measured, "measure", without)
    assert run(main, ["networks"]) == 0
    text = capsys.readouterr().out
    assert set(table(text)) == {row.name for row in RESULTS_TABLE} & set(SPECS)
    assert "Xception is left out: it needs timm: pip install 'evenscale[reference]'" in text


def test_a_users_own_module_is_taken_at_the_cost_that_was_counted(tmp_path: Path) -> None:
    (tmp_path / "family").mkdir()
    path = tmp_path / "family" / "phi-0.5.json"
    stored = {"macs": 10, "params": 20, "fvcore": 30}
    path.write_text(json.dumps({"phi": 0.5, "cost": stored, "spec": {"depth": 1.1}}))
    (row,) = measured.run_rows(tmp_path)
    assert (row.flops.measured, row.params.measured, row.fvcore) == (10, 20, 30)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"cost": 1}',
        '{"spec": {"name": "x"}}',
        pytest.param("[" * 100_000, id="deep"),
        '{"cost": {"macs": 1e999, "params": 1, "fvcore": 1}}',
        '{"cost": {"macs": 0, "params": 1, "fvcore": 1}}',
    ],
)
def test_a_family_that_cannot_be_read_is_named(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(main, ["networks", "--run", str(tmp_path)]) == 2
    assert "no family/phi-*.json" in capsys.readouterr().err
    (tmp_path / "family").mkdir()
    (tmp_path / "family" / "phi-1.json").write_text(content)
    assert run(main, ["networks", "--run", str(tmp_path)]) == 2
    assert "phi-1.json is no member of a family" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_every_row_is_measured(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    for library in ("timm", "pytorchcv"):
        pytest.importorskip(library)
    found, left_out = measured.rows(group)
    assert not left_out
    for row in found:
        published = row.published
        assert published is not None
        for value in (row.params, row.flops):
            assert value.deviation is None or abs(value.deviation) < 5 or published.note, row.name
