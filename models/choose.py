"""A network by whatever the user has in hand: a family's name, a spec file, a run directory."""

from __future__ import annotations

import os
from pathlib import Path

from models.families import family
from models.spec import MAX_JSON, ArchSpec


def choose(text: str) -> ArchSpec:
    """The network that ``text`` names: a run directory with baseline.json, a file, or a family.

    Raises ValueError, naming the value, where it is none of these.
    """
    path = Path(os.path.expanduser(text))  # Path's own raises RuntimeError for an unknown user
    if path.is_dir():
        found = path / "baseline.json"
        if not found.is_file():
            raise ValueError(
                f"{text} holds no baseline.json: give a run of nas.search that has finished, "
                "a spec file, or a family such as efficientnet-b0"
            )
        return _read(found)
    return _read(path) if path.is_file() else family(text)


def _read(path: Path) -> ArchSpec:
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError(f"it has over {MAX_JSON} bytes")
        return ArchSpec.from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one
        raise ValueError(f"{path} is no network spec: {error}") from None
