"""What every command line of the project does alike."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from common.host_memory import is_out_of_memory
from common.paths import expanded, expanded_url

_CLEAR = (ValueError, OSError, FloatingPointError)  # their messages say what is amiss


class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults are shown where there are any, the description keeps its lines."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


PROGRAMS: dict[str, str] = {}
"""What the commands are called, where that is not ``python -m``: the entry point's to fill."""


def program(name: str) -> str:
    """How a command is called: ``python -m training predict``, or as the entry point says."""
    return PROGRAMS.get(name, f"python -m {name}")


class Parser(argparse.ArgumentParser):
    """Says what is amiss in one line: the usage, of dozens of lines, is what --help is for."""

    def error(self, message: str) -> NoReturn:
        said = " ".join(message.splitlines())  # which quotes arguments as they are
        self.exit(2, f"error: {said} ({self.prog} --help)\n")


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """An argument parser whose help shows defaults."""
    return Parser(prog=program(name), description=description, formatter_class=Formatter)


def count(text: str) -> int:
    """A whole number of at least 1, as an argparse type."""
    return _whole(text, 1)


def count_from_zero(text: str) -> int:
    """A whole number of at least 0, as an argparse type."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r:.60} is not a whole number of at least {least}")


def place(text: str) -> str:
    """A path, or a name that may be one, with ``~`` and ``$HOME`` put in; an argparse type."""
    try:
        return expanded(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def path(text: str) -> Path:
    """``place`` as a Path; the argparse type of every option that can only be a path."""
    return Path(place(text))


def storage_url(text: str) -> str:
    """An Optuna storage URL, the path of an SQLite file expanded; an argparse type."""
    try:
        return expanded_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def file_name(text: str) -> str:
    """``text`` as the name of one file: a network's name may hold slashes and anything else."""
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.")[:100] or "unnamed"


class Stopped(KeyboardInterrupt):
    """Ctrl-C, with the sentence that is true after it."""


@contextmanager
def when_stopped(says: str) -> Iterator[None]:
    """A block whose Ctrl-C says what is kept of it."""
    try:
        yield
    except Stopped:
        raise
    except KeyboardInterrupt:
        raise Stopped(says) from None


def run(main: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None = None) -> int:
    """``main``'s exit code: 0; 2 with one line for bad input; 130 for Ctrl-C.

    Bad input is also a network that does not fit into memory or whose training diverges. What is
    kept after Ctrl-C only the command knows (``when_stopped``).
    """
    try:
        main(argv)
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped: nothing had been begun", file=sys.stderr)
        return 130
    except Exception as error:
        if not isinstance(error, _CLEAR) and not is_out_of_memory(error):
            raise
        print(f"error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 2
    return 0
