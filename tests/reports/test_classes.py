"""Classes of unequal size, from the command line to the report: who wins, and what is said."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.search.__main__ import main as nas_command
from reports.__main__ import main as report
from reports.page import Page
from reports.sections.classes import MOST, about_classes
from scaling_search.__main__ import main as scaling_command
from tests.support.command import assert_refused, in_process
from trials.record import Evaluation
from trials.workers.pool import InProcess

Command = Callable[[Sequence[str] | None], None]
TINY = "mobilenet-v1-0.25-128"
RARE, FREQUENT = 12, 108
QUICK = (
    "--init",
    "scratch",
    "--proxy-epochs",
    1,
    "--proxy-resolution",
    8,
    "--device",
    "cpu",
    "--workers",
    1,
)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pictures of ten are of one class."""
    folder = tmp_path_factory.mktemp("uneven")
    rng = np.random.default_rng(0)
    for name, level, count in (("rosé", 90, RARE), ("white", 150, FREQUENT)):
        (folder / name).mkdir()
        for number in range(count):
            pixels = level + rng.integers(0, 60, (10, 10, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.options.executor", lambda _, evaluator: InProcess(evaluator))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("balance", [True, False])
def test_a_network_search(
    balance: bool, uneven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    given = ["--data", uneven, "--trials", 2, "--sampler", "random", "--budget", "20M",
             "--resolution", 64, *QUICK, "--out", out]  # fmt: skip
    done = in_process(nas_command, given + ["--balance"] * balance, capsys)
    assert done.returncode == 0, done.stderr
    assert "balanced 0." in done.stdout or "balanced 1." in done.stdout
    for row in rows_of(out / "trials.csv"):
        kind = "balanced" if balance else "plain"
        assert row["accuracy"] == row[f"{kind}_accuracy"]
        told = 24 * float(row["plain_accuracy"])  # of 24 validation pictures
        assert told == pytest.approx(round(told))
    page = (out / "report.html").read_text("utf-8")
    # 20 % for validation and 10 % for test, of each class.
    assert "<tr><td>rosé</td><td>9</td><td>2</td><td>" in page
    assert "<tr><td>white</td><td>75</td><td>22</td><td>" in page
    assert f"Chance on these pictures is {'50.0' if balance else '91.7'} %" in page
    assert ("proxy balanced accuracy (" in page) == balance
    assert ("unequal classes: worth 7" in page) == balance
    before = page
    assert in_process(report, [out], capsys).returncode == 0
    assert (out / "report.html").read_text("utf-8") == before
    if balance:  # a run that goes on keeps it, said again or not
        more = in_process(nas_command, [*given, "--trials", 3, "--resume"], capsys)
        assert more.returncode == 0, more.stderr
        again = rows_of(out / "trials.csv")
        assert len({row["recipe"] for row in again}) == 1
    else:
        other = in_process(nas_command, [*given, "--resume", "--no-flip"], capsys)
        assert_refused(other, "recipe")


def test_scaling_and_its_studies(
    uneven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = ("--data", uneven, *QUICK, "--balance")
    study = in_process(
        scaling_command,
        ["study", "single", "--baselines", TINY, "--factors", "w=1,1.5", "--repeats", 1, *shared,
         "--out", tmp_path / "study"],
        capsys,
    )  # fmt: skip
    assert study.returncode == 0, study.stderr
    assert "| balanced accuracy, % | of all pictures, % |" in study.stdout
    for row in rows_of(tmp_path / "study" / "study.csv"):
        assert row["mean"] == row["balanced"]
    search = in_process(
        scaling_command,
        ["--baseline", TINY, "--trials", 5, "--step", "0.5", *shared, "--out", tmp_path / "run"],
        capsys,
    )
    assert search.returncode == 0, search.stderr
    for row in rows_of(tmp_path / "run" / "points.csv"):
        assert row["mean"] == row["balanced"]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "<th>balanced accuracy</th><th>of all pictures</th>" in page
    assert "<tr><td>rosé</td><td>9</td><td>2</td></tr>" in page


def test_too_few_pictures_for_the_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--data", "digits", "--proxy-images", 9, *QUICK[:2], "--device", "cpu", "--out",
             tmp_path / "run")  # fmt: skip
    for main, command in ((nas_command, ()), (scaling_command, ("study", "single"))):
        refused = in_process(main, (*command, *given), capsys)
        assert_refused(refused, "leave out 1 of 10 classes")
        assert "--proxy-images" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_of_very_many_classes_the_worst_are_shown(tmp_path: Path) -> None:
    count = MOST + 20
    settings = {
        "data": {"classes": [f"c{i}" for i in range(count)]},
        "class_counts": [[10] * count, [10] * count],
    }
    details = {"class_correct": [min(10, i % 11) for i in range(count)],
               "class_images": [10] * (count - 1) + [0]}  # fmt: skip
    page = Page("x")
    about_classes(page, settings, Evaluation(0.5, seed=0, seconds=0, details=details))
    page.write(tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text("utf-8")
    assert text.count("<tr><td>c") == MOST
    assert f"{MOST} of {count} classes, the worst told" in text
    assert "<td>c0</td>" in text
    assert "<td>c10</td>" not in text  # all of its pictures were told


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (None, "trainings used, of which the data may have more."),
        ([[3, 4], [5, 6]], "trainings used: all 7 for training and all 11 for validation."),
        (
            [[1000, 2000], [5, 7]],
            "trainings used: 7 of 3,000 for training and 11 of 12 for validation "
            "(--proxy-images limits those for training).",
        ),
    ],
)
def test_the_table_says_which_pictures_it_counts(
    tmp_path: Path, there: list[list[int]] | None, said: str
) -> None:
    page = Page("x")
    counts = {"class_counts": [[3, 4], [5, 6]]} | ({} if there is None else {"all_counts": there})
    about_classes(page, {"data": {"classes": ["a", "b"]}, **counts})
    page.write(tmp_path / "x.html")
    assert said in (tmp_path / "x.html").read_text("utf-8")


def test_runs_of_before_say_nothing_of_classes(tmp_path: Path) -> None:
    page = Page("x")
    about_classes(page, {"data": {"classes": ["a", "b"]}})
    page.write(tmp_path / "x.html")
    assert "classes" not in (tmp_path / "x.html").read_text("utf-8")
