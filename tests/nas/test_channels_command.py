"""``python -m nas.channels`` as a person runs it."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from models.spec import ArchSpec
from nas.channels.__main__ import main
from reports.__main__ import main as reports
from reports.channels import read_setting
from tests.nas.test_nas_search import stub
from tests.support.command import assert_refused, in_process
from trials.workers.pool import InProcess

SHORT = ["--proxy-images", "100", "--proxy-epochs", "1", "--workers", "1", "--device", "cpu"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--flops", "1G", "2G", "3G", "--params", "5M", "6M"], "3 limits of FLOPs and 2 of"),
        (["--flops", "1G", "1.0G"], "two settings of --flops and --params are 1.00G-5.00M"),
        (["--flops", "400.1M", "400.2M"], "are 400M-5.00M, to three digits"),
        (["--flops", "plenty"], "is no size"),
        (["--around", "resnet-50"], "blocks of kind bottleneck"),
        (["--depth", "3"], "depth 3 is below the 6 stages"),
        (["--init", "inherit:efficientnet-lite0"], "compared by trainings of their own"),
        (["--flops", "20M"], "has no network of"),
    ],
)
def test_what_makes_no_search_is_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--data", "digits", *SHORT, "--out", tmp_path / "run", *options]
    assert_refused(in_process(main, given, capsys), message)
    assert not list(tmp_path.glob("run/*/journal.log"))


@pytest.mark.slow
def test_runs_that_share_a_storage_keep_apart_and_drivers_of_one_share_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of equal limits, in runs of other names: each study is its own run's."""
    monkeypatch.setattr("training.options.executor", lambda *_: InProcess(stub))
    storage = ["--storage", f"sqlite:///{tmp_path}/studies.db"]
    given = ["--data", "digits", "--flops", "100M", "150M", "--params", "800K", *SHORT, "--sampler",
             "random", "--trials", "2", "--compare", "2", *storage]  # fmt: skip
    for place, seed in (("one", 0), ("two", 1)):
        done = in_process(main, [*given, "--out", tmp_path / place, "--seed", seed], capsys)
        assert done.returncode == 0, done.stderr
        assert "from 4 trainings of each in 2 settings" in done.stdout
    assert sorted(optuna.get_all_study_names(storage[1])) == [
        f"{run}/{setting}{part}"
        for run in ("one", "two")
        for setting in ("100M-800K", "150M-800K")
        for part in ("", "/conventions")
    ]
    # Another driver of the first, in a directory of its own: nothing is left to train.
    there = tmp_path / "elsewhere" / "one"
    monkeypatch.setattr("training.options.executor", lambda *_: InProcess(never))
    done = in_process(main, [*given, "--out", there, "--join"], capsys)
    assert done.returncode == 0, done.stderr
    ours, theirs = (read_setting(place / "100M-800K") for place in (tmp_path / "one", there))
    assert ours.accuracies == theirs.accuracies
    assert [one.spec for one in ours.ranked] == [one.spec for one in theirs.ranked]
    page = tmp_path / "two" / "channels.html"
    page.unlink()
    assert in_process(reports, ["channels", tmp_path / "two", *storage], capsys).returncode == 0
    assert page.exists()


def never(spec: ArchSpec, seed: int) -> float:
    raise AssertionError("what was trained is trained again")


@pytest.mark.slow
def test_a_whole_run_goes_on_and_its_page_is_drawn_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "run"
    given = ["--data", "digits", "--flops", "150M", "--params", "800K", *SHORT, "--sampler",
             "random", "--repeats", "2", "--compare", "2", "--out", place]  # fmt: skip
    done = in_process(main, [*given, "--trials", "2"], capsys)
    assert done.returncode == 0, done.stderr
    assert "from 2 trainings of each in 1 setting of the limits" in done.stdout
    assert {one.name for one in place.iterdir()} == {
        "150M-800K", "channels.csv", "channels.html", "channels.png",
    }  # fmt: skip
    assert (place / "150M-800K" / "report.html").exists()
    done = in_process(main, [*given, "--trials", "3", "--resume"], capsys)
    assert done.returncode == 0, done.stderr
    assert len((place / "channels.csv").read_text().splitlines()) == 1 + 3
    (place / "channels.html").unlink()
    assert in_process(reports, ["channels", place], capsys).returncode == 0
    assert (place / "channels.html").exists()
