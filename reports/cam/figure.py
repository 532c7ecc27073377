"""The grid of pictures and maps: a row a picture, a column a network."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from reports.cam.looked import Looked
from reports.cam.maps import enlarged
from reports.figures import save

CELL = 2.1  # inches, a picture with its title
SHOWN = 28  # letters of a name; the page has all of them
COLOURS = colormaps["turbo"]
_SHARE = 0.5  # of the map in what is shown


def draw(path: Path, pictures: Sequence[str], looked: Sequence[Looked]) -> None:
    """Write the grid; the first column is the pictures as the largest network takes them."""
    shape = len(pictures), 1 + len(looked)
    size = CELL * shape[1], CELL * 1.12 * shape[0]
    figure, grid = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
    largest = max(looked, key=lambda one: one.pixels.shape[-1])
    for row, name in enumerate(pictures):
        _show(grid[row, 0], _shown(largest.pixels[row]), _end(name))
    for column, one in enumerate(looked, 1):
        heats = enlarged(one.maps, one.pixels.shape[-1]).numpy()
        for row, said in enumerate(one.told()):
            title = f"{_end(one.name)}\n{_start(said)}" if row == 0 else _start(said)
            _show(grid[row, column], blended(_shown(one.pixels[row]), heats[row]), title)
    with warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes; the page has the names.
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        save(figure, path)


def blended(picture: Any, heat: Any) -> Any:
    """A picture (side, side, 3) in 0 to 1 under a map (side, side) in 0 to 1, blue to red."""
    return (1 - _SHARE) * picture + _SHARE * COLOURS(heat)[..., :3]


def _shown(pixels: Any) -> Any:
    """uint8 (3, side, side) as matplotlib takes it."""
    return np.asarray(pixels).transpose(1, 2, 0) / 255


def _show(axes: Axes, picture: Any, title: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, fontsize=7, parse_math=False)


def _start(text: str) -> str:
    text = _plain(text)
    if len(text) <= SHOWN:
        return text
    head, comma, share = text.rpartition(",")  # of a class's name and its share the share stays
    return f"{head[: SHOWN - len(share) - 2]}…{comma}{share}"


def _end(text: str) -> str:
    text = _plain(text)
    return text if len(text) <= SHOWN else f"…{text[1 - SHOWN :]}"


def _plain(text: str) -> str:
    """Without what has no shape: names of files and of classes may hold anything."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
