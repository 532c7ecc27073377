"""COCO's outlines and findings, by pycocotools (extra ``detect``)."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from training.scenes.scene import IGNORED, Marked, Scene


def check_installed() -> None:
    """Raises ValueError where pycocotools are missing."""
    if find_spec("pycocotools") is None:
        raise ValueError("this takes pycocotools: pip install 'evenscale[detect]'")


def covered(scene: Scene) -> npt.NDArray[np.uint8]:
    """The label of each pixel (height, width), 0 where there is no object; of objects that overlap
    the smaller one's, of crowds ``IGNORED``.

    Raises ValueError for an outline that is neither polygons nor run lengths.
    """
    width, height = scene.size
    found = np.zeros((height, width), np.uint8)
    objects = sorted(scene.objects, key=lambda one: (not one.crowd, -one.area))
    for one in objects:
        found[_inside(scene, one)] = IGNORED if one.crowd else one.label
    return found


def _inside(scene: Scene, one: Marked) -> npt.NDArray[np.bool_]:
    from pycocotools import mask as coder

    width, height = scene.size
    given: Any = one.outline
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # numpy's, of its arrays
            if isinstance(given, list):
                given = coder.merge(coder.frPyObjects(given, height, width))
            elif isinstance(given["counts"], list):
                given = coder.frPyObjects(given, height, width)
            inside: npt.NDArray[np.bool_] = coder.decode(given).astype(bool)
    except Exception as error:  # whatever its C code makes of it
        raise ValueError(f"an outline of {scene.path} is neither polygons nor run lengths "
                         f"({error!r:.80}): mend it or take it out") from None  # fmt: skip
    if inside.shape != (height, width):
        raise ValueError(f"an outline of {scene.path} is of {inside.shape[1]}x{inside.shape[0]} "
                         f"pixels, the picture of {width}x{height}: mend it")  # fmt: skip
    return inside
