"""How a network is trained: frozen settings, hashed into every record.

A *proxy* recipe trains a candidate's twin: the same network at a small resolution, with the
leading strides taken out so that the last maps keep several pixels, thinned alike for every
candidate where time is short. The twin stands for the candidate's worth only; its FLOPs are
always the candidate's own at its own resolution.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from models.scale import scale
from models.spec import ArchSpec, round_half_up

OPTIMIZERS = ("sgd", "adamw")
FLIPS = {"none": (False, False), "horizontal": (True, False), "vertical": (False, True),
         "both": (True, True)}  # fmt: skip
"""Whether pictures are mirrored left to right, and upside down."""

AUGMENT: dict[str, dict[str, Any]] = {
    "none": {"shift": 0.0, "cutout": 0.0, "zoom": 0.0, "jitter": 0.0, "flip": "none"},
    "light": {"shift": 0.125, "cutout": 0.0, "zoom": 0.0, "jitter": 0.0, "flip": None},
    "strong": {"shift": 0.125, "cutout": 0.25, "zoom": 0.3, "jitter": 0.3, "flip": None},
}
"""How much pictures are varied, by name; ``light`` is a recipe's own default."""

# Neither stored nor part of the key at these values: a recipe of before there was the choice is
# the same recipe.
_SINCE = {"flip": None, "zoom": 0.0, "jitter": 0.0, "balance": False, "micro_batch": None}


@dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    resolution     pixels at which a spec of ``reference`` pixels is trained; a spec scaled to
                   twice the reference is trained at twice this. None: at the spec's own
    drop_strides   how many of the first strides of 2, the stem's first, become 1
    width          multiplier on every channel of the network that is trained
    images         cap on the number of training images, stratified and seeded; None: all
    held_out       cap on the number of validation images, None: all; the test split has no cap
    epochs         passes over them; 0: weights that are inherited are scored as they are
    lr             peak of the schedule, for a batch of 256, scaled linearly with ``batch`` (sgd)
                   or with its square root (adamw)
    warmup         share of the steps in which the rate climbs linearly; then a cosine to 0
    ema            decay of an average of the weights that is evaluated in their place; 0: none
    clip           greatest norm of the whole gradient
    shift          translation by up to this share of the side, edges reflected
    cutout         side of a grey square as a share of the image's; 0: none
    flip           which half of the pictures is mirrored: none, horizontal (left to right),
                   vertical (upside down), both (each by its own chance); None: as the data say
    zoom           a square part of each picture, this much smaller at most, is enlarged to it
    jitter         greatest change of a picture's contrast, and of its brightness in standard
                   deviations; each colour of its own by half as much
    balance        every class comes equally often in an epoch, and accuracy is the mean of the
                   classes' own; otherwise both are of pictures as they are
    regularise     whether the spec's own dropout and stochastic depth act; a short training is
                   better without
    zero_init      last norm of each residual branch starts at 0 (Goyal et al. 2017, section 5.1)
    micro_batch    images of a batch that go through the network at once, at most; None: all of it.
                   Batch norm sees the difference, so a run decides it once, for all of its
                   trainings (``training.loop.memory.decide``)

    Raises ValueError for settings out of range.
    """

    resolution: int | None = None
    reference: int = 224
    drop_strides: int = 0
    width: float = 1.0
    images: int | None = None
    held_out: int | None = None
    epochs: int = 30
    batch: int = 128
    optimizer: str = "sgd"
    lr: float = 0.4
    momentum: float = 0.9
    weight_decay: float = 5e-5
    warmup: float = 0.2
    label_smoothing: float = 0.1
    clip: float = 5.0
    ema: float = 0.0
    shift: float = 0.125
    cutout: float = 0.0
    flip: str | None = None
    zoom: float = 0.0
    jitter: float = 0.0
    balance: bool = False
    regularise: bool = True
    zero_init: bool = True
    micro_batch: int | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            known = ", ".join(OPTIMIZERS)
            raise ValueError(f"optimizer {self.optimizer!r} is unknown: choose one of {known}")
        for name, least in (("epochs", 0), ("batch", 1), ("reference", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} {getattr(self, name)} must be at least {least}")
        for name in ("lr", "width", "clip"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} {getattr(self, name)} must be above 0")
        if self.flip is not None and self.flip not in FLIPS:
            raise ValueError(f"flip {self.flip!r:.60} is unknown: choose one of {', '.join(FLIPS)}")
        for name in ("momentum", "warmup", "label_smoothing", "ema", "shift", "cutout", "zoom",
                     "jitter"):  # fmt: skip
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be from 0 up to 1")
        if self.resolution is not None and self.resolution < 4:
            raise ValueError(f"resolution {self.resolution} must be at least 4 pixels")
        if self.micro_batch is not None and self.micro_batch < 2:
            raise ValueError(f"micro_batch {self.micro_batch} must be at least 2: batch norm's")

    @property
    def key(self) -> str:
        """Eight hex digits that name these settings."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:8]

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON has them, later ones only where they are not as before them."""
        facts = asdict(self).items()
        return {name: value for name, value in facts if (name, value) not in _SINCE.items()}

    def mirrors(self, own: bool) -> tuple[bool, bool]:
        """Whether to mirror left to right, and upside down, where the data ``own`` the former."""
        return (own, False) if self.flip is None else FLIPS[self.flip]

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """The inverse of ``to_dict``. Raises ValueError for what is no recipe of this version."""
        try:
            return cls(**facts)
        except TypeError as error:
            raise ValueError(f"not a recipe of this version: {error}") from None

    def side(self, spec: ArchSpec) -> int:
        """Pixels at which ``spec`` is trained."""
        if self.resolution is None:
            return spec.resolution
        return max(1, round_half_up(self.resolution * spec.resolution / self.reference))

    def network(self, spec: ArchSpec, classes: int, channels: int) -> ArchSpec:
        """What is built and trained for ``spec``: itself, or its proxy twin."""
        network = scale(spec, width=self.width)
        network = replace(
            _without_strides(network, self.drop_strides),
            resolution=self.side(spec),
            classes=classes,
            in_channels=channels,
        )
        return network if self.regularise else replace(network, dropout=0.0, drop_path=0.0)

    def batch_of(self, images: int) -> int:
        """Images of one batch where there are ``images`` to train on."""
        return min(self.batch, images)

    def steps(self, images: int) -> int:
        """Steps of the training on so many images; an epoch's last images may be too few."""
        return self.epochs * (images // self.batch_of(images))

    def rate(self) -> float:
        """The peak learning rate at this batch size."""
        growth = self.batch / 256
        return self.lr * (growth if self.optimizer == "sgd" else growth**0.5)


def _without_strides(spec: ArchSpec, count: int) -> ArchSpec:
    """``spec`` with its first ``count`` reductions taken out: stem, stem's pool, then stages."""
    stem, stages = spec.stem, list(spec.stages)
    if count and stem.stride > 1:
        # A stride of 4 (ConvNeXt's patches) is two reductions in one.
        taken = min(count, stem.stride.bit_length() - 1)
        stem, count = replace(stem, stride=stem.stride >> taken), count - taken
    if count and stem.pool:
        stem, count = replace(stem, pool=False), count - 1
    for i, stage in enumerate(stages):
        if count and stage.stride > 1:
            stages[i], count = replace(stage, stride=1), count - 1
    return replace(spec, stem=stem, stages=tuple(stages))
