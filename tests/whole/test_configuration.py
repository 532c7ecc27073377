"""Commands that train print their options so that they take them back; their runs keep them."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from common.config import KEPT, configured
from tests.support.command import assert_refused, in_process
from tests.whole.test_fuzz_commands import NAS, SCALING, STUDY, TRAINING
from training.__main__ import main as training_command
from training.given import TRAINING as OF_TRAINING
from trials.store.header import FILE_NAME
from trials.store.recalled import kept

LINES: dict[str, tuple[str, Sequence[str], Mapping[str, Sequence[str] | None]]] = {
    "nas": ("nas.search.commands.options", [], NAS),
    "channels": ("nas.channels.__main__", ["--flops", "100M", "200M"], {}),
    "scaling": ("scaling_search.commands.search", [], SCALING),
    "study": ("scaling_search.commands.study", ["single"], STUDY),
    "training": ("training.commands.train", [], TRAINING),
}


@st.composite
def lines(draw: st.DrawFn, options: Mapping[str, Sequence[str] | None]) -> list[str]:
    found = []
    names = sorted(options.keys() - {"--config", "--print-config"}) or ["--seed"]
    for name in draw(st.lists(st.sampled_from(names), unique=True)):
        values = options.get(name, ("3",))
        found += [name] if values is None else [f"{name}={draw(st.sampled_from(values))}"]
    return found


def printed(made: Callable[[], argparse.ArgumentParser], line: Sequence[str]) -> str:
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.raises(SystemExit) as stop,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        configured(made(), [*line, "--print-config"])
    assume(stop.value.code == 0)  # else two options that exclude one another
    return out.getvalue()


@pytest.mark.parametrize("name", LINES)
@given(data=st.data())
def test_what_is_printed_is_taken_back(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    module, start, options = LINES[name]
    made = import_module(module).options
    line = [*start, *data.draw(lines(options))]
    text = printed(made, line)
    folder = tmp_path_factory.mktemp("config")
    (folder / "options.json").write_text(text)
    again = ["--config", str(folder / "options.json")]
    assert configured(made(), again) == configured(made(), line)
    assert printed(made, again) == text
    stored = {"settings": {"options": json.loads(json.dumps(kept(configured(made(), line))))}}
    (folder / "run.json").write_text(json.dumps(stored))
    assert kept(configured(made(), ["--config", str(folder)])) == kept(configured(made(), line))


def test_where_runs_keep_their_options() -> None:
    assert set(KEPT) == {FILE_NAME, OF_TRAINING}


def test_a_training_keeps_all_of_its_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", "validation"):
        for kind in ("cat", "dog"):
            (tmp_path / name / kind).mkdir(parents=True)
            for number in range(4):
                shade = 40 * number + 9 * (kind == "cat") + (name == "train")
                Image.new("L", (8, 8), shade).save(tmp_path / name / kind / f"{number}.png")
    given_ = ("--spec", "mobilenet-v1-0.25-128", "--resolution", 32, "--epochs", 1, "--device",
              "cpu", "--train", tmp_path / "train", "--validation", tmp_path / "validation",
              "--set", "lr=0.01", "--out")  # fmt: skip
    first = in_process(training_command, (*given_, tmp_path / "one"), capsys)
    assert first.returncode == 0, first.stderr
    again = in_process(
        training_command, ("--config", tmp_path / "one", "--out", tmp_path / "two"), capsys
    )
    assert again.returncode == 0, again.stderr
    one, two = (json.loads((tmp_path / n / OF_TRAINING).read_text()) for n in ("one", "two"))
    assert one == two
    assert one["arguments"]["device"] == "cpu"
    assert one["arguments"]["train"] == str(tmp_path / "train")
    used = in_process(
        training_command, ("--spec", tmp_path / "one", "--print-config", "--epochs", 3), capsys
    )
    assert json.loads(used.stdout)["epochs"] == 3


def test_a_resumed_training_prints_what_it_was_begun_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = {"spec": "efficientnet-b0", "seed": 4, "set": ["lr=0.1"], "data": "digits"}
    (tmp_path / OF_TRAINING).write_text(json.dumps({"arguments": stored}))
    done = in_process(
        training_command, ("--resume", "--out", tmp_path, "--seed", 4, "--print-config"), capsys
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["spec"], found["seed"], found["set"]) == ("efficientnet-b0", 4, ["lr=0.1"])


def test_an_unknown_name_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "options.toml").write_text("epoch = 3\n")
    done = in_process(training_command, ("--config", tmp_path / "options.toml"), capsys)
    assert_refused(done, "has no option 'epoch': did you mean epochs?")
    assert len(done.stderr.splitlines()) == 1
