"""Detectors and segmenters by name, and as a training leaves them: ``head.json`` beside weights.

model, head = read_head(run)  # in evaluation mode
model([pixels])  # a detector: float (C, H, W) in 0 to 1, of any size
model(head.normalised(pixels))["out"]  # a segmenter: (N, C, side, side)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.choose import read
from models.deploy import detectors
from models.deploy.detector_cost import TWO_STAGE
from models.deploy.preprocessing import WEIGHTS
from models.pretrained import load_weights, read_safetensors
from models.spec import ArchSpec

DETECTORS, SEGMENTERS = ("ssdlite", *TWO_STAGE), ("lraspp", "deeplab")
OUTLINING = ("mask-rcnn",)  # detectors that draw a mask of each object
KINDS = (*DETECTORS, *SEGMENTERS)
FILE_NAME = "head.json"
_MAKERS: dict[str, Callable[..., nn.Module]] = {
    "ssdlite": detectors.ssdlite,
    "faster-rcnn": detectors.faster_rcnn,
    "mask-rcnn": detectors.mask_rcnn,
    "lraspp": detectors.lraspp,
    "deeplab": detectors.deeplab,
}


@dataclass(frozen=True)
class Head:
    """What stands on a network and what it expects.

    kind       of ``KINDS``
    classes    names of its outputs in their order; a detector's first is the background
    mean, std  of each channel, by which pixels in 0 to 1 are normalised
    side       ssdlite and segmenters see pictures as squares of so many pixels; faster-rcnn and
               mask-rcnn with the shorter side so long, the longer one at most twice

    Raises ValueError for another kind, and for moments that are not alike.
    """

    kind: str
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    side: int

    def __post_init__(self) -> None:
        for name in ("classes", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.kind not in KINDS:
            raise ValueError(f"head {self.kind!r:.60} is unknown: choose one of {', '.join(KINDS)}")
        if len(self.classes) < 2 or len(self.mean) != len(self.std) or not min(self.std) > 0:
            raise ValueError(f"a head of {len(self.classes)} classes, moments {self.mean}, "
                             f"{self.std}: there are two classes or more, and a mean and a "
                             "deviation above 0 of each channel")  # fmt: skip

    def on(self, spec: ArchSpec, weights: Mapping[str, Tensor] | None = None) -> nn.Module:
        """torchvision's module on ``spec``, with a classifier's ``weights`` below it or fresh ones.

        Raises ValueError where the network has no maps for it, or the weights are another's.
        """
        count = len(self.classes)
        options: dict[str, Any] = {}
        if self.kind in DETECTORS:
            options = {"image_mean": list(self.mean), "image_std": list(self.std)}
            both = {"min_size": self.side, "max_size": 2 * self.side}
            options |= both if self.kind in TWO_STAGE else {"side": self.side}
        made: nn.Module = _MAKERS[self.kind](spec, count, weights, **options)
        return made

    def normalised(self, pixels: Tensor) -> Tensor:
        """Float (N, C, H, W) in 0 to 1 as a segmenter takes them."""
        mean, std = (
            torch.tensor(one, device=pixels.device)[:, None, None] for one in (self.mean, self.std)
        )
        return (pixels - mean) / std

    def write(self, directory: Path) -> None:
        """``DIRECTORY/head.json``."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (directory / FILE_NAME).write_text(text + "\n", "utf-8")


def read_head(run: Path) -> tuple[nn.Module, Head]:
    """What ``python -m training detect`` or ``segment`` left in that directory, ready for use.

    Raises ValueError where it is not there, or damaged.
    """
    path = run / FILE_NAME
    if not path.is_file() or not (run / WEIGHTS).is_file():
        raise ValueError(f"{run} holds no trained detector: give a run of training detect|segment")
    try:
        head = Head(**json.loads(path.read_text("utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is of another version, or damaged ({error})") from None
    model = head.on(read(run / "spec.json").spec)
    load_weights(model, read_safetensors(str(run / WEIGHTS)))
    return model.eval(), head
