"""A folder of pictures with annotations in COCO's format (https://cocodataset.org/#format-data).

Each JSON file is a part by its own name or its folder's (``instances_train2017.json``,
``valid/_annotations.coco.json``), for training where the name says nothing. Pictures lie beside it,
in the folder above, or in a folder of either that is called ``images`` or as the part is. What is
wrong in it is said once, before anything is trained.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from training.pictures.names import said_part
from training.pictures.splits import Subset
from training.scenes.scene import BACKGROUND, Marked, Scene, Scenes

_SLACK = 1.0  # pixels by which a box may leave its picture: annotators' rounding, cut off
_PICTURES = ("images", "jpegimages")  # folders of all parts
_HELD_OUT = (Subset.TEST, Subset.VALIDATION)


def read_coco(root: Path) -> Scenes:
    """The pictures and objects below ``root``; measured is its test part, else its validation part.

    Raises ValueError, naming the file, for what cannot be trained on.
    """
    files = annotation_files(root)
    loaded = {part: _loaded(path) for part, path in files.items()}
    names = _classes(files, loaded)
    number = {key: place for place, key in enumerate(sorted(names), 1)}
    read = {
        part: _Reader(root, path, part, number).scenes(loaded[part]) for part, path in files.items()
    }
    held = next((part for part in _HELD_OUT if part in read), None)
    return Scenes(
        name=root.name,
        classes=(BACKGROUND, *(names[key] for key in sorted(names))),
        train=read[Subset.TRAIN][0],
        held_out=() if held is None else read[held][0],
        part="none" if held is None else held.name.lower(),
        left_out=sum(left for _, left in read.values()),
    )


def annotation_files(root: Path) -> dict[Subset, Path]:
    """The file of each part. Raises ValueError where there is none for training, or two of one."""
    found = sorted(path for pattern in ("*.json", "*/*.json") for path in root.glob(pattern))
    # COCO's own archive has captions and key points beside them.
    found = [path for path in found if path.stem.startswith("instances")] or found
    files: dict[Subset, Path] = {}
    for path in found:
        part = part_of(path, root)
        if part in files:
            raise ValueError(
                f"{files[part]} and {path} are both annotations for {part.name.lower()}: keep one, "
                "or call them by their parts, such as instances_train.json, instances_val.json"
            )
        files[part] = path
    if Subset.TRAIN not in files:
        raise ValueError(
            f"{str(root)!r:.200} holds no annotations to train on: give a folder with a JSON file "
            "in COCO's format, such as annotations/instances_train.json"
        )
    return files


def part_of(path: Path, root: Path) -> Subset:
    """By the words of the file's name, then by its folder's; training where neither says it."""
    names = [path.stem] if path.parent == root else [path.stem, path.parent.name]
    found = (part for name in names if (part := said_part(name)) is not None)
    return next(found, Subset.TRAIN)


def _loaded(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON ({error})") from None
    keys = ("images", "annotations", "categories")
    lists = isinstance(found, dict) and all(isinstance(found.get(key), list) for key in keys)
    if not lists or not all(isinstance(one, dict) for key in keys for one in found[key]):
        raise ValueError(f"{path} is no file in COCO's format: it has the lists {', '.join(keys)}")
    return dict(found)


def _classes(files: Mapping[Subset, Path], loaded: Mapping[Subset, Any]) -> dict[int, str]:
    """Names by COCO's ids: those of the training part, with which the others must agree."""
    try:
        every = {
            part: {int(one["id"]): str(one["name"]) for one in facts["categories"]}
            for part, facts in loaded.items()
        }
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"a category in {', '.join(map(str, files.values()))} lacks a whole id or a name"
        ) from None
    names = every[Subset.TRAIN]
    for part, own in every.items():
        if others := [key for key in own if own[key] != names.get(key)]:
            raise ValueError(
                f"category {others[0]} is {own[others[0]]!r:.60} in {files[part]} and "
                f"{names.get(others[0])!r:.60} in {files[Subset.TRAIN]}: let them agree"
            )
    if not names:
        raise ValueError(f"{files[Subset.TRAIN]} has no categories: add those of its objects")
    return names


class _Reader:
    """Of one annotation file."""

    def __init__(self, root: Path, path: Path, part: Subset, number: Mapping[int, int]) -> None:
        self._path, self._number = path, number
        above = (path.parent, path.parent.parent, root)
        bases = [folder for folder in dict.fromkeys(above) if folder.is_relative_to(root)]
        self._folders = [*bases, *(one for base in bases for one in _below(base, part))]

    def scenes(self, facts: Mapping[str, Any]) -> tuple[tuple[Scene, ...], int]:
        """Every picture with its objects; how many boxes have no area."""
        try:
            pictures: dict[Any, tuple[Scene, list[Marked]]] = {
                one["id"]: (self._picture(one), []) for one in facts["images"]
            }
            of = {key: scene.size for key, (scene, _) in pictures.items()}
            left = 0
            for number, one in enumerate(facts["annotations"]):
                what = f"{self._path}: annotation {one.get('id', number)}"
                if one["image_id"] not in of:
                    raise ValueError(
                        f"{what} is of picture {one['image_id']!r:.40}, which is not among its "
                        "images: add the picture, or take the annotation out"
                    )
                marked = self._marked(what, one, of[one["image_id"]])
                if marked is None:
                    left += 1
                else:
                    pictures[one["image_id"]][1].append(marked)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self._path} is no file in COCO's format ({error!r:.80})") from None
        return tuple(
            Scene(scene.path, scene.size, tuple(objects)) for scene, objects in pictures.values()
        ), left

    def _picture(self, one: Mapping[str, Any]) -> Scene:
        name = str(one["file_name"])
        path = next((f / name for f in self._folders if (f / name).is_file()), None)
        if path is None:
            raise ValueError(
                f"{self._path}: picture {name!r:.120} is in none of {self._places()}: bring it "
                "there, or take it and its annotations out"
            )
        size = picture_size(path)
        said = one.get("width", size[0]), one.get("height", size[1])
        if said != size:
            raise ValueError(
                f"{self._path}: picture {name!r:.120} is {said[0]}x{said[1]} there and "
                f"{size[0]}x{size[1]} in {path}: its boxes would lie elsewhere, bring the right one"
            )
        return Scene(path, size)

    def _marked(self, what: str, one: Mapping[str, Any], size: tuple[int, int]) -> Marked | None:
        """None for a box without an area."""
        label = self._number.get(one["category_id"])
        if label is None:
            raise ValueError(
                f"{what} is of category {one['category_id']!r:.40}, which is not among its "
                f"categories ({', '.join(map(str, sorted(self._number)))[:80]}): add it, or take "
                "the annotation out"
            )
        box = one["bbox"]
        numbers = isinstance(box, list) and all(isinstance(v, int | float) for v in box)
        if not numbers or len(box) != 4 or not all(map(math.isfinite, box)):
            raise ValueError(
                f"{what} has the box {box!r:.80}: it is left, top, width and height in pixels"
            )
        left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
        if min(left, top) < -_SLACK or right > size[0] + _SLACK or bottom > size[1] + _SLACK:
            raise ValueError(
                f"{what} has the box {box} outside of its picture of {size[0]}x{size[1]}: boxes "
                "are left, top, width and height in pixels, mend it or take it out"
            )
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, size[0]), min(bottom, size[1])
        if not (right > left and bottom > top):
            return None
        area = float(one.get("area", (right - left) * (bottom - top)))
        crowd, outline = bool(one.get("iscrowd", 0)), one.get("segmentation") or None
        return Marked((left, top, right, bottom), label, crowd, outline, area)

    def _places(self) -> str:
        return ", ".join(map(str, self._folders))[:200]


def _below(base: Path, part: Subset) -> Iterator[Path]:
    """The folders in which a part's pictures may lie."""
    for one in sorted(one for one in base.iterdir() if one.is_dir()):
        if one.name.lower() in _PICTURES:
            yield from (one, *_below(one, part))
        elif said_part(one.name) == part:
            yield one


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height as stored. Raises ValueError where it is no picture."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read ({error}): replace it, or take it out") from None
