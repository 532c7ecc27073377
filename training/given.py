"""Which pictures a command means: those given, or those of the run that it goes on from."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command import place, program
from training.pictures.layout import Parts

if TYPE_CHECKING:
    from training.data import Data

DEFAULT = "mnist"
TRAINING = "training.json"  # what a training was begun with, in its directory
Pictured = str | Parts
BUILT_IN = ("mnist", "digits", "cifar10", "cifar100")


def add_pictures(group: argparse._ActionsContainer) -> None:
    """--data, or the folders of a split one by one."""
    group.add_argument(
        "--data",
        type=place,
        help="mnist (5,000 digits, embedded), digits, cifar10, cifar100, or a folder with one "
        "folder of pictures a class, with train/ and val/ or test/ above them where they exist; or "
        "a folder of tar or parquet shards, or DIR/{000..099}.tar; "
        "default: those of the run that is resumed or used, else mnist",
    )
    group.add_argument("--train", type=place, help="in place of --data: the training part's folder")
    group.add_argument("--validation", type=place, help="with --train: the validation part's")
    group.add_argument("--test", type=place, help="with --train: the test part's")


def settle_pictures(args: argparse.Namespace, baseline: str | None = None) -> None:
    """Set ``args.data`` to what was given, or else to what is meant, saying so.

    That are the pictures of the run that is resumed; else those of ``baseline``, where that is a
    run's directory; else the embedded digits. Raises ValueError for options that do not go
    together.
    """
    given = args.data, args.train, args.validation, args.test
    if any(given):
        from training.data import chosen_source  # with torch, which --help need not wait for

        args.data = chosen_source(*given)
        return
    own = args.out if getattr(args, "resume", False) else None
    for whose, directory in (("resumed", own), ("used", baseline)):
        source = directory and source_of(Path(os.path.expanduser(directory)))
        if source:
            args.data = source
            words = source if isinstance(source, str) else shlex.join(_options(source))
            print(f"pictures: {words}, those of the run that is {whose}", file=sys.stderr)
            return
    args.data = DEFAULT


def source_of(directory: Path) -> Pictured | None:
    """What the run or the training in that directory was given as pictures; None where there is
    neither."""
    from trials.store.header import FILE_NAME, read_header

    found: object = None
    if (directory / FILE_NAME).is_file():
        found = read_header(directory).settings.get("source")
    elif (directory / TRAINING).is_file():
        found = _of_training(directory / TRAINING)
    if isinstance(found, list) and len(found) == len(Parts._fields):
        return Parts(*found)
    return found if isinstance(found, str) else None


def _of_training(path: Path) -> object:
    try:
        return stored_pictures(json.loads(path.read_text("utf-8"))["arguments"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is of another version, or damaged ({error!r:.200})") from error


def stored_pictures(arguments: Mapping[str, Any]) -> object:
    """What a training's arguments have as pictures: as ``as_stored``, None where they have none.

    Raises KeyError where they are no arguments.
    """
    parts = [arguments.get(name) for name in Parts._fields]
    return parts if any(parts) else arguments["data"]


def as_stored(source: Pictured) -> str | list[str | None]:
    """A source as a run keeps it, JSON, which means the same from every directory."""
    if isinstance(source, Parts):
        return [one and str(Path(os.path.expanduser(one)).absolute()) for one in source]
    if source in BUILT_IN:
        return source
    return str(Path(os.path.expanduser(source)).absolute())


def pictures_name(source: Pictured) -> str:
    """The name of the folder that a source trains on, before anything is decoded."""
    folder = source.train if isinstance(source, Parts) else source
    return Path(os.path.expanduser(folder)).resolve().name


def say_if_other(data: Data, baseline: str) -> None:
    """A line on stderr where ``baseline`` is a run that was made on other pictures.

    The same ones have another digest at another size: then name, classes and channels decide.
    """
    from trials.store.header import FILE_NAME, read_header

    directory = Path(os.path.expanduser(baseline))
    if not (directory / FILE_NAME).is_file():
        return
    stored = read_header(directory).settings.get("data")
    if isinstance(stored, dict) and not _same(stored, data):
        print(
            f"pictures: {data.name} ({data.digest}); the baseline was found on others, "
            f"{stored.get('name')} ({stored.get('digest')})",
            file=sys.stderr,
        )


def _same(stored: dict[str, Any], data: Data) -> bool:
    if stored.get("size", data.size) == data.size:
        return bool(stored.get("digest") == data.digest)
    there = stored.get("name"), stored.get("classes"), stored.get("channels")
    return there == (data.name, list(data.classes), data.channels)


def next_command(module: str, *arguments: object, data: Pictured) -> str:
    """A command to go on with, quoted for a shell, with the pictures where they are not the
    default."""
    words = [*program(module).split(), *map(str, arguments)]
    if isinstance(data, Parts):
        words += _options(data)
    elif data != DEFAULT:
        words += ["--data", data]
    return shlex.join(words)


def _options(parts: Parts) -> list[str]:
    """A split's folders as they are given on a command line."""
    given = ((f"--{name}", folder) for name, folder in parts._asdict().items() if folder)
    return [word for pair in given for word in pair]
