"""Whether accuracies of several runs can be compared: what they were measured on, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nas.costing import LATENCY
from trials.caution import Caution

UNTOLD = "not told"


class Entrant(NamedTuple):
    """A run of the comparison: the letter that it goes by, its directory's name, its settings."""

    letter: str
    name: str
    settings: Mapping[str, Any]


@contextmanager
def reading(place: Path) -> Iterator[None]:
    """A block whose ValueErrors say which run they are of."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def pictures(settings: Mapping[str, Any]) -> str:
    """Which, how many of them, in words; ``UNTOLD`` of a search that was given a function."""
    data = settings.get("data")
    if not data:
        return UNTOLD
    return (
        f"{data['name']} ({data['digest']}), {data['train']} for training and "
        f"{data['validation']} for validation"
    )


def _recipe(settings: Mapping[str, Any]) -> str:
    return str((settings.get("recipe") or {}).get("key", UNTOLD))


def _weights(settings: Mapping[str, Any]) -> str:
    parent = settings.get("init")
    return f"{parent['name']} ({parent['digest']})" if parent else "random"


def _cost(settings: Mapping[str, Any]) -> str:
    kind, told = str(settings.get("cost")), settings.get("latency")
    if kind != LATENCY or not told:
        return kind
    where = told["measured_on"]
    return f"{kind} on " + ", ".join(f"{name} {where[name]}" for name in sorted(where))


ASPECTS = {
    "pictures": pictures,
    "proxy recipes": _recipe,
    "weights to start from": _weights,
    "kinds of cost": _cost,
}


def apart(entrants: Sequence[Entrant]) -> list[str]:
    """Of each aspect in which they differ, what is whose; empty where they are alike."""
    found = []
    for name, told in ASPECTS.items():
        groups: dict[str, list[str]] = {}
        for one in entrants:
            groups.setdefault(told(one.settings), []).append(one.letter)
        if len(groups) > 1:
            each = "; ".join(f"{', '.join(own)}: {value}" for value, own in groups.items())
            found.append(f"their {name} differ ({each})")
    return found


def warnings(entrants: Sequence[Entrant]) -> list[Caution]:
    """What must be read before anything is compared."""
    if differing := apart(entrants):
        return [
            Caution(
                "alike",
                f"These accuracies are not comparable: {', and '.join(differing)}.",
                "compare runs of the same pictures, recipe and cost, or train what they found "
                "alike: python -m training --spec RUN",
            )
        ]
    if all(pictures(one.settings) == UNTOLD for one in entrants):
        return [
            Caution(
                "alike",
                "What these runs were trained on is not told: whether their accuracies can be "
                "compared, only who ran them knows.",
                "give the command lines, or settings with data and recipe, to runs that are to be "
                "compared",
            )
        ]
    return []
