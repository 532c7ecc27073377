"""One name for all commands."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from evenscale import COMMANDS, main
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
        *((one.of, one.first) for name, one in COMMANDS.items() if name not in ("rerank", "study")),
        *(("reports.__main__", (name,)) for name in ("ranks", "scalability")),
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
    from nas.search import against
    from nas.search.commands import options
    from reports.commands import ranks as ranks_options
    from reports.commands import ranks_go
    from reports.ranks import rank
    from scaling_search.commands import search
    from scaling_search.surface.samplers import METHODS
    from training import stopwatch
    from training.commands import latency as latency_options

    assert options.NAMES == samplers.NAMES
    assert options.SAMPLE == latency.SAMPLE
    assert (options.USUAL, options.FEWEST_TRIALS) == (against.USUAL, against.FEWEST_TRIALS)
    assert search.METHODS == METHODS
    assert latency_options.REPEATS == stopwatch.REPEATS
    assert (ranks_options.TOLERANCES, ranks_options.DEFAULT) == (rank.TOLERANCES, rank.DEFAULT)
    assert ranks_options.PICTURES == ranks_go.PICTURES
