"""A training's directory from its first minute: what it was begun with, and how it is gone on with.

``training.json`` holds the arguments that decide the training, as the user gave them or as they
were by default, and what came of them: every setting of the recipe, the network, the pictures'
name and digest. With ``checkpoint.safetensors`` beside it, ``--resume`` needs nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from common.command import Stopped
from common.config import as_json
from models.deploy.preprocessing import WEIGHTS
from training.data import Parts, chosen_source
from training.given import TRAINING, as_stored, stored_pictures
from training.loop.checkpoints.keeper import Halted, Keeper
from trials.store.disk import replace_text

FILE_NAME = TRAINING
COMMAND = "training"  # that trains classifiers; "training detect" and "training segment"
_WHERE = frozenset(("out", "resume", "json", "dry_run", "quiet", *Parts._fields))
# What may differ each time that a training is gone on with: none of it changes the result.
_FREE = frozenset(
    ("out", "resume", "device", "checkpoint_minutes", "workers", "log", "json", "dry_run", "quiet")
)
_PLACES = ("spec", "init")
_PICTURES = ("data", "train", "validation", "test")
_REMEDY = "finish the training with the version that began it, or begin another with another --out"


def go_on(
    args: argparse.Namespace, parser: argparse.ArgumentParser, command: str = COMMAND
) -> None:
    """Put the arguments of the training that is resumed into ``args``, ``command``'s.

    Raises ValueError where there is none, where it is done, where another command or another
    version began it, and where an argument is given that differs from the training's own.
    """
    args.out = args.out or _newest(Path("runs"), command)
    stored = arguments_of(args.out, command)
    defaults, mine = _settled(parser.parse_args([])), _settled(args)
    known = {action.dest for action in parser._actions}  # its defaults are the training's by now
    _check_options(args.out / FILE_NAME, lacking=(mine.keys() & known) - stored.keys(),
                   unknown=stored.keys() - known)  # fmt: skip
    for name, value in mine.items():
        if value not in (defaults[name], stored[name]):
            raise ValueError(
                f"{_flag(name)} is {stored[name]!r:.80} in {args.out} and not {value!r:.80}: leave "
                "it out, or begin another training"
            )
    for name in mine:
        setattr(args, name, stored[name])
    if isinstance(args.data, list):
        args.data = Parts(*args.data)


def _check_options(path: Path, lacking: Iterable[str], unknown: Iterable[str]) -> None:
    """Raises ValueError, saying which they are, where a training's options are not this version's.

    What it would have been by default is not guessed: another version may train otherwise.
    """
    told = [
        f"{', '.join(map(_flag, sorted(names)))} {where}"
        for names, where in ((lacking, "only here"), (unknown, "only there")) if names
    ]  # fmt: skip
    if told:
        raise ValueError(
            f"{path} was begun by another version, with other options ({'; '.join(told)}): "
            f"{_REMEDY}"
        )


def check_recipe(out: Path, recipe: Mapping[str, Any]) -> None:
    """Raises ValueError, saying what differs, where the training in ``out``, which is resumed, was
    begun with other settings than its arguments come to now."""
    path = out / FILE_NAME
    try:
        theirs = dict(json.loads(path.read_text("utf-8"))["recipe"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is of another version, or damaged ({error!r:.200})") from error
    mine = json.loads(json.dumps(recipe))
    told = [
        f"{name} {_value(theirs, name)} there and {_value(mine, name)} here"
        for name in sorted(mine.keys() | theirs.keys())
        if _value(theirs, name) != _value(mine, name)
    ]
    if told:
        raise ValueError(f"{path} has another recipe ({', '.join(told):.300}): {_REMEDY}")


def _value(facts: Mapping[str, Any], name: str) -> str:
    return f"{facts[name]!r:.40}" if name in facts else "missing"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def arguments_of(out: Path | None, command: str = COMMAND) -> dict[str, Any]:
    """Those of the training of ``command`` that is resumed in ``out``; None is the last below
    runs/.

    Raises ValueError where there is none, where it is done, and where another command began it.
    """
    out = out or _newest(Path("runs"), command)
    path = out / FILE_NAME
    if not path.is_file():
        raise ValueError(f"{out} holds no training to resume: name its directory by --out")
    if (out / WEIGHTS).exists():
        raise ValueError(f"the training in {out} is done: there is nothing to resume")
    try:
        facts: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if (began := facts.get("command", COMMAND)) != command:
            raise ValueError(f"{out} was begun by python -m {began:.60}: resume it with that")
        stored = facts["arguments"]
        return {**stored, "data": stored_pictures(stored)}
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is of another version, or damaged ({error!r:.200})") from error


def recalled(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of the training that ``args`` resume, but for its pictures, which are settled
    later. Raises as ``arguments_of`` does."""
    stored = arguments_of(args.out)
    return {name: value for name, value in stored.items() if name not in _PICTURES}


def begin(args: argparse.Namespace, *, command: str = COMMAND, **found: Any) -> None:
    """Write the training that ``command`` begins in ``args.out``, ``found`` being what came of the
    arguments.

    ``args.data`` is the source by now, as ``settle_pictures`` leaves it.
    """
    facts = {"schema": 1, "command": command, "arguments": _kept(args), **found}
    replace_text(args.out / FILE_NAME, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def command_to_resume(out: Path, command: str = COMMAND) -> str:
    """For a shell."""
    return shlex.join(["python", "-m", *command.split(), "--resume", "--out", str(out)])


@contextmanager
def taken(out: Path) -> Iterator[None]:
    """A block in which the directory is there, so that no other training takes its name; a new one
    that nothing came into goes again."""
    new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if new:
            with suppress(OSError):
                out.rmdir()
        raise


def free(out: Path) -> Path:
    """``out``. Raises ValueError where the weights of another training are there."""
    if (out / WEIGHTS).exists():
        raise ValueError(f"{out} holds the weights of another training: choose another --out")
    return out


@contextmanager
def saying(out: Path, keeper: Keeper, command: str = COMMAND) -> Iterator[None]:
    """A block whose Ctrl-C says what is kept of the training."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if not keeper.path.exists():
            (out / FILE_NAME).unlink(missing_ok=True)
            raise Stopped("stopped: nothing had been trained, and nothing is kept") from None
        when = f" {stop}" if isinstance(stop, Halted) else ", at once"
        since = "there" if isinstance(stop, Halted) else "the last checkpoint"
        resume = command_to_resume(out, command)
        raise Stopped(f"stopped{when}: {resume} goes on from {since}") from None


def _settled(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments that decide a training, as JSON that means the same from every directory."""
    facts = {name: value for name, value in vars(args).items() if name not in _FREE}
    for name in _PLACES:
        if facts[name] is not None and os.path.exists(facts[name]):
            facts[name] = str(Path(facts[name]).absolute())
    source = facts["data"]
    if not isinstance(source, Parts):
        given = [facts.get(name) for name in _PICTURES]
        source = chosen_source(*given) if any(given) else None
    facts["data"] = None if source is None else as_stored(source)
    return {name: value for name, value in facts.items() if name not in _PICTURES[1:]}


def _kept(args: argparse.Namespace) -> dict[str, Any]:
    """All of the arguments, in a form that --config takes, but for where the training is."""
    facts = {name: as_json(one) for name, one in vars(args).items() if name not in _WHERE}
    facts |= _settled(args)
    if isinstance(facts["data"], list):  # a split's folders are options of their own
        facts |= {"data": None, **dict(zip(Parts._fields, facts["data"], strict=True))}
    return facts


def _newest(root: Path, command: str) -> Path:
    """The training of ``command`` below ``root`` that was begun last and is not done."""
    name = "train" if command == COMMAND else command.split()[-1]
    found = [path for path in root.glob(f"{name}-*") if (path / FILE_NAME).is_file()]
    found = [path for path in found if not (path / WEIGHTS).exists()]
    if not found:
        raise ValueError(f"no training to resume below {root}: name its directory by --out")
    return max(found, key=lambda path: (path / FILE_NAME).stat().st_mtime)
