"""How well objects are found and pixels named: COCO's average precision, mean intersection over
union."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.roi_heads import paste_masks_in_image

from models.deploy.heads import OUTLINING, Head
from training.scenes.masks import mask_of
from training.scenes.outlines import coded, coded_mask
from training.scenes.scene import IGNORED, Scene
from training.scenes.vary import pixels_of

_AT = 4  # pictures at once
_SURE = 0.5  # above which a pixel is of a mask, as in torchvision's documentation


@torch.no_grad()
def detected(
    model: nn.Module, head: Head, scenes: Sequence[Scene], device: torch.device
) -> dict[str, Any]:
    """COCO's measures of boxes by pycocotools: ``ap`` (mean over overlaps 0.5 to 0.95), ``ap50``,
    ``ap75``, and ``class_ap`` by name, all in 0 to 1; None where no picture has such an object.
    Where masks are drawn ``mask_ap``, ``mask_ap50`` … are theirs."""
    model.eval()
    findings: list[dict[str, Any]] = []
    for start in range(0, len(scenes), _AT):
        some = scenes[start : start + _AT]
        pictures = [pixels_of(scene.path).to(device) / 255 for scene in some]
        for number, found in enumerate(_found(model, pictures), start + 1):
            findings += _as_coco(number, found)
    measured = average_precision(scenes, head.classes, findings)
    if head.kind in OUTLINING:
        masks = average_precision(scenes, head.classes, findings, of="segm")
        measured |= {name.replace("ap", "mask_ap"): value for name, value in masks.items()}
    return measured


def _found(model: nn.Module, pictures: list[Tensor]) -> list[dict[str, Any]]:
    """What is found in each of them, ``outlines`` as run lengths where masks are drawn.

    torchvision lays all masks of a picture over all of its pixels, which takes gigabytes of a
    large photograph's; here they are laid one at a time.
    """
    if not isinstance(model, MaskRCNN):
        return list(model(pictures))
    with model.roi_heads.register_forward_hook(_keep_small):
        found: list[dict[str, Any]] = model(pictures)
    for one, picture in zip(found, pictures, strict=True):
        height, width = picture.shape[1:]
        pairs = zip(one.pop("small"), one["boxes"], strict=True)
        one["outlines"] = [_laid(mask[None], box[None], (height, width)) for mask, box in pairs]
    return found


def _keep_small(_: nn.Module, __: object, found: tuple[list[dict[str, Tensor]], Any]) -> None:
    for one in found[0]:
        one["small"] = one.pop("masks")


def _laid(mask: Tensor, box: Tensor, size: tuple[int, int]) -> dict[str, Any]:
    return coded_mask((paste_masks_in_image(mask, box, size)[0, 0] > _SURE).cpu().numpy())


def _as_coco(number: int, found: dict[str, Any]) -> list[dict[str, Any]]:
    boxes = found["boxes"].double().cpu()
    boxes[:, 2:] -= boxes[:, :2]
    rows = zip(boxes.tolist(), found["labels"].tolist(), found["scores"].tolist(), strict=True)
    findings = [
        {"image_id": number, "bbox": box, "category_id": label, "score": score}
        for box, label, score in rows
    ]
    for one, outline in zip(findings, found.get("outlines", ()), strict=False):
        one["segmentation"] = outline
    return findings


def average_precision(
    scenes: Sequence[Scene],
    classes: Sequence[str],
    findings: list[dict[str, Any]],
    of: str = "bbox",
) -> dict[str, Any]:
    """Of ``findings`` as COCO writes results; pictures are numbered from 1, boxes are left, top,
    width and height. ``of``: bbox, or segm, the overlap of outlines, run lengths in findings.

    Raises ValueError for segm where an object's outline is missing or cannot be read.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    truth.dataset = {
        "images": [
            {"id": number, "width": scene.size[0], "height": scene.size[1]}
            for number, scene in enumerate(scenes, 1)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(classes) if n],
        "annotations": _truths(scenes, outlined=of == "segm"),
    }
    with redirect_stdout(io.StringIO()):  # it says what it does
        truth.createIndex()
        # It cannot read results without a finding: one that is nowhere, and worth nothing.
        nothing = {"image_id": 1, "bbox": [0, 0, 0, 0], "category_id": 1, "score": 0.0}
        asked = COCOeval(truth, truth.loadRes(findings or [nothing]), of)
        asked.evaluate()
        asked.accumulate()
    # Overlaps × recalls × classes × areas × most findings; -1 where there is no object.
    precision = torch.from_numpy(asked.eval["precision"])[..., 0, -1]
    return {
        "ap": _mean(precision),
        "ap50": _mean(precision[0]),
        "ap75": _mean(precision[5]),
        "class_ap": {name: _mean(precision[:, :, n]) for n, name in enumerate(classes[1:])},
    }


def _truths(scenes: Sequence[Scene], outlined: bool) -> list[dict[str, Any]]:
    every = [
        (number, scene, one) for number, scene in enumerate(scenes, 1) for one in scene.objects
    ]
    return [
        {
            "id": key, "image_id": number, "category_id": one.label, "iscrowd": int(one.crowd),
            "bbox": [*one.box[:2], one.box[2] - one.box[0], one.box[3] - one.box[1]],
            "area": one.area, **({"segmentation": coded(scene, one)} if outlined else {}),
        }
        for key, (number, scene, one) in enumerate(every, 1)
    ]  # fmt: skip


def _mean(precision: Tensor) -> float | None:
    known = precision[precision > -1]
    return float(known.mean()) if len(known) else None


@torch.no_grad()
def segmented(
    model: nn.Module, head: Head, scenes: Sequence[Scene], device: torch.device
) -> dict[str, Any]:
    """``miou``, the mean over classes of intersection over union, ``class_iou`` by name (None where
    a class is neither there nor named) and ``pixel_accuracy``, of the masks at their own size."""
    model.eval()
    count = len(head.classes)
    confused = torch.zeros(count, count, dtype=torch.int64)
    for scene in scenes:
        pixels = pixels_of(scene.path).to(device)[None] / 255
        size = (head.side, head.side)
        small = interpolate(pixels, size, mode="bilinear", antialias=True)
        logits = model(head.normalised(small))["out"]
        width, height = scene.size
        named = interpolate(logits, (height, width), mode="bilinear").argmax(1)[0].cpu()
        truth = torch.from_numpy(mask_of(scene)).long()
        known = truth != IGNORED
        pairs = count * truth[known] + named[known]
        confused += torch.bincount(pairs, minlength=count**2).reshape(count, count)
    return overlaps(confused, head.classes)


def overlaps(confused: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Of pixels by class (rows) and by what they were named (columns), int64 (classes, classes)."""
    right = confused.diag().double()
    either = confused.sum(0) + confused.sum(1) - confused.diag()
    shares = (right / either).tolist()  # 0 / 0 is not a number
    known = [share for share in shares if not math.isnan(share)]
    pixels = int(confused.sum())
    return {
        "miou": sum(known) / len(known) if known else None,
        "pixel_accuracy": float(right.sum()) / pixels if pixels else None,
        "class_iou": {
            name: None if math.isnan(share) else share
            for name, share in zip(classes, shares, strict=True)
        },
    }
