"""``python -m reports RUN``: what a run lacks is said, our own mistakes are not hidden."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.search import search
from nas.space import space
from reports.__main__ import main
from tests.support.command import assert_refused, in_process


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    found = tmp_path / "run"
    search(space("mbconv"), lambda _, seed: seed % 7 / 7, trials=3, sampler="random", run_dir=found)
    return found


def changed(run_dir: Path, **settings: object) -> None:
    """Change settings; one that is None goes."""
    header = json.loads((run_dir / "run.json").read_text())
    stored = header["settings"] | settings
    header["settings"] = {key: value for key, value in stored.items() if value is not None}
    (run_dir / "run.json").write_text(json.dumps(header))


def test_a_missing_setting_is_named(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(run_dir, objective=None)
    assert_refused(in_process(main, [run_dir], capsys), "no setting 'objective'")


def test_an_objective_of_another_form(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(run_dir, objective={"budget": 4e8, "goal": "reward"})
    assert_refused(in_process(main, [run_dir], capsys), "is no objective")


def test_a_run_of_another_kind(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(run_dir, kind="calibration")
    assert_refused(in_process(main, [run_dir], capsys), "kind 'calibration'")


@pytest.mark.parametrize("wrong", [AttributeError, TypeError, KeyError])
def test_our_own_mistakes_are_seen(
    run_dir: Path, wrong: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise wrong("a bug")

    monkeypatch.setattr("reports.nas.trials_table", mistaken)
    with pytest.raises(wrong, match="a bug"):
        main([str(run_dir)])
