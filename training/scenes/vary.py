"""Pictures and what is marked in them, as tensors, varied together by torchvision's transforms.

Augmentation of detectors is torchvision's reference for SSD (``presets.DetectionPresetTrain``),
that of segmenters Inception's crop and a mirror.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from training.loop.feeds.pictures import seeded
from training.scenes.masks import mask_of
from training.scenes.outlines import inside
from training.scenes.scene import Marked, Scene

Sample = tuple[Tensor, Any]


def for_detectors(augment: str, mean: Sequence[float]) -> v2.Transform:
    """Of a picture and its target; ``mean`` of pixels in 0..1 fills what a picture leaves free."""
    grey = [round(255 * value) for value in mean]
    steps: list[v2.Transform] = []
    if augment == "strong":
        fill = {tv_tensors.Image: grey, "others": 0}
        steps += [v2.RandomPhotometricDistort(), v2.RandomZoomOut(fill), v2.RandomIoUCrop()]
    if augment != "none":
        steps += [v2.RandomHorizontalFlip(), v2.SanitizeBoundingBoxes()]
    return v2.Compose([*steps, v2.ToDtype(torch.float32, scale=True), v2.ToPureTensor()])


def for_segmenters(augment: str, side: int) -> v2.Transform:
    """Of a picture and its mask: both become squares of ``side`` pixels."""
    size = (side, side)
    steps: list[v2.Transform] = [v2.Resize(size, antialias=True)]
    if augment != "none":
        crop = v2.RandomResizedCrop(size, (0.25, 1.0), antialias=True)
        steps = [crop, v2.RandomHorizontalFlip()]
    if augment == "strong":
        steps.append(v2.RandomPhotometricDistort())
    return v2.Compose([*steps, _typed(), v2.ToPureTensor()])


def _typed() -> v2.Transform:
    kinds = {tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}
    return v2.ToDtype(kinds, scale=True)


class Varied(Dataset[Sample]):
    """A picture, float (3, H, W) in 0 to 1, and its ``target``, of a place and a seed."""

    def __init__(
        self, scenes: Sequence[Scene], transform: v2.Transform, target: Callable[[Scene], Any]
    ) -> None:
        self._scenes, self._transform, self._target = scenes, transform, target

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, item: tuple[int, int]) -> Sample:
        place, seed = item
        scene = self._scenes[place]
        picture = tv_tensors.Image(pixels_of(scene.path))
        with seeded(seed):
            found: Sample = self._transform(picture, self._target(scene))
        return found


def pixels_of(path: Path) -> Tensor:
    """uint8 (3, H, W), as stored: annotations know nothing of EXIF's orientation.

    Raises ValueError where the file can no longer be read.
    """
    try:
        with Image.open(path) as image:
            array = np.array(image.convert("RGB"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}): replace it, or take it out") from None
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def classes_of(scene: Scene) -> tv_tensors.Mask:
    """Of each pixel (H, W), ``IGNORED`` where there is none: for segmenters."""
    return tv_tensors.Mask(torch.from_numpy(mask_of(scene)))


def boxes_of(scene: Scene) -> dict[str, Any]:
    """Of what is no crowd: boxes (n, 4) in pixels and labels (n,), for detectors."""
    learned = _learned(scene)
    boxes = torch.tensor([one.box for one in learned], dtype=torch.float32).reshape(-1, 4)
    width, height = scene.size
    return {
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),
        "labels": torch.tensor([one.label for one in learned], dtype=torch.int64),
    }


def outlines_of(scene: Scene) -> dict[str, Any]:
    """These and masks, uint8 (n, H, W): for detectors that draw them.

    Raises ValueError where an outline is missing or cannot be read.
    """
    width, height = scene.size
    masks = np.zeros((len(_learned(scene)), height, width), np.uint8)
    for mask, one in zip(masks, _learned(scene), strict=True):
        mask[:] = inside(scene, one)
    return boxes_of(scene) | {"masks": tv_tensors.Mask(torch.from_numpy(masks))}


def _learned(scene: Scene) -> list[Marked]:
    return [one for one in scene.objects if not one.crowd]
