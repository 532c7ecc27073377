"""What a log of trainings is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Entry(Protocol):
    """A training in a log."""

    def at(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Write what was measured after so many epochs."""

    def end(
        self, facts: Mapping[str, Any], numbers: Mapping[str, float], failure: str | None = None
    ) -> None:
        """Write what it was of, what it came to, and where it failed, why; nothing comes after."""


class Log(Protocol):
    """A group of trainings in a log: what it is called, and which trainings it has already."""

    name: str
    there: set[str]

    def entry(self, name: str) -> Entry:
        """The training of that name, which is begun or gone on with."""
