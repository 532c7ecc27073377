"""What the caller's scores of untrained networks say, asked for once a network and kept.

    scores = Scores(("naswot",), ask, run_dir / FILE)  # ask(specs) → a mapping for each spec
    scores(specs)  # (N, 1)

A score is a function of the spec alone, so that a search that goes on, or one whose file was lost,
decides the same. A line of the file is one network: its spec's key, its scores by name, and the
seconds that they took.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models.spec import ArchSpec
from nas.candidates import Floats

FILE = "scores.jsonl"

Ask = Callable[[Sequence[ArchSpec]], Sequence[Mapping[str, float]]]
"""Scores of networks, by name; any finite number, or NaN where a network has none."""


class Asked(NamedTuple):
    """The scores that a search is given, and who gives them."""

    names: Sequence[str]
    ask: Ask


class Scores:
    """The scores ``names``; ``ask`` is None where only what ``path`` keeps can be had.

    ``path`` None: kept in memory. ``asked`` counts networks and ``seconds`` what they took, those
    of earlier runs on the same file included.
    """

    def __init__(
        self, names: Sequence[str], ask: Ask | None = None, path: Path | None = None
    ) -> None:
        if not names or len(set(names)) != len(names):
            raise ValueError(f"scores {list(names)!r:.80}: name each once, and at least one")
        self.names, self.seconds = tuple(names), 0.0
        self._ask, self._path = ask, path
        self._known: dict[str, list[float]] = {}
        if path is not None and path.exists():
            for line in path.read_text("utf-8").splitlines():
                self._read(line)

    @property
    def asked(self) -> int:
        """Networks whose scores are known."""
        return len(self._known)

    def __call__(self, specs: Sequence[ArchSpec]) -> Floats:
        """(N, scores), NaN where a network has none.

        Raises ValueError for a network that is not kept where nobody can be asked, and where what
        is answered lacks a score.
        """
        missing = {spec.key: spec for spec in specs if spec.key not in self._known}
        if missing:
            self._learn(list(missing.values()))
        return np.array([self._known[spec.key] for spec in specs]).reshape(-1, len(self.names))

    def _learn(self, specs: list[ArchSpec]) -> None:
        if self._ask is None:
            raise ValueError(
                f"the scores of {len(specs)} networks, {specs[0].name} first, are not kept in "
                f"{self._path}: rank by what was measured (--by measured)"
            )
        start = time.perf_counter()
        found = list(self._ask(specs))
        seconds = (time.perf_counter() - start) / len(specs)
        complete = all(set(self.names) <= one.keys() for one in found)
        if len(found) != len(specs) or not complete:
            raise ValueError(
                f"of {len(specs)} networks {len(found)} were scored: give {', '.join(self.names)} "
                "of each"
            )
        lines = [
            _line(spec, {name: one[name] for name in self.names}, seconds)
            for spec, one in zip(specs, found, strict=True)
        ]
        for line in lines:
            self._read(line)
        if self._path is not None:
            # A line that a killed search left torn is ended, and then read by nobody.
            torn = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(["\n" * torn, *(f"{line}\n" for line in lines)]))

    def _read(self, line: str) -> None:
        try:
            found: dict[str, Any] = json.loads(line)
            values = [found["scores"][name] for name in self.names]
        except (ValueError, KeyError, TypeError):  # torn, or of a search by other scores
            return
        self.seconds += found["seconds"]
        self._known[found["key"]] = [math.nan if one is None else float(one) for one in values]


def _line(spec: ArchSpec, scores: Mapping[str, float], seconds: float) -> str:
    """JSON, with null for a network that has no such score."""
    finite = {name: float(one) if math.isfinite(one) else None for name, one in scores.items()}
    return json.dumps({"key": spec.key, "scores": finite, "seconds": round(seconds, 3)})
