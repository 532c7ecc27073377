"""A resumed run knows its settings: nothing but --out is needed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from common.command import parser, place
from tests.support.command import assert_refused, in_process
from training.options import add_options
from training.pictures.layout import Parts
from trials.store.header import FIRST
from trials.store.recalled import kept, parsed


def made() -> argparse.ArgumentParser:
    found = parser("toy", "A toy.")
    found.add_argument("--budget", default="400M")
    found.add_argument("--baselines", type=place, default="efficientnet-b0")
    found.add_argument("--trials", type=int, default=30)
    add_options(found)
    return found


def header(run_dir: Path, **settings: object) -> None:
    run_dir.mkdir(exist_ok=True)
    facts = {
        "settings": {"kind": "toy", "seed": 0, **settings},
        "directions": ["maximize"],
        **{"name": "run", "storage": None, "versions": {}, "created": "", "schema": 1},
    }
    (run_dir / "run.json").write_text(json.dumps(facts))


def test_what_is_not_given_is_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nas").mkdir()
    given = "--budget 1G --trials 7 --balance --proxy-epochs 3 --data digits --minutes 2"
    begun = parsed(made(), [*given.split(), "--baselines", "nas,resnet-18", "--out", "run"])
    header(tmp_path / "run", options=json.loads(json.dumps(kept(begun))))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = parsed(made(), ["--resume", "--out", str(tmp_path / "run"), "--trials", "9"])
    assert (again.budget, again.proxy_epochs, again.balance) == ("1G", 3, True)
    assert again.baselines == f"{tmp_path / 'nas'},resnet-18"
    assert again.trials == 9  # what is given counts
    assert (again.minutes, again.data) == (None, None)  # a sitting's; the pictures are settled


def test_a_split_is_kept_by_its_own_options() -> None:
    begun = parsed(made(), ["--train", "/a", "--validation", "/b"])
    begun.data = Parts("/a", "/b", None)  # as ``settle_pictures`` leaves it
    found = kept(begun)
    assert [found[name] for name in ("data", "train", "validation", "test")] == [
        None, "/a", "/b", None,
    ]  # fmt: skip
    assert not {"out", "resume", "storage", "config", "print_config"} & found.keys()


def test_older_runs_and_none_at_all(tmp_path: Path) -> None:
    header(tmp_path / "old")
    given = ["--resume", "--out", str(tmp_path / "old")]
    assert parsed(made(), given).budget == "400M"
    with pytest.raises(ValueError, match="holds no run"):
        parsed(made(), ["--resume", "--out", str(tmp_path / "none")])
    # Nothing is kept yet but the training of its parent: the command says everything again.
    (tmp_path / FIRST).mkdir()
    assert parsed(made(), [*given, "--resume", "--out", str(tmp_path)]).budget == "400M"
    assert not (tmp_path / "none").exists()


def test_a_search_goes_on_by_its_directory_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from nas.search.__main__ import main

    out = tmp_path / "run"
    quick = ("--data", "digits", "--proxy-images", 60, "--proxy-epochs", 1, "--device", "cpu",
             "--workers", 1, "--budget", "20M", "--sampler", "random", "--space", "mbconv",
             "--resolution", 64, "--low", 0.1)  # fmt: skip
    first = in_process(main, (*quick, "--trials", 1, "--out", out), capsys)
    assert first.returncode == 0, first.stderr
    stored = json.loads((out / "run.json").read_text())["settings"]
    more = in_process(main, ("--resume", "--out", out, "--trials", 2), capsys)
    assert more.returncode == 0, more.stderr
    after = json.loads((out / "run.json").read_text())["settings"]
    assert after.pop("options") == stored.pop("options") | {"trials": 2}
    assert after == stored | {"trials": 2}
    other = in_process(main, ("--resume", "--out", out, "--budget", "30M"), capsys)
    assert_refused(other, "objective budget is 20000000.0, not 30000000.0")
