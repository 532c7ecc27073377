"""A network by whatever the user has in hand: the one reader of all commands."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from common.paths import nearby
from models.families import family
from models.spec import MAX_JSON, ArchSpec


class Found(NamedTuple):
    """A network and where it is from, as people say it; ``scaled``: it is a baseline no more."""

    spec: ArchSpec
    origin: str
    scaled: bool = False


# What the directories of the several commands hold, and how their network is called.
_RUNS = {
    "baseline.json": "named by the network search",
    "coefficients.json": "at the target of the scaling search",
    "spec.json": "trained by python -m training",
}


def choose(text: str) -> ArchSpec:
    """``find``, with a line on stderr that says what it was, unless it was a family's name."""
    found = find(text)
    if found.origin:
        print(f"network: {found.spec.name}, {found.origin}", file=sys.stderr)
    return found.spec


def find(text: str) -> Found:
    """The network that ``text`` names.

    A directory of ``nas.search`` (its ``baseline.json``), of ``scaling_search`` (the network that
    stands for its answer) or of ``python -m training``; a spec file; a member of a family, as
    ``scaling_search`` writes them; or the name of a family. Raises ValueError, naming the value,
    where it is none of these.
    """
    path = Path(os.path.expandvars(os.path.expanduser(text)))  # Path's own raises for a stranger
    if path.is_dir():
        return _in_run(path)
    if path.is_file():
        return read(path)
    if len(path.parts) > 1 or path.suffix in (".json", ".safetensors") or text[:1] in "~.":
        near = nearby(text)
        remedy = f"did you mean {str(near)!r:.200}?" if near else "check the path"
        raise ValueError(f"there is no file or folder {text!r:.200}: {remedy}")
    return Found(family(text), "")


def read(path: Path) -> Found:
    """The network in a file: a spec, or anything that holds one as ``"spec"``.

    Raises ValueError, naming the file, for any other.
    """
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError(f"it has over {MAX_JSON} bytes")
        text = path.read_text(encoding="utf-8-sig")
        facts = _member(text)
        if facts is None:
            return Found(ArchSpec.from_json(text), f"a spec file ({path})")
        spec = ArchSpec.from_json(json.dumps(facts["spec"]))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise ValueError(f"{path} is no network spec: {error}") from None
    step = f" at φ = {facts['phi']:g}" if isinstance(facts.get("phi"), int | float) else ""
    return Found(spec, f"a member{step} of a family ({path})", scaled=True)


def _member(text: str) -> dict[str, Any] | None:
    """What a member of a family says of itself; None for the text of anything else."""
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) and "spec" in facts and "stages" not in facts else None


def _in_run(directory: Path) -> Found:
    for name, said in _RUNS.items():
        path = directory / name
        if not path.is_file():
            continue
        if name != "coefficients.json":
            return Found(read(path).spec, f"{said} ({path})")
        return Found(_answer(path), f"{said} ({path})", scaled=True)
    below = [found.parent for name in _RUNS for found in directory.glob(f"*/{name}")]
    if below:
        newest = max(below, key=lambda run: run.stat().st_mtime)
        count = f"{len(below)} runs" if len(below) > 1 else "a run"
        raise ValueError(f"{directory} holds {count} and is none: did you mean {newest}?")
    raise ValueError(
        f"{directory} holds none of {', '.join(_RUNS)}: give a run that has finished, a spec file, "
        "a family's member such as RUN/family/phi-1.json, or a family such as efficientnet-b0"
    )


def _answer(path: Path) -> ArchSpec:
    """The network that stands for a scaling search's answer."""
    try:
        facts = json.loads(path.read_text("utf-8"))
        return ArchSpec.from_json(json.dumps(facts["point"]["spec"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} names no network: {error}") from None
