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


@dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    resolution     pixels at which a spec of ``reference`` pixels is trained; a spec scaled to
                   twice the reference is trained at twice this. None: at the spec's own
    drop_strides   how many of the first strides of 2, the stem's first, become 1
    width          multiplier on every channel of the network that is trained
    images         cap on the number of training images, stratified and seeded; None: all
    held_out       cap on the number of validation images, None: all; the test split has no cap
    epochs         passes over them
    lr             peak of the schedule, for a batch of 256, scaled linearly with ``batch`` (sgd)
                   or with its square root (adamw)
    warmup         share of the steps in which the rate climbs linearly; then a cosine to 0
    ema            decay of an average of the weights that is evaluated in their place; 0: none
    clip           greatest norm of the whole gradient
    shift          translation by up to this share of the side, edges reflected
    cutout         side of a grey square as a share of the image's; 0: none
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
    regularise: bool = True
    zero_init: bool = True
    micro_batch: int | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            known = ", ".join(OPTIMIZERS)
            raise ValueError(f"optimizer {self.optimizer!r} is unknown: choose one of {known}")
        for name in ("epochs", "batch", "reference"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        for name in ("lr", "width", "clip"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} {getattr(self, name)} must be above 0")
        for name in ("momentum", "warmup", "label_smoothing", "ema", "shift", "cutout"):
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
        """The settings as JSON has them.

        Without a micro-batch as before there was one: runs and keys of then are still good.
        """
        facts = asdict(self)
        if self.micro_batch is None:
            del facts["micro_batch"]
        return facts

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
