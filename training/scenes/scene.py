"""Pictures with objects marked in them, before any is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

IGNORED = 255
"""In a mask: pixels of no class, which are neither learned nor measured (Pascal VOC's)."""
BACKGROUND = "background"
_SHARE = 0.2  # held out, where the folder holds nothing out itself


@dataclass(frozen=True)
class Marked:
    """One object.

    box      left, top, right and bottom in pixels of the picture as it is stored
    label    from 1
    crowd    several that were not told apart: not learned, and no finding in it is wrong
    outline  COCO's ``segmentation``: polygons or run lengths; None where there is none
    area     pixels, as COCO has them
    """

    box: tuple[float, float, float, float]
    label: int
    crowd: bool = False
    outline: Any = None
    area: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A picture, ``size`` (width, height), with its objects; or with ``mask``, a PNG of class
    indices."""

    path: Path
    size: tuple[int, int]
    objects: tuple[Marked, ...] = ()
    mask: Path | None = None


@dataclass(frozen=True)
class Scenes:
    """A folder of them.

    classes   names by label; of objects the first is the background
    train     what is learned, and ``held_out`` what is measured: ``part`` of the folder
    left_out  boxes without an area
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[Scene, ...]
    held_out: tuple[Scene, ...]
    part: str
    left_out: int = 0

    def summary(self) -> str:
        """In one line."""
        objects = sum(len(scene.objects) for scene in (*self.train, *self.held_out))
        marked = f", {objects:,} objects" if objects else ""
        left = f"; {self.left_out:,} boxes without an area left out" if self.left_out else ""
        return (
            f"{len(self.train):,} pictures to learn from, {len(self.held_out):,} held out "
            f"({self.part}){marked}, {len(self.classes):,} classes{left}"
        )


def divided(scenes: Scenes, seed: int) -> Scenes:
    """With a share of the pictures held out at random, where the folder holds out none itself.

    Raises ValueError where there are fewer than two.
    """
    if scenes.held_out:
        return scenes
    count = len(scenes.train)
    if count < 2:
        raise ValueError(f"{scenes.name!r:.80} has {count} picture(s): one at least is held out, "
                         "give two or more")  # fmt: skip
    order = np.random.default_rng(seed).permutation(count)
    held = max(1, round(_SHARE * count))

    def taken(places: Sequence[int]) -> tuple[Scene, ...]:
        return tuple(scenes.train[place] for place in sorted(places))

    return replace(
        scenes,
        train=taken(order[held:].tolist()),
        held_out=taken(order[:held].tolist()),
        part=f"{_SHARE:.0%} drawn by seed {seed}",
    )
