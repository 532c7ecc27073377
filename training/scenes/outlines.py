"""COCO's outlines and findings, by pycocotools (extra ``detect``)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from training.scenes.scene import IGNORED, Marked, Scene


def check_installed() -> None:
    """Raises ValueError where pycocotools are missing."""
    if find_spec("pycocotools") is None:
        raise ValueError("this takes pycocotools: pip install 'evenscale[detect]'")


def check_outlined(scenes: Sequence[Scene]) -> None:
    """Raises ValueError for an object without an outline, or with one that cannot be read; or
    where pycocotools are missing."""
    check_installed()
    for scene in scenes:
        for one in scene.objects:
            coded(scene, one)


def covered(scene: Scene) -> npt.NDArray[np.uint8]:
    """The label of each pixel (height, width), 0 where there is no object; of objects that overlap
    the smaller one's, of crowds ``IGNORED``.

    Raises ValueError as ``coded`` does.
    """
    width, height = scene.size
    found = np.zeros((height, width), np.uint8)
    objects = sorted(scene.objects, key=lambda one: (not one.crowd, -one.area))
    for one in objects:
        found[inside(scene, one)] = IGNORED if one.crowd else one.label
    return found


def inside(scene: Scene, one: Marked) -> npt.NDArray[np.bool_]:
    """Which pixels of the picture (height, width) are the object's. Raises as ``coded`` does."""
    from pycocotools import mask as coder

    with _quiet():
        found: npt.NDArray[np.bool_] = coder.decode(coded(scene, one)).astype(bool)
    return found


def coded(scene: Scene, one: Marked) -> dict[str, Any]:
    """The object's pixels as COCO's compressed run lengths.

    Raises ValueError where it has no outline, one of another size than its picture, or one that is
    neither polygons nor run lengths.
    """
    width, height = scene.size
    if one.outline is None:
        raise ValueError(f"an object of {scene.path} has no segmentation in the annotations: "
                         "outline it, take it out, or train a detector of boxes")  # fmt: skip
    try:
        found = _as_coco(one.outline, width, height)
    except Exception as error:  # whatever its C code makes of it
        raise ValueError(f"an outline of {scene.path} is neither polygons nor run lengths "
                         f"({error!r:.80}): mend it or take it out") from None  # fmt: skip
    if tuple(found["size"]) != (height, width):
        raise ValueError(f"an outline of {scene.path} is of {found['size'][1]}x{found['size'][0]} "
                         f"pixels, the picture of {width}x{height}: mend it")  # fmt: skip
    return found


def coded_mask(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's compressed run lengths of pixels (height, width)."""
    from pycocotools import mask as coder

    with _quiet():
        found: dict[str, Any] = coder.encode(np.asfortranarray(mask, np.uint8))
    return found


def _as_coco(given: Any, width: int, height: int) -> dict[str, Any]:
    from pycocotools import mask as coder

    with _quiet():
        if isinstance(given, list):
            return dict(coder.merge(coder.frPyObjects(given, height, width)))
        if isinstance(given["counts"], list):
            if (pixels := sum(given["counts"])) != math.prod(given["size"]):
                raise ValueError(f"runs of {pixels} pixels of {given['size']}")  # it reads on
            given = coder.frPyObjects(given, height, width)
        coder.decode(given)
        return dict(given)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's, of pycocotools' arrays
        yield
