"""One name for all commands."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from evenscale import COMMANDS, main
from reports.__main__ import _OF_NO_RUN
from training.given import next_command

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenscale.PROGRAMS", names := {})
    monkeypatch.setattr("common.command.PROGRAMS", names)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_called_by_its_name(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: evenscale {name} ")


def test_what_it_says_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name}" in said for name in COMMANDS)
    assert main(["--version"]) == 0
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert capsys.readouterr().out == f"evenscale {stated['version']}\n"
    module, function = stated["scripts"]["evenscale"].split(":")
    assert getattr(import_module(module), function) is main


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serch"]) == 2
    assert capsys.readouterr().err == "error: 'serch' is no command: did you mean search?\n"
    assert main(["train", "--spec", "nothing"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_commands_that_are_printed_are_called_alike(capsys: pytest.CaptureFixture[str]) -> None:
    assert next_command("training", "--spec", "a b", data="mnist").startswith("python -m training ")
    main(["models", "cost", "mobilenet-v2"])
    assert next_command("training", "--spec", "a b", data="mnist") == "evenscale train --spec 'a b'"


def completed(typed: str, tmp_path: Path) -> list[str]:
    """What a shell is told of the words typed so far."""
    environment = os.environ | {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_SUPPRESS_SPACE": "1", "COMP_LINE": typed,
        "COMP_POINT": str(len(typed.encode())), "COMP_TYPE": "9", "IFS": "\n",
        "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "told"),
    }  # fmt: skip
    code = "import sys, evenscale; evenscale.main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *typed.split()[1:]],
        cwd=ROOT, env=environment, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stdout
    return [word.strip() for word in (tmp_path / "told").read_text().splitlines()]


def test_shells_complete_commands_options_and_values(tmp_path: Path) -> None:
    pytest.importorskip("argcomplete", reason="needs the extra completion")
    assert set(completed("evenscale ", tmp_path)) >= COMMANDS.keys()
    assert completed("evenscale pred", tmp_path) == ["predict"]
    assert completed("evenscale search --budg", tmp_path) == ["--budget"]
    assert set(completed("evenscale search --aim ", tmp_path)) == {"reward", "hard", "front"}
    assert "--coefficients" in completed("evenscale family --", tmp_path)
    assert "show" in completed("evenscale models ", tmp_path)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_options_to_complete(name: str) -> None:
    found = import_module(COMMANDS[name].options).options()
    assert found.prog.endswith(COMMANDS[name].module)


def test_it_starts_without_what_takes_long() -> None:
    code = "import sys, evenscale; evenscale.main([]); sys.exit('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("module", "words"),
    [
        *((one.of, one.first) for one in COMMANDS.values()),
        *(("reports.__main__", (name,)) for name in _OF_NO_RUN),
        ("nas.channels.__main__", ()),
    ],
)  # fmt: skip
def test_help_does_not_wait_for_what_takes_seconds(module: str, words: tuple[str, ...]) -> None:
    code = (
        f"import sys, {module}\n"
        f"try: {module}.main([*{words!r}, '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'optuna', 'scipy', 'pandas', 'matplotlib', 'sqlalchemy', 'sklearn'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout


def test_what_help_says_is_what_there_is() -> None:
    """Its choices and defaults are told a second time, so that nothing need be loaded for them."""
    from nas import samplers
    from nas.costing import latency
    from nas.search import rivals
    from nas.search.commands import options
    from reports.commands import ranks as ranks_options
    from reports.commands import ranks_go
    from reports.ranks import rank
    from scaling_search.commands import search, study
    from scaling_search.study_plan import STUDIES
    from scaling_search.surface.samplers import METHODS
    from training import stopwatch
    from training.commands import latency as latency_options

    assert options.NAMES == samplers.NAMES
    assert options.SAMPLE == latency.SAMPLE
    assert (options.USUAL, options.FEWEST_TRIALS) == (rivals.USUAL, rivals.FEWEST_TRIALS)
    assert search.METHODS == METHODS
    assert study.STUDIES == STUDIES
    assert latency_options.REPEATS == stopwatch.REPEATS
    assert (ranks_options.TOLERANCES, ranks_options.DEFAULT) == (rank.TOLERANCES, rank.DEFAULT)
    assert ranks_options.PICTURES == ranks_go.PICTURES


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_short_and_help_all_has_every_option(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for option in ("--help", "--help-all"):
        with pytest.raises(SystemExit) as stop:
            main([name, option])
        assert stop.value.code == 0
        said.append(capsys.readouterr().out)
    made = import_module(COMMANDS[name].options).options()
    shown = [a for a in made._actions if a.option_strings and a.help != argparse.SUPPRESS]
    known = {text for action in shown for text in action.option_strings}
    listed = [set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text)) for text in said]
    assert {text for text in known if text.startswith("--")} <= listed[1]
    assert set(made.everyday) <= known
    left_out = len(shown) - sum(not {*made.everyday}.isdisjoint(a.option_strings) for a in shown)
    if made.everyday:
        assert said[0].endswith(f"{left_out} more options: evenscale {name} --help-all\n")
        assert all(f"  evenscale {name} {one}" in said[0] for one in made.examples)
        assert len(said[0].splitlines()) < 0.7 * len(said[1].splitlines())
    else:
        assert said[0] == said[1]
    assert len(shown) <= 25 or made.everyday


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_options_that_there_are(name: str) -> None:
    made = import_module(COMMANDS[name].options).options()
    for example in made.examples:
        words = shlex.split(example)
        if words[0] not in COMMANDS:  # of another command: its own help has it
            made.parse_args(words)


def test_quiet_says_the_answer_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = ["train", "--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", "1",
             "--resolution", "16", "--device", "cpu", "--out", str(tmp_path / "run")]  # fmt: skip
    assert main([*given, "--quiet"]) == 0
    said = capfd.readouterr()
    assert "test accuracy" in said.out
    assert not said.err
    assert main([*given, "--quiet"]) == 2  # errors are said all the same
    assert "holds the weights of another training" in capfd.readouterr().err


def test_a_training_as_json_and_rehearsed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    given = ["train", "--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", "1",
             "--resolution", "16", "--device", "cpu", "--out", str(out)]  # fmt: skip
    assert main([*given, "--dry-run", "--recipe", "v2", "--epochs", "4"]) == 0
    said = capsys.readouterr().out
    assert "for 4 epochs of 1,259 pictures at 16 pixels on cpu" in said
    assert re.search(
        r"at most about \S+ .*pictures a second, measured; quartiles .*\) and \S+ GiB", said
    )
    assert not out.exists()
    assert main([*given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["accuracy"] == json.loads((out / "evaluation.json").read_text())["accuracy"]
    assert told["run"] == str(out)
    assert "energy" in told
    assert told["next"] is None or "predict" in told["next"]
