"""run.json: which search a run directory belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.engine import make_url

from trials.record import installed_versions
from trials.store.disk import replace_text

SCHEMA = 1
FILE_NAME = "run.json"
FIRST = "parent-training"  # in a run's directory, while its parent is trained and no run is there

# Of a run's settings, what may be another when it is resumed or joined: how long to go on, where
# the same pictures lie now, what is only said and follows from the rest, and the inherited weights'
# bits, which ``training.transfer.ready.check_began_with`` compares. Everything else says which
# search it is; the pictures' size is in their digest, and older runs do not tell it apart.
MAY_CHANGE = frozenset(
    {
        *("trials", "minutes", "region", "repeats", "source", "data size", "class_counts"),
        *("all_counts", "varied", "options", "init weights"),
    }
)

Direction = Literal["maximize", "minimize"]
_DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True)
class Header:
    """What identifies a run.

    `settings` are the caller's, with at least "kind" (str) and "seed" (int); `storage` is an
    Optuna URL without its password, None for the directory's own journal; `versions` are those
    of the creation, each evaluation carries its own.
    """

    settings: dict[str, Any]
    directions: list[Direction]
    name: str
    storage: str | None
    versions: dict[str, str]
    created: str
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dict, the inverse of `header_from_dict`."""
        return asdict(self)


def new_header(
    settings: dict[str, Any], directions: Sequence[Direction], name: str, storage: str | None
) -> Header:
    """Check and normalise. Raises ValueError for settings not in JSON or without kind or seed."""
    try:
        plain = json.loads(json.dumps(settings, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"settings must be plain JSON ({error}), got {settings!r}") from None
    if not isinstance(plain.get("kind"), str) or type(plain.get("seed")) is not int:
        raise ValueError(f"settings need a 'kind' (str) and a 'seed' (int), got {plain!r}")
    if not directions or any(item not in _DIRECTIONS for item in directions):
        raise ValueError(f"directions must be 'maximize' or 'minimize', got {list(directions)!r}")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Header(plain, list(directions), name, storage, installed_versions(), created)


def header_from_dict(data: object, source: str) -> Header:
    """Raises ValueError, naming `source`, for what this version did not write."""
    if not isinstance(data, dict):
        raise ValueError(f"{source} is not a run's description: no JSON object")
    if data.get("schema") != SCHEMA:
        raise ValueError(
            f"{source} has schema {data.get('schema')!r:.60}, this version reads {SCHEMA}: "
            "use the version that wrote it"
        )
    try:
        header = Header(**data)
        _check(header)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source} is not a run's description: {error}") from None
    return header


def _check(header: Header) -> None:
    settings, directions, storage = header.settings, header.directions, header.storage
    if not isinstance(settings, dict) or not isinstance(settings.get("kind"), str):
        raise ValueError("its settings have no 'kind'")
    if type(settings.get("seed")) is not int:
        raise ValueError("its settings have no whole 'seed'")
    if not isinstance(directions, list) or not directions or set(directions) - set(_DIRECTIONS):
        raise ValueError(f"its directions are {directions!r:.60}")
    if not isinstance(header.name, str) or not isinstance(storage, str | None):
        raise ValueError("its name and storage must be texts")
    if storage is not None:
        try:
            make_url(storage)
        except Exception as error:  # SQLAlchemy's own kinds, and what int() says of a port
            raise ValueError(f"its storage {storage!r:.60} is no URL") from error


def check_free(run_dir: Path) -> None:
    """Raise ValueError where a run is there."""
    if (run_dir / FILE_NAME).exists():
        raise ValueError(f"{run_dir} already holds a run: pass --resume, or another --out")


def is_unbegun(run_dir: Path) -> bool:
    """Whether nothing is there yet but the training that comes first."""
    return (run_dir / FIRST).is_dir() and not (run_dir / FILE_NAME).exists()


def read_header(run_dir: Path) -> Header:
    """What DIR/run.json says. Raises ValueError where there is no run."""
    path = run_dir / FILE_NAME
    if not path.is_file():
        raise ValueError(f"{run_dir} holds no run ({FILE_NAME} is missing): {_remedy(run_dir)}")
    try:
        data = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}): restore it from a copy") from None
    return header_from_dict(data, str(path))


def _remedy(directory: Path) -> str:
    """What to give in place of a directory that is no run: the newest run below it."""
    try:
        below = [found.parent for found in directory.glob(f"*/{FILE_NAME}")]
    except OSError:
        below = []
    if not below:
        return "check the path, or create one"
    return f"did you mean {max(below, key=lambda run: run.stat().st_mtime)}?"


def write_header(run_dir: Path, header: Header) -> None:
    """All or nothing, and on the disk when this returns; others may write and read meanwhile."""
    replace_text(run_dir / FILE_NAME, json.dumps(header.to_dict(), indent=2))


def check_same_search(old: Header, new: Header, where: str) -> Header:
    """The header to go on with: the old one with the settings that may change taken from the new.

    Raises ValueError naming the first setting, other than `MAY_CHANGE`, that differs, and both
    values: of pictures it is their digest.
    """
    before, now = (
        {"settings": one.settings, "directions": one.directions, "storage": one.storage}
        for one in (old, new)
    )
    for path, was, asked in _differences(before, now):
        key = path.removeprefix("settings ")
        if not any(f"{key} ".startswith(f"{one} ") for one in MAY_CHANGE):
            raise ValueError(
                f"{where} is the run of another search: its {key} is {_brief(was)}, not "
                f"{_brief(asked)}; repeat its settings or choose another --out"
            )
    return replace(old, settings=new.settings)


def _differences(before: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(keys, value before, value now) of whatever differs, at the innermost key of objects.

    A key that is missing stands for None: what a later version asks for, it must leave alone.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        # What identifies an object tells most, and a short value more than a long one.
        first = {"kind": 0, "seed": 1, "digest": 2, "key": 2}
        keys = {*before, *now}
        for key in sorted(keys, key=lambda key: (first.get(key, 3), len(repr(now.get(key))), key)):
            yield from _differences(before.get(key), now.get(key), f"{path} {key}".strip())
    elif before != now:
        yield path, before, now


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
