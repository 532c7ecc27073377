"""A command's options from a file, and all of them as such a file.

A file of options is an object, JSON or (``.toml``) TOML, of values by the options' long names
without dashes: numbers, texts, true and false for switches, lists for what is given several times
or separated by commas. null is what is not given: the command decides. Its values go through the
same checks as the command line's, and give way to them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.command import did_you_mean, path

# Where a run's directory keeps its options: the file, and the keys on the way to them. As
# trials.store.header and training.given name the files; a test compares.
KEPT = {"run.json": ("settings", "options"), "training.json": ("arguments",)}
_OWN = ("help", "help_all", "config", "print_config")


def add_config(parser: argparse.ArgumentParser) -> None:
    """--config and --print-config; ``configured`` is then what parses."""
    group = parser.add_argument_group("configuration")
    group.add_argument(
        "--config",
        type=path,
        metavar="FILE|RUN",
        help="options by their long names, JSON or TOML, or those of a run; the command line wins",
    )
    group.add_argument(
        "--print-config",
        action="store_true",
        help="print all options as they would be, in a form that --config takes, and do nothing",
    )


def configured(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    recalled: Callable[[argparse.Namespace], Mapping[str, Any]] | None = None,
) -> argparse.Namespace:
    """The options of the command line, else of --config's file, else what is ``recalled`` by
    those, else the parser's defaults.

    With --print-config it prints them and exits with 0. Raises ValueError for a file that cannot
    be read, a name that is no option's, and as ``recalled`` does.
    """
    line = list(sys.argv[1:] if argv is None else argv)
    words = [*_of_file(parser, line), *line]
    args = parser.parse_args(words)
    if recalled is not None:
        told = _given(parser, words)  # what is appended to would begin with the default
        parser.set_defaults(**{k: v for k, v in recalled(args).items() if k not in told})
        args = parser.parse_args(words)
    if args.print_config:
        print(json.dumps(configuration(parser, args), indent=2, ensure_ascii=False))
        raise SystemExit(0)
    del args.config, args.print_config
    return args


def configuration(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, Any]:
    """``args`` as a file of options has them, each option once, those not given too."""
    found: dict[str, Any] = {}
    seen = set(_OWN)
    for name, action in _named(parser).items():
        if action.dest not in seen:
            seen.add(action.dest)
            found[name] = as_json(vars(args)[action.dest])
    return found


def as_json(value: Any) -> Any:
    """An option's value as JSON."""
    if isinstance(value, Path):
        return str(value)
    return [as_json(one) for one in value] if isinstance(value, list | tuple) else value


def _named(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Options by their first long name; what has no dashes by what it is called."""
    found = {}
    for action in parser._actions:
        long = (text[2:] for text in action.option_strings if text.startswith("--"))
        found[next(long, action.dest)] = action
    return found


def _given(parser: argparse.ArgumentParser, words: Sequence[str]) -> dict[str, Any]:
    """What the words say, without any default."""
    blank = argparse.Namespace(**{action.dest: None for action in parser._actions})
    said = vars(parser.parse_args(words, blank))
    return {name: value for name, value in said.items() if value is not None}


def _of_file(parser: argparse.ArgumentParser, line: Sequence[str]) -> list[str]:
    """The words of the file that the command line names, but for what it says itself."""
    given, named = _given(parser, line), _named(parser)
    if "config" not in given:
        return []
    source, told = given["config"], set(given)
    for group in parser._mutually_exclusive_groups:  # of which it has said one
        own = {action.dest for action in group._group_actions}
        told |= own if own & told else set()
    found: list[str] = []
    for key, value in _read(source).items():
        name = key.replace("_", "-")
        action = named.get(name) or named.get(key)
        if action is None or action.dest in _OWN:
            meant = did_you_mean(name, named)
            raise ValueError(f"{source}: {parser.prog} has no option {key!r:.60}{meant}")
        if action.dest not in told:
            try:
                found += _words(action, name, value)
            except ValueError as error:
                raise ValueError(f"{source}: {key} {error}") from None
    return found


def _read(source: Path) -> dict[str, Any]:
    """The object in a file of options, or in that of a run.

    Raises ValueError where there is none.
    """
    keys: tuple[str, ...] = ()
    if source.is_dir():
        held = [name for name in KEPT if (source / name).is_file()]
        if not held:
            raise ValueError(f"{source} holds no run, whose options --config could take")
        keys, source = KEPT[held[0]], source / held[0]
    try:
        text = source.read_text("utf-8")
        found = tomllib.loads(text) if source.suffix == ".toml" else json.loads(text)
        for key in keys:
            found = found[key]
    except OSError as error:
        raise ValueError(f"--config {source}: {error.strerror}: name a file") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{source} holds no options that can be read ({error!r:.200})") from None
    if not isinstance(found, dict):
        raise ValueError(f"{source} holds no object of options by their names")
    return found


def _words(action: argparse.Action, name: str, value: Any) -> list[str]:
    """A value as a command line gives it. Raises ValueError for one that it cannot give."""
    if value is None:
        return []
    if action.nargs == 0:  # a switch
        if not isinstance(value, bool):
            raise ValueError(f"is true or false, not {value!r:.60}")
        off = [f"--no-{name}"] if isinstance(action, argparse.BooleanOptionalAction) else []
        return [f"--{name}"] if value else off
    texts = list(_texts(value))
    if not action.option_strings:
        return texts
    if isinstance(action, argparse._AppendAction):
        return [f"--{name}={text}" for text in texts]
    if action.nargs is not None:
        return [f"--{name}", *texts] if texts else []
    return [f"--{name}={','.join(texts)}"]


def _texts(value: Any) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, bool) or not isinstance(one, str | int | float):
            raise ValueError(f"is a number, a text or a list of these, not {one!r:.60}")
        yield one if isinstance(one, str) else repr(one)
