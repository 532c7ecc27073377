"""What has been found so far: results.json and summary.md, rewritten after every addition.

One process writes at a time: the step that runs, or the command that runs the steps.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from trials.store.disk import replace_text

RESULTS, SUMMARY = "results.json", "summary.md"
_LONGEST_TRACEBACK = 4000


class Overrun(BaseException):
    """A part of a step has used up its time."""


def read(out: Path) -> dict[str, dict[str, Any]]:
    """The pages in ``out`` by step; empty where there are none."""
    path = out / RESULTS
    found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def write(out: Path, pages: dict[str, dict[str, Any]]) -> None:
    """Both files, each at once or not at all."""
    for name, text in ((RESULTS, json.dumps(pages, indent=1)), (SUMMARY, summary(pages))):
        replace_text(out / name, text + "\n")


def blank(status: str, allowed: float) -> dict[str, Any]:
    """A step's page with nothing on it; ``allowed`` in seconds."""
    return {
        "status": status,
        "allowed": round(allowed),
        "seconds": 0.0,
        "facts": {},
        "tables": {},
        "words": [],
        "failures": [],
    }


class Page:
    """One step's results: facts, tables, words, failures."""

    def __init__(self, out: Path, name: str, seconds: float) -> None:
        self.out, self.name = out, name
        self._begun, self._ends = time.monotonic(), time.monotonic() + seconds
        self.content = blank("running", seconds)
        self._save()

    def left(self) -> float:
        """Seconds of this step's allowance."""
        return self._ends - time.monotonic()

    def fact(self, name: str, value: object) -> None:
        self.content["facts"][name] = value
        self._save()

    def row(self, table: str, /, **cells: object) -> None:
        """One more row; the first one of a table names its columns."""
        self.content["tables"].setdefault(table, []).append(cells)
        print(f"{table}: {_line(cells)}", flush=True)
        self._save()

    def say(self, word: str) -> None:
        self.content["words"].append(word)
        print(word, flush=True)
        self._save()

    def fail(self, what: str, why: str) -> None:
        """A part that came to nothing, and why; for an exception its traceback."""
        self.content["failures"].append(f"{what}: {why[-_LONGEST_TRACEBACK:]}")
        print(f"{what} FAILED: {why}", flush=True)
        self._save()

    def keep(self, file: Path, name: str) -> None:
        """A copy of ``file`` among the results."""
        shutil.copyfile(file, self.out / name)

    def part(
        self, what: str, do: Callable[[], object], *, most: float = 1e9, least: float = 2.0
    ) -> bool:
        """Whether ``do`` came to its end, within ``most`` seconds and the step's allowance.

        What it raises is written down, and the step goes on; with less than ``least`` seconds left
        it is not begun.
        """
        seconds = min(most, self.left())
        if seconds < least:
            self.say(f"{what}: left out, {max(0.0, self.left()):.0f} s were left")
            return False
        before = signal.signal(signal.SIGALRM, _overrun)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            do()
        except Overrun:
            self.say(f"{what}: cut off after {seconds:.0f} s")
            return False
        except Exception:
            self.fail(what, traceback.format_exc())
            return False
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        return True

    def end(self) -> None:
        self.content["status"] = "failed" if self.content["failures"] else "done"
        self._save()

    def _save(self) -> None:
        self.content["seconds"] = round(time.monotonic() - self._begun, 1)
        write(self.out, {**read(self.out), self.name: self.content})


def _overrun(_: int, __: FrameType | None) -> None:
    raise Overrun


def summary(pages: dict[str, dict[str, Any]]) -> str:
    """All pages as Markdown."""
    lines = ["# Measured on a device"]
    for name, page in pages.items():
        times = f"{page['seconds']:.0f} of {page['allowed']} s"
        lines += ["", f"## {name}: {page['status']}, {times}", ""]
        lines += [f"- {key}: {_text(value)}" for key, value in page["facts"].items()]
        lines += [f"- {word}" for word in page["words"]]
        for title, rows in page["tables"].items():
            columns = list(dict.fromkeys(key for row in rows for key in row))
            lines += ["", f"**{title}**", "", f"| {' | '.join(columns)} |"]
            lines += ["|" + "---|" * len(columns)]
            lines += [f"| {' | '.join(_text(row.get(c, '')) for c in columns)} |" for row in rows]
        for failure in page["failures"]:
            lines += ["", "```", failure.strip(), "```"]
    return "\n".join(lines)


def _line(cells: dict[str, object]) -> str:
    return ", ".join(f"{name} {_text(value)}" for name, value in cells.items())


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "/")
