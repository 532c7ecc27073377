"""The studies' command line on real digits, its files; what it trains; ONNX of a family."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.families import family
from reports.__main__ import main as draw_again
from reports.scaling.study import published_table
from reports.scaling.study_answer import study_answer
from scaling_search.__main__ import main
from scaling_search.study_plan import growth, parse_factors, planned
from tests.support.command import assert_refused, in_process

TINY = "mobilenet-v1-0.25-128"
QUICK = ("--data", "digits", "--proxy-images", 120, "--proxy-epochs", 1, "--device", "cpu",
         "--workers", 1)  # fmt: skip


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_command_line_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two networks, one seed; resumed with a second seed; drawn again from the study alone."""
    out = tmp_path / "run"
    given = ("study", "single", "--baselines", TINY, "--factors", "w=1,1.5;r=1", *QUICK)
    done = in_process(main, (*given, "--repeats", 1, "--out", out), capsys)
    assert done.returncode == 0, done.stderr
    assert "| width | 1.5 |" in done.stdout
    # One training of 120 digits in one epoch: nothing is told, and hardly anything is learned.
    assert f"{TINY}: nothing is told" in done.stdout
    assert done.stdout.startswith("! Nothing was learned")
    assert "change: train longer" in done.stdout
    assert "next:" not in done.stdout
    assert {row["trainings"] for row in rows_of(out / "study.csv")} == {"1"}

    more = in_process(main, (*given, "--repeats", 2, "--out", out, "--resume"), capsys)
    assert more.returncode == 0, more.stderr
    rows = rows_of(out / "study.csv")
    assert [(row["series"], row["factor"]) for row in rows] == [
        ("width", "1.0"), ("width", "1.5"), ("resolution", "1.0"),
    ]  # fmt: skip
    assert {row["trainings"] for row in rows} == {"2"}
    assert rows[0]["mean"] == rows[2]["mean"]  # one network, trained once for both curves
    trained = rows_of(out / "trials.csv")
    assert len(trained) == 4
    seeds = {row["key"]: {r["seed"] for r in trained if r["key"] == row["key"]} for row in trained}
    assert len({frozenset(found) for found in seeds.values()}) == 1
    difference = float(rows[1]["mean"]) - float(rows[0]["mean"])
    assert float(rows[1]["difference"]) == pytest.approx(difference)
    page = (out / "report.html").read_text()
    assert page.count('class="drawn"') == 1
    assert page.index("Nothing was learned") < page.index('class="lead"') < page.index("<table>")

    (out / "study.png").unlink()
    again = in_process(draw_again, (out,), capsys)
    assert again.returncode == 0, again.stderr
    assert (out / "study.png").is_file()
    other = (*given[:4], "--factors", "2", *QUICK, "--out", out, "--resume")
    assert_refused(in_process(main, other, capsys), "factors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("triple",), "triple"),
        (("single", "--baselines", "resnet-51"), "resnet-51"),
        (("single", "--baselines", f"{TINY},{TINY}"), "twice"),
        (("single", "--factors", "x=1,2"), "x=1,2"),
        (("single", "--factors", "1,-2"), "1,-2"),
        (("width", "--factors", "nan"), "nan"),
        (("width", "--shares", "d=1"), "compare"),
        (("compare", "--shares", "d=0.5"), "d=0.5"),
        (("compare", "--factors", "1.01"), "1.01"),
        (("compare", "--factors", "0.001"), "efficientnet-b0: 0.001 times the cost cannot be"),
        (("compare", "--coefficients", "1.2,1"), "1.2,1"),
        (("compare", "--repeats", "0"), "0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("study", *arguments, *QUICK, "--out", tmp_path / "run")
    assert_refused(in_process(main, given, capsys), message)
    assert not (tmp_path / "run").exists()


def test_a_directory_without_trainings_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("study", "width", "--baselines", TINY, "--factors", "1", "--minutes", "1e-9", *QUICK)
    assert_refused(in_process(main, (*given, "--out", tmp_path / "run"), capsys), "--minutes")
    assert not (tmp_path / "run").exists()


def table(*rows: tuple[str, str, float, list[float]]) -> pd.DataFrame:
    """Rows of baseline, series, factor, and the paired differences."""
    found = []
    for name, series, factor, paired in rows:
        n = len(paired)
        error = float(np.std(paired, ddof=1) / n**0.5) if n > 1 else None
        mean = float(np.mean(paired)) if n else None
        found.append({"baseline": name, "series": series, "factor": factor, "pairs": n,
                      "difference": mean, "difference_se": error})  # fmt: skip
    return pd.DataFrame(found)


def test_the_answer_of_a_ladder() -> None:
    flat = [0.01, -0.01, 0.0]
    clear = table(("a", "width", 1, []), ("a", "width", 2, [0.09, 0.10, 0.11]),
                  ("a", "depth", 2, flat))  # fmt: skip
    assert study_answer(clear, "single").startswith("a: width × 2 gains most, +10.00 points")
    none = table(("a", "width", 2, [0.01, -0.02, 0.04]), ("a", "depth", 2, flat))
    assert "no network is told to be better than the baseline" in study_answer(none, "single")
    assert "width × 2, +1.00 points" in study_answer(none, "single")
    once = table(("a", "width", 2, [0.3]), ("b", "depth", 2, [0.1]))
    assert study_answer(once, "width").count("--repeats") == 2


def test_the_best_of_many_equals_is_no_answer() -> None:
    """Of 20 networks that are all the baseline's equals one is ahead; in 200 tables few say so."""
    rng, said = np.random.default_rng(0), 0
    for _ in range(200):
        rows = [("a", "depth", i, rng.normal(0, 0.01, 3).tolist()) for i in range(20)]
        said += "gains most" in study_answer(table(*rows), "single")
    assert said <= 0.1 * 200


def test_the_answer_of_a_comparison() -> None:
    found = study_answer(
        table(
            ("a", "baseline", 1, []), ("a", "compound", 4, []),
            ("a", "depth", 4, [-0.05, -0.06, -0.05]), ("a", "width", 4, [0.001, -0.002, 0.0]),
            ("a", "fast", 4, [0.03, 0.04, 0.035]), ("a", "compound", 2, []),
            ("a", "depth", 2, [0.1]),
        ),
        "compare",
    )  # fmt: skip
    assert found == (
        "a: at 4 times the cost, compound scaling beats depth, loses to fast, is not told from "
        "width. a: at 2 times the cost, nothing is told, as no two networks were both trained "
        "twice: go on with more --repeats."
    )


def test_factors() -> None:
    assert parse_factors("single", "1,2")["depth"] == (1, 2)
    assert parse_factors("single", "d=1,2; r=1.3") == {"depth": (1, 2), "resolution": (1.3,)}
    assert parse_factors("compare", "2x,4x") == {"cost": (2, 4)}
    assert parse_factors("compare", None) == {"cost": (4,)}
    assert growth("single", parse_factors("single", None)) == 2.5
    assert growth("compare", {"cost": (4,)}) == 2
    assert growth("width", {"width": (9,)}) == 1.3


def test_every_baseline_gets_every_method_at_its_own_cost() -> None:
    specs = {name: family(name) for name in (TINY, "mobilenet-v2-0.35")}
    plan = planned("compare", specs, {"cost": (2,)}, splits={"mine": (0.2, 0.6, 0.2)})
    expected = ["baseline", "depth", "width", "resolution", "compound", "fast", "mine"]
    for name in specs:
        methods = [entry.series for owner, entry in plan.entries if owner == name]
        without = [line.split()[1] for line in plan.left_out if line.startswith(f"{name}: ")]
        assert sorted(methods + without) == sorted(expected)
        assert {"baseline", "resolution", "compound"} <= set(methods)
    for stored in plan.to_dicts():
        assert stored["ratio"] == pytest.approx(stored["factor"], rel=0.0301)
        assert stored["cost"]["activations"] > 0
    json.dumps(plan.to_dicts(), allow_nan=False)


def test_a_dimension_that_does_not_reach_the_target_is_left_out() -> None:
    """A thousand times deeper is no network, a thousand times the cost by width is one."""
    plan = planned("compare", {TINY: family(TINY)}, {"cost": (1000,)})
    assert plan.left_out == [f"{TINY}: depth at 1000x: no rounding comes within 3 %"]
    assert {"width", "resolution", "compound"} <= {entry.series for _, entry in plan.entries}
    with pytest.raises(ValueError, match=f"{TINY}: 0.01 times the cost cannot be reached by depth"):
        planned("compare", {TINY: family(TINY)}, {"cost": (0.01,)})


def test_published_numbers_are_those_of_the_trained_series() -> None:
    table = pd.DataFrame({"baseline": ["resnet-50"] * 2 + [TINY], "series": ["depth", "fast", "d"]})
    found = published_table(table)
    assert list(found["series"]) == ["baseline", "depth"]
    assert list(found["accuracy"]) == pytest.approx([0.760, 0.781])
    assert published_table(table.assign(series="d=1 r=1")).empty


def test_onnx_without_its_packages_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.deploy.export.find_spec", lambda _: None)
    given = ("family", "--baseline", TINY, "--phi", "0", "--onnx", "--out", tmp_path)
    assert_refused(in_process(main, given, capsys), "evenscale[onnx]")


@pytest.mark.slow
def test_a_family_as_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    given = ("family", "--baseline", TINY, "--phi", "0,1", "--onnx", "--out", tmp_path)
    done = in_process(main, given, capsys)
    assert done.returncode == 0, done.stderr
    for path in sorted(tmp_path.glob("*.json")):
        onnx = path.with_suffix(".onnx")
        assert str(onnx) in done.stdout
        session = runtime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
        side = json.loads(path.read_text())["spec"]["resolution"]
        assert session.get_inputs()[0].shape[1:] == [3, side, side]
