"""What every command line of the project does alike."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
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
    """Says what is amiss in one line: the usage, of dozens of lines, is what --help is for.

    With ``everyday`` options --help has these alone, by their groups, and ``examples``; all of them
    are --help-all's.
    """

    everyday: Sequence[str] = ()
    examples: Sequence[str] = ()

    def format_help(self) -> str:
        """The everyday options where some are named, else all."""
        return self._help(self._is_everyday) if self.everyday else self.format_help_all()

    def format_help_all(self) -> str:
        """Every option."""
        return self._help(lambda _: True) if self.everyday else super().format_help()

    def _is_everyday(self, action: argparse.Action) -> bool:
        return not action.option_strings or not {*self.everyday}.isdisjoint(action.option_strings)

    def _help(self, shown: Callable[[argparse.Action], bool]) -> str:
        made = self._get_formatter()
        own = [action for action in self._actions if shown(action)]
        left_out = len(self._actions) - len(own)
        if left_out:
            made.add_usage("%(prog)s [OPTION]…", own, [])
        else:
            made.add_usage(self.usage, own, self._mutually_exclusive_groups)
        made.add_text(self.description)
        for group in self._action_groups:
            if some := [action for action in group._group_actions if shown(action)]:
                made.start_section(group.title)
                made.add_text(group.description)
                made.add_arguments(some)
                made.end_section()
        if self.examples:
            made.add_text("\n".join(["examples:", *(f"  {self.prog} {e}" for e in self.examples)]))
        if left_out:
            made.add_text(f"{left_out} more options: {self.prog} --help-all")
        return made.format_help()

    def error(self, message: str) -> NoReturn:
        said = " ".join(message.splitlines())  # which quotes arguments as they are
        if message.startswith("unrecognized arguments: --"):
            given = message.split()[2].partition("=")[0]
            known = [text for action in self._actions for text in action.option_strings]
            said += did_you_mean(given, known)
        self.exit(2, f"error: {said} ({self.prog} --help)\n")


class _HelpAll(argparse.Action):
    """Prints what the parser's --help leaves out, too."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser._print_message(parser.format_help_all(), sys.stdout)  # type: ignore[attr-defined]
        parser.exit()


def parser(
    name: str, description: str, everyday: Sequence[str] = (), examples: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """An argument parser whose help shows defaults: of the ``everyday`` options alone, where such
    are named, with ``examples`` of what follows the command's name."""
    made = Parser(prog=program(name), description=description, formatter_class=Formatter)
    made.everyday, made.examples = everyday, examples
    made.add_argument(
        "--help-all",
        action=_HelpAll,
        nargs=0,
        default=argparse.SUPPRESS,
        help="show all options and exit" if everyday else argparse.SUPPRESS,
    )
    return made


def did_you_mean(text: str, names: Iterable[str]) -> str:
    """``": did you mean NAME?"`` where one of the names is near, for the end of a message; else
    nothing."""
    near = difflib.get_close_matches(text, list(names), 1)
    return f": did you mean {near[0]}?" if near else ""


def add_quiet(group: argparse._ActionsContainer) -> None:
    """--quiet, for ``hushed``."""
    group.add_argument(
        "--quiet", action="store_true", help="say the answer alone: no progress, no notes"
    )


@contextmanager
def hushed(quiet: bool, answer: bool = True) -> Iterator[None]:
    """A block that says nothing on stderr, where it is to be ``quiet``, and without an ``answer``
    nothing at all; its errors are raised."""
    if not quiet:
        yield
        return
    with open(os.devnull, "w") as nowhere, ExitStack() as stack:
        stack.enter_context(redirect_stderr(nowhere))
        if not answer:
            stack.enter_context(redirect_stdout(nowhere))
        yield


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
