"""The scaling search's command line on real digits, its report, and the family without training."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from scaling_search.__main__ import main
from tests.support.command import assert_refused, command, in_process
from trials.latencies import Reading

QUICK = ("--data", "digits", "--proxy-images", 120, "--proxy-epochs", 1, "--device", "cpu")


def test_command_line_end_to_end(tmp_path: Path) -> None:
    """A real search: the baseline, each dimension alone, equal realised cost, the report."""
    out = tmp_path / "run"
    arguments = ("--target-flops", "2x", "--baseline", "mobilenet-v1-0.25-128", "--out", out)
    done = command("scaling_search", *arguments, "--trials", 8, *QUICK)
    assert done.returncode == 0, done.stderr
    assert "α" in done.stdout
    found = json.loads((out / "coefficients.json").read_text())
    values = found["coefficients"]
    product = values["alpha"] * values["beta"] ** 2 * values["gamma"] ** 2
    assert product == pytest.approx(found["target"]["ratio"], rel=1e-6)
    for name, (low, high) in found["confidence"].items():
        assert low <= values[name] <= high
    with (out / "points.csv").open() as file:
        rows = list(csv.DictReader(file))
    roles = {role for row in rows for role in row["role"].split(", ")}
    assert {"baseline", "depth", "width", "resolution"} <= roles
    for row in rows:
        if row["role"] != "baseline":
            assert float(row["ratio"]) == pytest.approx(2, rel=0.0301)
    page = (out / "report.html").read_text()
    assert page.count('class="drawn"') == 2
    for path in (out / "family").glob("phi-*.json"):
        member = json.loads(path.read_text())
        spec = ArchSpec.from_json(json.dumps(member["spec"]))
        assert cost(spec).macs == member["cost"]["macs"]
        assert member["reached"] == (abs(member["error"]) <= 0.03)
    assert len(list((out / "family").iterdir())) == 8

    again = command("reports", out)
    assert again.returncode == 0, again.stderr
    other = ("--target-flops", "3x", "--baseline", "mobilenet-v1-0.25-128", "--out", out)
    assert_refused(command("scaling_search", *other, "--resume", *QUICK), "target")


TINY = ("--baseline", "mobilenet-v1-0.25-128", "--step", 0.25, "--workers", 1)


def arithmetic(spec: ArchSpec, device: torch.device, batch: int, **_: object) -> Reading:
    """Latencies without a clock: FLOPs to a power, and a part for every layer."""
    layers = sum(stage.layers for stage in spec.stages)
    seconds = batch * (4e-4 * layers + 2e-8 * cost(spec).macs ** 0.75)
    return Reading(seconds, 0.99 * seconds, 1.01 * seconds, 20)


def test_a_search_at_a_latency(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real trainings at a latency that is arithmetic; resumed, it is not measured again."""
    monkeypatch.setattr("training.stopwatch.latency", arithmetic)
    out = tmp_path / "run"
    given = ("--target-latency", "160ms", "--latency-batch", 8, *TINY, *QUICK, "--out", out)
    done = in_process(main, (*given, "--trials", 6), capsys)
    assert done.returncode == 0, done.stderr
    assert "each but the baseline within 3 % of 160 ms" in done.stdout
    assert "device cpu, threads 1, batch 8" in done.stdout
    assert done.stdout.count(" FLOPs: ") == 6
    found = json.loads((out / "coefficients.json").read_text())
    assert found["target"]["seconds"] == 0.16
    with (out / "points.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["role"] != "baseline"]
    for row in rows:
        assert float(row["latency_median"]) == pytest.approx(0.16, rel=0.03)
    flops = [float(row["macs"]) for row in rows]
    assert max(flops) > 1.2 * min(flops)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("training.stopwatch.latency", forbidden)
    again = in_process(main, (*given, "--trials", 7, "--resume"), capsys)
    assert again.returncode == 0, again.stderr
    assert json.loads((out / "coefficients.json").read_text())["trainings"] == 7
    assert "latency, quartiles" in (out / "report.html").read_text()


@pytest.mark.slow
def test_a_search_at_a_measured_latency(tmp_path: Path) -> None:
    """By the clock, on a machine that may be busy: ratios to the baseline bear that."""
    out = tmp_path / "run"
    given = ("--target-latency", "4x", "--trials", 5, *TINY, *QUICK, "--step", 0.5, "--out", out)
    done = command("scaling_search", *given)
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "coefficients.json").read_text())
    assert found["target"]["ratio"] == pytest.approx(4)
    assert found["point"]["latency"]["median"] == pytest.approx(
        found["target"]["seconds"], rel=found["latency"]["tolerance"] * 1.0001
    )
    assert command("reports", out).returncode == 0


def test_family_without_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("family", "--coefficients", "1.2,1.1,1.15", "--phi", "-1,0,1", "--out", tmp_path / "f")
    done = in_process(main, given, capsys)
    assert done.returncode == 0, done.stderr
    assert "6.75M activations" in done.stdout
    assert "dropout 0.2, stochastic depth 0.2" in done.stdout
    members = {p.name: json.loads(p.read_text()) for p in (tmp_path / "f").iterdir()}
    base = cost(family("efficientnet-b0")).macs
    assert members["phi-0.json"]["macs"] == base
    assert members["phi--1.json"]["macs"] < base < members["phi-1.json"]["macs"]
    sized = in_process(main, ("family", "--targets", "1x,2x", "--out", tmp_path / "g"), capsys)
    assert sized.returncode == 0, sized.stderr
    ratios = sorted(json.loads(p.read_text())["ratio"] for p in (tmp_path / "g").iterdir())
    assert ratios == pytest.approx([1, 2], rel=0.03)


def test_a_family_by_a_rules_name_within_pixels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("family", "--coefficients", "fast", "--targets", "8x", "--max-resolution", 230,
             "--out", tmp_path / "f")  # fmt: skip
    done = in_process(main, given, capsys)
    assert done.returncode == 0, done.stderr
    (member,) = (json.loads(path.read_text()) for path in (tmp_path / "f").iterdir())
    assert member["phi"] == pytest.approx(3)
    assert member["side"] <= 230
    assert member["ratio"] == pytest.approx(8, rel=0.03)
    assert member["realised"]["width"] > member["realised"]["depth"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target-flops", "2y"), "2y"),
        (("--target-flops", "2x", "--target-latency", "2x"), "not allowed with"),
        (("--target-latency", "12"), "'12' is no time"),
        (("--target-latency", "1.02x"), "at least 10 %"),
        (("--target-latency", "2x", "--latency-batch", "0"), "whole number"),
        (("--target-latency", "2x", "--device", "abacus"), "abacus"),
        (("--baseline", "efficientnet-b99"), "efficientnet-b99"),
        (("--baseline", "/"), "baseline.json"),
        (("--data", "/nowhere"), "/nowhere"),
        (("--depth-rounding", "floor"), "floor"),
        (("family", "--phi", "1;2"), "1;2"),
        (("family", "--coefficients", "1.2,x,1"), "1.2,x,1"),
        (("family", "--coefficients", "fats"), "one of paper, fast"),
        (("family", "--max-resolution", "100"), "below the baseline's 224"),
        (("family", "--max-resolution", "0"), "whole number"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments if arguments[0] == "family" else (*arguments, "--out", tmp_path / "run")
    assert_refused(in_process(main, given, capsys), message)


def test_a_baseline_file_that_is_no_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "spec.json"
    path.write_bytes(b"\xff\xfe{}")
    assert_refused(in_process(main, ("--baseline", path), capsys), "no network spec")
