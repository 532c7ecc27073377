"""Folders of drawn pictures with their annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 96
# Left, top, side and class of each square: red is 1, blue is 2.
PLACES = ([(8, 12, 40, 1)], [(44, 40, 44, 2)], [(4, 50, 40, 2), (52, 6, 38, 1)],
          [(30, 30, 44, 1)])  # fmt: skip
_COLOURS = {1: (255, 0, 0), 2: (0, 0, 255)}
Facts = dict[str, Any]


def draw(folder: Path, number: int) -> Path:
    """The picture of that number, grey with noise and its squares."""
    rng = np.random.default_rng(number)
    pixels = (128 + 4 * rng.standard_normal((SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8)
    for left, top, side, label in PLACES[number]:
        pixels[top : top + side, left : left + side] = _COLOURS[label]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number}.png"
    Image.fromarray(pixels).save(path)
    return path


def facts(numbers: tuple[int, ...]) -> Facts:
    """COCO's annotations of these pictures, categories 7 (red) and 9 (blue), outlines included."""
    squares = [(number, *one) for number in numbers for one in PLACES[number]]
    return {
        "images": [
            {"id": n, "file_name": f"{n}.png", "width": SIDE, "height": SIDE} for n in numbers
        ],
        "categories": [{"id": 7, "name": "red"}, {"id": 9, "name": "blue"}],
        "annotations": [
            {
                "id": key, "image_id": number, "category_id": {1: 7, 2: 9}[label], "iscrowd": 0,
                "bbox": [left, top, side, side], "area": side**2,
                "segmentation": [[left, top, left + side, top, left + side, top + side, left,
                                  top + side]],
            }
            for key, (number, left, top, side, label) in enumerate(squares)
        ],
    }  # fmt: skip


def coco(root: Path, held_out: bool = True) -> Path:
    """Pictures and annotations as COCO's archive has them; what is held out is what is learned."""
    parts = ("train", "val") if held_out else ("train",)
    for part in parts:
        for number in range(len(PLACES)):
            draw(root / f"{part}2017", number)
        write(root, part, facts(tuple(range(len(PLACES)))))
    return root


def write(root: Path, part: str, found: Facts) -> None:
    """An annotation file."""
    path = root / "annotations" / f"instances_{part}2017.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))


def masks(root: Path) -> Path:
    """Pictures with masks, in train/ and val/, and the classes' names."""
    for part in ("train", "val"):
        for number, places in enumerate(PLACES):
            draw(root / part / "images", number)
            mask = np.zeros((SIDE, SIDE), np.uint8)
            for left, top, side, label in places:
                mask[top : top + side, left : left + side] = label
            folder = root / part / "masks"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(folder / f"{number}.png")
    (root / "classes.txt").write_text("ground\nred\nblue\n")
    return root
