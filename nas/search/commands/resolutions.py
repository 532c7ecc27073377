"""At how many pixels the command's networks are searched, and its parent is made ready."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from nas.costing import COSTS
from nas.objective import Objective
from nas.search.rivals import USUAL
from nas.space import Space, highest, sides_about, starts, to_raise

if TYPE_CHECKING:
    from training.transfer.parent import Parent


def resolutions(
    args: argparse.Namespace,
    named: Space,
    parent: Parent | None,
    settings: Mapping[str, Any],
    budget: float,
) -> Sequence[int]:
    """The pixels that networks may have, by --resolution or by default; ``settings`` are those of
    a run that is gone on with."""
    from training.transfer.options import at_home

    usual = (named.template.resolution,)
    if args.resolution:
        return tuple(args.resolution)
    if settings:
        return settings.get("resolutions") or usual
    if parent is None or parent.own or args.cost != "macs":
        return usual
    spec = _body(parent.spec)
    found = sides_about(spec, budget)
    whole = highest(spec, found, budget)
    home = [side for side in found if at_home([side], args.device)]
    if not home or (whole is not None and whole.resolution not in home):
        return usual
    said = ", ".join(map(str, home))
    print(f"resolution is searched: {said} pixels; --resolution for others", file=sys.stderr)
    return home


def within(spec: ArchSpec, named: Space, budget: float) -> ArchSpec:
    """``spec`` at the highest resolution of the space that the budget allows, or at its lowest."""
    sides = named.resolutions or (named.template.resolution,)
    found = highest(_body(spec), sides, budget)
    return replace(spec, resolution=min(sides) if found is None else found.resolution)


def _body(spec: ArchSpec) -> ArchSpec:
    """What children have of it, whose classifier is of the classes of their own pictures."""
    return replace(spec, classes=1)


def known_members(
    searched: Space, parent: Parent | None, kind: str, aim: Objective
) -> list[ArchSpec]:
    """The networks of the space that are the parent, scaled or not (``nas.space.starts``); none
    where all of the space are parts of it, and none need be near."""
    if parent is None or (parent.own and searched.nearest(parent.spec) is None):
        return []
    return starts(searched, parent.spec, _affordable(kind, aim))


def raised(searched: Space, kind: str, aim: Objective) -> ArchSpec:
    """The network that --init own trains first (``nas.space.to_raise``)."""
    known = [replace(family(name), classes=searched.template.classes) for name in USUAL]
    return to_raise(searched, known, _affordable(kind, aim))


def _affordable(kind: str, aim: Objective) -> Callable[[ArchSpec], bool]:
    """Of a ``kind`` of cost that is measured, nothing is known to be affordable."""

    def affordable(spec: ArchSpec) -> bool:
        return kind in COSTS and getattr(cost(spec), kind) <= aim.high * aim.budget

    return affordable
