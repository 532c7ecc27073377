"""Pictures with a mask each: PNG files of class indices, or what COCO's outlines cover.

    DIR/images/a.jpg          DIR/images/train/a.jpg     DIR/train/images/a.jpg
    DIR/masks/a.png           DIR/masks/train/a.png      DIR/train/masks/a.png
    DIR/classes.txt           names, one a line, that of index 0 first; else they are numbers

255 in a mask is no class. A folder with annotations in COCO's format in place of masks has the
background as class 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.pictures.images import EXTENSIONS
from training.pictures.names import said_part
from training.pictures.splits import Subset
from training.scenes.coco import picture_size, read_coco
from training.scenes.outlines import check_outlined, covered
from training.scenes.scene import IGNORED, Scene, Scenes

CLASSES = "classes.txt"
_IMAGES, _MASKS = ("images", "jpegimages"), ("masks", "annotations", "labels", "segmentationclass")
Indices = npt.NDArray[np.uint8]


def read_masks(root: Path) -> Scenes:
    """The pictures and masks below ``root``; measured is its test part, else its validation part.

    Raises ValueError, naming the file, for what cannot be trained on.
    """
    pairs = _pairs(root)
    if not pairs:
        found = read_coco(root)
        check_outlined((*found.train, *found.held_out))
        return found
    scenes = {part: tuple(_scenes(*pair)) for part, pair in pairs.items()}
    if not scenes.get(Subset.TRAIN):
        raise ValueError(f"{str(root)!r:.200} has no pictures with masks to train on: put pictures "
                         "in images/ and masks of the same names in masks/")  # fmt: skip
    held = next((part for part in (Subset.TEST, Subset.VALIDATION) if part in scenes), None)
    return Scenes(
        name=root.name,
        classes=_classes(root, [scene for some in scenes.values() for scene in some]),
        train=scenes[Subset.TRAIN],
        held_out=() if held is None else scenes[held],
        part="none" if held is None else held.name.lower(),
    )


def mask_of(scene: Scene) -> Indices:
    """Class indices of its pixels, (height, width). Raises ValueError where they cannot be read."""
    if scene.mask is None:
        return covered(scene)
    return _indices(scene.mask)


def _pairs(root: Path) -> dict[Subset, tuple[Path, Path]]:
    """Of each part the folder of pictures and that of masks."""
    images, masks = _folder(root, _IMAGES), _folder(root, _MASKS)
    if images and masks:
        parts = _parts(images)
        if not parts:
            return {Subset.TRAIN: (images, masks)} if _pngs(masks) else {}
        others = _parts(masks)
        if missing := [path for part, path in parts.items() if part not in others]:
            raise ValueError(f"{missing[0]} has pictures and {masks} no folder of its name: add "
                             "their masks there")  # fmt: skip
        return {part: (path, others[part]) for part, path in parts.items()}
    found = {}
    for part, path in _parts(root).items():
        images, masks = _folder(path, _IMAGES), _folder(path, _MASKS)
        if images and masks:
            found[part] = images, masks
    return found


def _folder(root: Path, names: tuple[str, ...]) -> Path | None:
    below = {one.name.lower(): one for one in root.iterdir() if one.is_dir()}
    return next((below[name] for name in names if name in below), None)


def _parts(root: Path) -> dict[Subset, Path]:
    """Its folders that are called as parts are."""
    below = sorted(one for one in root.iterdir() if one.is_dir())
    return {part: one for one in below if (part := said_part(one.name)) is not None}


def _pngs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.png") if not path.name.startswith("."))


def _scenes(images: Path, masks: Path) -> list[Scene]:
    pictures = {
        path.stem: path for path in sorted(images.iterdir())
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
    }  # fmt: skip
    own = {path.stem: path for path in _pngs(masks)}
    if lonely := sorted(pictures.keys() ^ own.keys()):
        name = lonely[0]
        there, lacking = (pictures[name], masks) if name in pictures else (own[name], images)
        raise ValueError(f"{there} has no counterpart in {lacking}: add {name!r:.80} there, or "
                         "take it out")  # fmt: skip
    return [_scene(path, own[name]) for name, path in pictures.items()]


def _scene(picture: Path, mask: Path) -> Scene:
    size, other = picture_size(picture), picture_size(mask)
    if size != other:
        raise ValueError(
            f"{mask} is {other[0]}x{other[1]} and its picture {picture} {size[0]}x{size[1]}: a "
            "mask has a pixel for each of its picture's"
        )
    return Scene(picture, size, mask=mask)


def _indices(path: Path) -> Indices:
    with Image.open(path) as image:
        if image.mode not in ("P", "L", "1"):
            raise ValueError(
                f"{path} has pixels of the kind {image.mode} and no class indices: save masks "
                "as PNG with one channel of 8 bits, or a palette"
            )
        return np.array(image.convert("L") if image.mode == "1" else image, np.uint8)


def _classes(root: Path, scenes: list[Scene]) -> tuple[str, ...]:
    """By ``classes.txt``, in which every index must be; else numbers up to the greatest."""
    path = root / CLASSES
    names = tuple(filter(None, path.read_text("utf-8-sig").split("\n"))) if path.is_file() else ()
    most = 1
    for scene in scenes:
        found = mask_of(scene)
        known = found[found != IGNORED]
        greatest = int(known.max(initial=0))
        if names and greatest >= len(names):
            raise ValueError(
                f"{scene.mask} has the class {greatest} and {path} {len(names)} names, from 0: "
                f"add names, or mark pixels of no class with {IGNORED}"
            )
        most = max(most, greatest)
    return names or tuple(map(str, range(most + 1)))
