"""Which pictures a command means, and the next command that it prints."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from pathlib import Path

import pytest

from nas.search import search
from nas.space import space
from training.data import Parts, load
from training.evaluator import ByValue, Evaluator
from training.given import (
    as_stored,
    next_command,
    say_if_other,
    settle_pictures,
    source_of,
)
from training.options import facts
from training.recipe import Recipe


def searched(run_dir: Path, **settings: object) -> Path:
    search(
        space("mbconv"), lambda _, seed: 0.5, trials=2, sampler="random", run_dir=run_dir,
        settings=settings,
    )  # fmt: skip
    return run_dir


def settled(baseline: str | None = None, **given: object) -> str:
    args = Namespace(**(dict.fromkeys(("data", "train", "validation", "test", "out")) | given))
    settle_pictures(args, baseline)
    return str(args.data)


def test_a_baselines_pictures_are_used_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who follows the printed line must not be led to the digits."""
    run = searched(tmp_path / "run", source="/photos of mine")
    assert settled(str(run)) == "/photos of mine"
    assert "pictures: /photos of mine, those of the run that is used" in capsys.readouterr().err
    assert settled(str(run), data="digits") == "digits"
    assert settled("efficientnet-b0") == "mnist"
    assert capsys.readouterr().err == ""


def test_a_resumed_run_goes_on_with_its_own(tmp_path: Path) -> None:
    run = searched(tmp_path / "run", source="digits")
    other = searched(tmp_path / "other", source="cifar10")
    assert settled(str(other), out=run, resume=True) == "digits"
    assert settled(str(other), out=run) == "cifar10"


def test_a_trainings_pictures_are_used_as_a_searchs(tmp_path: Path) -> None:
    facts = {"arguments": {"data": ["/a", None, "/b c"]}}
    (tmp_path / "training.json").write_text(json.dumps(facts))
    assert source_of(tmp_path) == Parts("/a", None, "/b c")
    for damaged in ("{", "[]", '{"arguments": null}'):
        (tmp_path / "training.json").write_text(damaged)
        with pytest.raises(ValueError, match="damaged"):
            source_of(tmp_path)


def test_a_run_that_does_not_say(tmp_path: Path) -> None:
    assert source_of(searched(tmp_path / "run")) is None
    assert source_of(tmp_path) is None
    assert settled(str(tmp_path / "run")) == "mnist"


def test_other_pictures_than_the_baselines_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load("digits", progress=False)
    same = searched(tmp_path / "same", data={"name": "digits", "digest": data.digest})
    say_if_other(data, str(same))
    say_if_other(data, "efficientnet-b0")
    assert capsys.readouterr().err == ""
    other = searched(tmp_path / "other", data={"name": "cats", "digest": "0a1b"})
    say_if_other(data, str(other))
    assert "the baseline was found on others, cats (0a1b)" in capsys.readouterr().err


def test_the_baselines_pictures_at_another_size_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both searches choose a size of their own: a chain on one data set is not told of another."""
    data, small = load("digits", progress=False), load("digits", size=6, progress=False)
    assert small.digest != data.digest
    stored = facts("digits", small, Evaluator(ByValue(small), Recipe()))["data"]
    say_if_other(data, str(searched(tmp_path / "smaller", data=stored)))
    assert capsys.readouterr().err == ""
    for name, changed in {"size": data.size, "name": "cats", "classes": ["a", "b"]}.items():
        other = searched(tmp_path / name, data={**stored, name: changed})
        say_if_other(data, str(other))
        assert "the baseline was found on others" in capsys.readouterr().err


def test_a_source_means_the_same_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert as_stored("cifar10") == "cifar10"
    assert as_stored("my pictures") == str(tmp_path / "my pictures")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert as_stored("~/x") == str(tmp_path / "x")


def test_the_next_command_can_be_pasted() -> None:
    line = next_command("scaling_search family", "--baseline", "runs/a b", data="/x/it's")
    assert shlex.split(line) == [
        "python", "-m", "scaling_search", "family", "--baseline", "runs/a b", "--data", "/x/it's",
    ]  # fmt: skip
    assert "--data" not in next_command("training", "--spec", "x", data="mnist")


def test_a_split_given_part_by_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = Namespace(data=None, train="a", validation=None, test="b c", out=None)
    settle_pictures(args)
    assert args.data == Parts("a", None, "b c")
    assert next_command("training", data=args.data).endswith("--train a --test 'b c'")
    stored = as_stored(args.data)
    run = searched(tmp_path / "run", source=stored)
    assert source_of(run) == Parts(*stored)
    again = Namespace(data=None, train=None, validation=None, test=None, out=None)
    settle_pictures(again, str(run))
    assert again.data == Parts(*stored)
    said = shlex.join(["--train", str(stored[0]), "--test", str(stored[2])])
    assert f"pictures: {said}, those of the run that is used" in capsys.readouterr().err
    with pytest.raises(ValueError, match="give --train too"):
        settle_pictures(Namespace(data=None, train=None, validation="v", test=None, out=None))
