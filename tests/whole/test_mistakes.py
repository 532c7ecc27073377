"""What people type by mistake is answered with what they meant, in one line, and leaves nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.units import format_size, parse_budget, parse_target
from models.choose import find
from models.families import family
from nas.search import search
from nas.search.__main__ import main as nas_command
from nas.space import space
from reports.__main__ import main as reports_command
from scaling_search.__main__ import main as scaling_command
from tests.support.command import assert_refused, in_process
from training.__main__ import main as training_command
from trials.store.study import not_dead

TINY = ("--baseline", "mobilenet-v1-0.25-128", "--data", "digits")


@pytest.mark.parametrize(
    ("main", "arguments", "remedy"),
    [
        (scaling_command, (*TINY, "--target-flops", "2"), "did you mean 2x, a multiple?"),
        (scaling_command, (*TINY, "--target-flops", "800"), "did you mean 800M?"),
        (nas_command, ("--budget", "400"), "did you mean 400M?"),
        (nas_command, ("--budget", "12ms"), "add --cost latency"),
        (nas_command, ("--cost", "latency", "--budget", "12"), "such as 12ms"),
        (nas_command, ("--against", "efficientnet-b00", "--trials", "30"), "did you mean"),
        (nas_command, ("--against", "resnet-18", "--trials", "2"), "--against none"),
        (scaling_command, ("--baseline", "runs/mine"), "no file or folder 'runs/mine'"),
        (training_command, ("--spec", "./spec.json"), "no file or folder './spec.json'"),
        (training_command, ("--spec", "efficientnet-b00"), "did you mean"),
        (scaling_command, ("study",), "Name one of single, width, compare"),
        (nas_command, ("--budgett", "4"), "nas.search --help)"),
    ],
)
def test_a_mistake_and_its_remedy(
    main: object, arguments: tuple[str, ...], remedy: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    done = in_process(main, (*arguments, "--out", tmp_path / "run"), capsys)  # type: ignore[arg-type]
    assert_refused(done, remedy)
    told = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(told) == 1
    assert "usage:" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_one_level_up_names_the_newest_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("first", "second"):
        search(space("mbconv"), lambda _, seed: 0.5, trials=2, sampler="random",
               run_dir=tmp_path / "runs" / name)  # fmt: skip
    newest = f"did you mean {tmp_path / 'runs' / 'second'}?"
    with pytest.raises(ValueError, match=re.escape(newest)):
        find(str(tmp_path / "runs"))
    assert_refused(in_process(reports_command, (tmp_path / "runs",), capsys), newest)
    resumed = ("--resume", "--out", tmp_path / "runs")
    assert_refused(in_process(nas_command, resumed, capsys), newest)


@given(st.floats(1, 1e13))
def test_sizes_with_their_unit_are_never_doubted(size: float) -> None:
    text = format_size(size)
    if text[-1] in "KMGT":
        assert parse_budget(text) == pytest.approx(size, rel=0.01)
        assert parse_target(text, 1e6) == pytest.approx(size, rel=0.01)
    assert parse_target("2x", size) == 2 * size


@given(st.integers(1, 9999))
def test_bare_numbers_are_always_doubted(number: int) -> None:
    for read in (parse_budget, lambda text: parse_target(text, 1e6)):
        with pytest.raises(ValueError, match=f"did you mean {number}"):
            read(f" {number} ")
    assert parse_budget(f"{number}0000") == 10_000 * number


def test_no_dead_directory_is_left(tmp_path: Path) -> None:
    """What failed before its first trial goes; what has trials, or was there before, stays."""

    def fails(run_dir: Path, trials: int) -> None:
        with not_dead(run_dir):
            if trials:
                search(space("mbconv"), lambda _, seed: 0.5, trials=trials, sampler="random",
                       run_dir=run_dir)  # fmt: skip
            else:
                run_dir.mkdir(exist_ok=True)
                (run_dir / "parent.safetensors").touch()
            raise ValueError("bad")

    (tmp_path / "mine").mkdir()
    for name, trials in (("new", 0), ("mine", 0), ("tried", 1)):
        with pytest.raises(ValueError, match="bad"):
            fails(tmp_path / name, trials)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "tried"]
    assert (tmp_path / "tried" / "run.json").is_file()


def test_a_family_is_still_a_name() -> None:
    for name in ("mobilenet-v1-0.75-192", "rexnet-1.0", "efficientnet-b0"):
        assert find(name).spec == family(name)


QUICK = ("--data", "digits", "--proxy-images", 60, "--proxy-epochs", 1, "--device", "cpu",
         "--workers", 1)  # fmt: skip


@pytest.mark.slow
def test_a_dry_run_measures_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("--space", "mbconv", "--resolution", 64, "--budget", "20M", "--low", 0.1)
    given = (*QUICK, *small, "--trials", 16, "--dry-run", "--out", tmp_path / "run")
    done = in_process(nas_command, given, capsys)
    assert done.returncode == 0, done.stderr
    assert "would train 10 networks and 6 trainings to compare, 1 at once on cpu" in done.stdout
    (each,) = re.findall(r"takes about ([\d.]+) (s|ms) and ([\d.]+) GiB", done.stdout)
    seconds = float(each[0]) * (1 if each[1] == "s" else 1e-3)
    (whole,) = re.findall(r"at most about ([\d.]+) minutes", done.stdout)
    assert float(whole) == pytest.approx(16 * seconds / 60, abs=0.06)
    assert 0.1 < float(each[2]) < 10
    assert list(tmp_path.iterdir()) == []


def test_json_is_all_that_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ("--space", "mbconv", "--resolution", 64, "--budget", "20M", "--low", 0.1)
    given = (*QUICK, *small, "--trials", 2, "--json", "--out", tmp_path / "run")
    done = in_process(nas_command, given, capsys)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["spec"] == json.loads((tmp_path / "run" / "baseline.json").read_text())
    assert (found["run"], found["trials"]) == (str(tmp_path / "run"), 2)
    assert found["cautions"][0]["kind"] == "chance"
    assert found["next"] is None
