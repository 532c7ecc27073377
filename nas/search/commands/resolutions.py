"""At how many pixels the command's networks are searched, and its parent is made ready."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from models.spec import ArchSpec
from nas.space import Space, highest, sides_about

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
    if parent is None or args.cost != "macs":
        return usual
    found = sides_about(parent.spec, budget)
    if not found or not at_home(found, args.device):
        return usual
    said = ", ".join(str(side) for side in found)
    print(f"resolution is searched: {said} pixels; --resolution for others", file=sys.stderr)
    return found


def within(spec: ArchSpec, named: Space, budget: float) -> ArchSpec:
    """``spec`` at the highest resolution of the space that the budget allows, or at its lowest."""
    sides = _pixels(named)
    return highest(spec, sides, budget) or replace(spec, resolution=min(sides))


def _pixels(named: Space) -> tuple[int, ...]:
    return named.resolutions or (named.template.resolution,)


def members(searched: Space, parent: Parent | None) -> list[ArchSpec]:
    """The space's networks that have the parent's stages; that with its resolution first."""
    if parent is None:
        return []
    made = [
        replace(searched.template, stages=parent.spec.stages, resolution=side)
        for side in sorted(_pixels(searched), key=lambda side: side != parent.spec.resolution)
    ]
    return [one for one in made if searched.contains(one)]
