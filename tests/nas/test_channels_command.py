"""``python -m nas.channels`` as a person runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.channels.__main__ import main
from reports.__main__ import main as reports
from tests.support.command import assert_refused, in_process

SHORT = ["--proxy-images", "100", "--proxy-epochs", "1", "--workers", "1", "--device", "cpu"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--flops", "1G", "2G", "3G", "--params", "5M", "6M"], "3 limits of FLOPs and 2 of"),
        (["--flops", "1G", "1.0G"], "two settings of --flops and --params are the same"),
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
