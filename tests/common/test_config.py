"""Options come from a file as from a command line, which wins."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from common.command import count, parser, path
from common.config import add_config, configured


def made() -> argparse.ArgumentParser:
    found = parser("toy", "A toy.")
    found.add_argument("what", nargs="?", choices=("this", "that"))
    found.add_argument("--trials", type=count, default=30)
    found.add_argument("--w", type=float, default=-0.07)
    found.add_argument("--sides", type=lambda text: tuple(map(int, text.split(","))))
    found.add_argument("--limits", nargs="+", default=["1M"])
    found.add_argument("--set", action="append", default=[])
    found.add_argument("--stop-early", action="store_true")
    found.add_argument("--stream", action=argparse.BooleanOptionalAction)
    found.add_argument("--out", type=path)
    target = found.add_mutually_exclusive_group()
    target.add_argument("--target-flops")
    target.add_argument("--target-latency")
    add_config(found)
    return found


def written(tmp_path: Path, text: str, name: str = "options.json") -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


ALL = {"what": "that", "trials": 7, "w": -1e-3, "sides": [97, 129], "limits": ["2M", "3M"],
       "set": ["a=1", "b=2"], "stop-early": True, "stream": False, "out": "some where",
       "target-flops": "2x", "target-latency": None}  # fmt: skip


def test_every_kind_of_option(tmp_path: Path) -> None:
    args = configured(made(), ["--config", written(tmp_path, json.dumps(ALL))])
    assert vars(args) == {
        "what": "that", "trials": 7, "w": -0.001, "sides": (97, 129), "limits": ["2M", "3M"],
        "set": ["a=1", "b=2"], "stop_early": True, "stream": False, "out": Path("some where"),
        "target_flops": "2x", "target_latency": None,
    }  # fmt: skip


def test_the_command_line_wins(tmp_path: Path) -> None:
    file = written(tmp_path, json.dumps(ALL))
    line = ["this", "--trials", "30", "--set", "c=3", "--target-latency", "5ms", "--stream"]
    args = configured(made(), [*line, "--config", file])
    assert (args.what, args.trials) == ("this", 30)  # though 30 is the default as well
    assert args.set == ["c=3"]
    assert (args.target_flops, args.target_latency) == (None, "5ms")
    assert args.stream
    assert args.w == -0.001


def test_toml_and_names_as_python_has_them(tmp_path: Path) -> None:
    file = written(tmp_path, "stop_early = true\nset = 'a=1'\nw = -2", "options.toml")
    args = configured(made(), ["--config", file])
    assert (args.stop_early, args.set, args.w) == (True, ["a=1"], -2)


def test_what_is_printed_is_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        configured(made(), ["--config", written(tmp_path, json.dumps(ALL)), "--print-config"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == ALL
    again = configured(made(), ["--config", written(tmp_path, printed, "again.json")])
    assert again == configured(made(), ["--config", written(tmp_path, json.dumps(ALL))])


def test_what_a_run_recalls_gives_way_to_both(tmp_path: Path) -> None:
    def recalled(args: argparse.Namespace) -> dict[str, object]:
        assert args.trials == 7
        return {"trials": 99, "w": 0.5, "set": ["of the run"], "stream": True}

    file = written(tmp_path, '{"trials": 7}')
    args = configured(made(), ["--set", "a=1", "--config", file], recalled)
    assert (args.trials, args.w, args.set, args.stream) == (7, 0.5, ["a=1"], True)


def test_a_run_is_a_file_of_options_too(tmp_path: Path) -> None:
    written(tmp_path, '{"settings": {"options": {"trials": 3}}}', "run.json")
    assert configured(made(), ["--config", str(tmp_path)]).trials == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"trails": 7}', "toy has no option 'trails': did you mean trials?"),
        ('{"nothing alike": 7}', "has no option 'nothing alike'"),
        ('{"config": "other.json"}', "has no option 'config'"),
        ('{"stop-early": "yes"}', "stop-early is true or false, not 'yes'"),
        ('{"trials": true}', "trials is a number, a text or a list of these, not True"),
        ('{"trials": {"most": 3}}', "trials is a number, a text or a list"),
        ("[1]", "holds no object of options"),
        ("{", "holds no options that can be read"),
        ("[" * 9999, "holds no options that can be read"),
    ],
)
def test_what_is_no_option_is_refused(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"options\.json") as refused:
        configured(made(), ["--config", written(tmp_path, text)])
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_values_are_checked_as_the_command_lines_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ('{"trials": 0}', '{"trials": 1.5}', '{"what": "other"}'):
        with pytest.raises(SystemExit) as stop:
            configured(made(), ["--config", written(tmp_path, text)])
        assert stop.value.code == 2
        assert "error: argument" in capsys.readouterr().err


def test_places_without_options(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no run"):
        configured(made(), ["--config", str(tmp_path)])
    with pytest.raises(ValueError, match="No such file"):
        configured(made(), ["--config", str(tmp_path / "none.json")])
