"""Where a run goes: nothing that is there is touched, and what cannot be is told at once."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tests.support.command import assert_refused, in_process
from training.options.directory import run_directory, search_directory


def asked(out: Path | None, **changes: object) -> argparse.Namespace:
    return argparse.Namespace(
        **{"out": out, "resume": False, "join": False, "storage": None, **changes}
    )


def test_a_run_is_gone_on_with_or_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match="already holds a run: pass --resume, or another --out"):
        search_directory(asked(tmp_path), "x")
    for way in ({"resume": True}, {"join": True}):
        assert search_directory(asked(tmp_path, **way), "x") == tmp_path


def test_what_is_no_search_may_go_into_a_runs_directory(tmp_path: Path) -> None:
    """A picture of ``reports cam``; a study of channels, whose runs lie below."""
    (tmp_path / "run.json").write_text("{}")
    assert run_directory(argparse.Namespace(out=tmp_path), "cam") == tmp_path
    assert run_directory(asked(tmp_path / "whole", resume=True), "x") == tmp_path / "whole"


def test_what_is_not_there_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for out in (None, tmp_path / "nothing"):
        with pytest.raises(ValueError, match="to resume: name its directory by --out"):
            search_directory(asked(out, resume=True), "x")
    shared = asked(None, resume=True, storage="sqlite:///x.db")  # whose directory may be elsewhere
    assert search_directory(shared, "x") == Path("runs/x")


def test_a_refused_search_leaves_a_finished_run_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its parent was overwritten by another one that had been made ready before the refusal."""
    from nas.search.__main__ import main as nas_search
    from scaling_search.__main__ import main as scaling

    for name, text in (("run.json", "{}"), ("parent.safetensors", "weights")):
        (tmp_path / name).write_text(text)
    for command, given in (
        (nas_search, ("--budget", "400M")),
        (nas_search, ("--budget", "400M", "--dry-run")),
        (scaling, ("--target-flops", "2x")),
    ):
        done = in_process(command, (*given, "--data", "digits", "--out", tmp_path), capsys)
        assert_refused(done, "already holds a run")
    assert (tmp_path / "parent.safetensors").read_text() == "weights"


def test_an_unknown_rival_is_told_before_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from nas.search.__main__ import main as nas_search

    given = ("--budget", "400M", "--against", "efficientnet-b00", "--data", tmp_path / "nowhere")
    assert_refused(in_process(nas_search, given, capsys), "did you mean efficientnet-b0")


def test_a_stopped_training_is_no_search_to_go_on_with(tmp_path: Path) -> None:
    """Its checkpoint lies in its directory itself; a search's parent has one of its own."""
    (tmp_path / "checkpoint.safetensors").touch()
    with pytest.raises(ValueError, match="holds no run"):
        search_directory(asked(tmp_path, resume=True), "x")
