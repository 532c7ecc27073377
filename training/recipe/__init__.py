"""How a network is trained: frozen settings, hashed into every record.

A *proxy* recipe trains a candidate's twin: the same network at a small resolution, with the
leading strides taken out so that the last maps keep several pixels, thinned alike for every
candidate where time is short. The twin stands for the candidate's worth only; its FLOPs are
always the candidate's own at its own resolution.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from models.scale import scale
from models.spec import ArchSpec, round_half_up

OPTIMIZERS = ("sgd", "adamw", "rmsprop")
SCHEDULES = ("cosine", "exponential")
SCALINGS = {"linear": 1.0, "square-root": 0.5, "none": 0.0}
"""The power of the batch that the rate goes with."""

POLICIES = ("none", "autoaugment", "randaugment")
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
_SINCE = {
    "flip": None, "zoom": 0.0, "jitter": 0.0, "balance": False, "micro_batch": None,
    "alpha": 0.9, "eps": None, "scaling": None, "schedule": "cosine", "decay": 0.97,
    "decay_every": 0.01, "ema_warmup": False, "dropout": None, "drop_path": None,
    "norm_momentum": None, "crop": 0.0,
    "policy": "none", "magnitude": 9, "erase": 0.0, "mixup": 0.0, "cutmix": 0.0,
    "head_rate": 1.0, "layer_decay": 1.0, "sync_bn": False, "recompute": False, "phases": 1,
    "side_from": 1.0, "magnitude_from": None, "mixup_from": None, "dropout_from": None,
    "freeze": False,
}  # fmt: skip

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "policy": POLICIES,
    "scaling": (*SCALINGS, None), "flip": (*FLIPS, None),
}  # fmt: skip
_SHARES = ("momentum", "warmup", "label_smoothing", "ema", "shift", "cutout", "zoom", "jitter",
           "alpha", "dropout", "drop_path", "norm_momentum", "crop", "erase",
           "dropout_from")  # fmt: skip
_MOST = {"mixup": 100, "mixup_from": 100, "cutmix": 100, "magnitude": 30, "magnitude_from": 30,
         "decay": 1}  # fmt: skip


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
    lr             peak of the schedule, for a batch of 256
    scaling        how the rate goes with ``batch``: linear, square-root, none; None: linear (sgd,
                   rmsprop) or square-root (adamw)
    alpha, eps     rmsprop's decay of the mean square; what is added to the root of a mean square
                   (rmsprop, adamw), None: 1e-8
    warmup         share of the steps in which the rate climbs linearly
    schedule       after that cosine, half of one to 0; or exponential, from the peak times
                   ``decay`` after every such share of the steps (``decay_every``), in steps
    ema            decay of an average of the weights that is evaluated in their place; 0: none
    ema_warmup     the decay after n steps is at most (1 + n) / (10 + n), TensorFlow's way
    clip           greatest norm of the whole gradient; None: any
    head_rate      the classifier's rate, times that of all else
    layer_decay    the rate of each stage, times that of the stage after it; the head's is the peak
    shift          translation by up to this share of the side, edges reflected
    cutout         side of a grey square as a share of the image's; 0: none
    flip           which half of the pictures is mirrored: none, horizontal (left to right),
                   vertical (upside down), both (each by its own chance); None: as the data say
    zoom           a square part of each picture, this much smaller at most, is enlarged to it
    jitter         greatest change of a picture's contrast, and of its brightness in standard
                   deviations; each colour of its own by half as much
    crop           least share of a picture's area that is cut out, at 3:4 to 4:3, and enlarged to
                   the whole; 0: nothing is
    policy         autoaugment (its ImageNet policy) or randaugment (two operations of
                   ``magnitude``, 0 to 30); none
    erase          chance that a part of a picture is covered with the mean colour
    mixup, cutmix  of the beta distribution that shares are drawn from by which pictures of a batch
                   are mixed with one another, or get a part of one another; 0: they are not; with
                   both, each batch by one of them
    balance        every class comes equally often in an epoch, and accuracy is the mean of the
                   classes' own; otherwise both are of pictures as they are
    regularise     whether the spec's own dropout and stochastic depth act; a short training is
                   better without
    dropout        in place of the spec's own; None: that
    drop_path      greatest chance of stochastic depth in place of the spec's own; None: that
    norm_momentum  how far batch norms' running statistics move at a step, in place of the spec's
                   own (0.01 is TensorFlow's 0.99); None: that
    zero_init      last norm of each residual branch starts at 0 (Goyal et al. 2017, section 5.1)
    micro_batch    images of a batch that go through the network at once, at most; None: all of it.
                   Batch norm sees the difference, so a run decides it once, for all of its
                   trainings (``training.loop.memory.decide``)
    sync_bn        batch norm's statistics are those of all processes that train together, and not
                   each one's own
    freeze         nothing learns but the classifier, and norms keep their statistics
    phases         equal parts of the epochs, from each of which to the next the pictures' side and
                   the regularisation grow by the same, up to what the recipe says (EfficientNetV2,
                   arXiv:2104.00298, section 4); at most one an epoch, and
                   1: neither does
    side_from      of pictures in the first phase, as a share of the side
    magnitude_from, mixup_from, dropout_from
                   randaugment's magnitude, mixup and dropout in the first phase; None: as in the
                   last
    recompute      what lies inside a stage is computed again for the gradients and not kept: less
                   memory, about a third more time, the same numbers

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
    clip: float | None = 5.0
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
    scaling: str | None = None
    alpha: float = 0.9
    eps: float | None = None
    schedule: str = "cosine"
    decay: float = 0.97
    decay_every: float = 0.01
    ema_warmup: bool = False
    head_rate: float = 1.0
    layer_decay: float = 1.0
    dropout: float | None = None
    drop_path: float | None = None
    norm_momentum: float | None = None
    crop: float = 0.0
    policy: str = "none"
    magnitude: int = 9
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    sync_bn: bool = False
    recompute: bool = False
    phases: int = 1
    side_from: float = 1.0
    magnitude_from: int | None = None
    mixup_from: float | None = None
    dropout_from: float | None = None
    freeze: bool = False

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                names = ", ".join(filter(None, known))
                raise ValueError(f"{name} {getattr(self, name)!r:.60} is unknown: choose {names}")
        for name, least in (("epochs", 0), ("batch", 1), ("reference", 1), ("phases", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} {getattr(self, name)} must be at least {least}")
        for name in ("lr", "width", "clip", "eps", "decay_every", "head_rate", "layer_decay"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} {value} must be above 0")
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"{name} {value} must be from 0 up to 1")
        for name, most in _MOST.items():
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most:
                raise ValueError(f"{name} {value} must be from 0 to {most}")
        if self.resolution is not None and self.resolution < 4:
            raise ValueError(f"resolution {self.resolution} must be at least 4 pixels")
        if not 0 < self.side_from <= 1:
            raise ValueError(f"side_from {self.side_from} must be above 0 and at most 1")
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
        if self.norm_momentum is not None:
            network = replace(network, norm_momentum=self.norm_momentum)
        if not self.regularise:
            return replace(network, dropout=0.0, drop_path=0.0)
        return replace(
            network,
            dropout=network.dropout if self.dropout is None else self.dropout,
            drop_path=network.drop_path if self.drop_path is None else self.drop_path,
        )

    def batch_of(self, images: int) -> int:
        """Images of one batch where there are ``images`` to train on."""
        return min(self.batch, images)

    def steps(self, images: int) -> int:
        """Steps of the training on so many images; an epoch's last images may be too few."""
        return self.epochs * (images // self.batch_of(images))

    def rate(self) -> float:
        """The peak learning rate at this batch size."""
        scaling = self.scaling or ("square-root" if self.optimizer == "adamw" else "linear")
        growth: float = (self.batch / 256) ** SCALINGS[scaling]
        return self.lr * growth

    def phase(self, epoch: int) -> int:
        """The number, from 0, of the phase that an epoch is in."""
        return epoch * self._phases // max(1, self.epochs)

    @property
    def _phases(self) -> int:
        return max(1, min(self.phases, self.epochs))

    def in_phase(self, phase: int) -> Self:
        """The recipe by whose magnitude, mixup and dropout pictures are learned in a phase."""
        firsts = ("magnitude", self.magnitude_from), ("mixup", self.mixup_from)
        grown = {name: self._grown(first, getattr(self, name), phase)
                 for name, first in firsts if first is not None}  # fmt: skip
        if "magnitude" in grown:
            grown["magnitude"] = round_half_up(grown["magnitude"])
        return replace(self, **grown)  # type: ignore[arg-type]

    def side_in(self, phase: int, side: int) -> int:
        """Pixels a side of pictures in a phase, of ``side`` in the last."""
        return max(1, round_half_up(side * self._grown(self.side_from, 1.0, phase)))

    def dropout_in(self, phase: int, dropout: float) -> float:
        """The chance of dropout in a phase, of ``dropout`` in the last."""
        first = dropout if self.dropout_from is None else self.dropout_from
        return self._grown(first, dropout, phase)

    def _grown(self, first: float, last: float, phase: int) -> float:
        share = 1.0 if self._phases == 1 else phase / (self._phases - 1)
        return (1 - share) * first + share * last

    @property
    def one_by_one(self) -> bool:
        """Whether pictures are varied one by one (``training.loop.feeds``), not a batch at once."""
        return bool(self.crop or self.erase or self.policy != "none")

    @property
    def mixes(self) -> bool:
        """Whether pictures of a batch are mixed, in any phase."""
        return bool(self.mixup or self.cutmix or self.mixup_from)


def total_stride(spec: ArchSpec) -> int:
    """Pixels of the input, a side, to one of the last maps."""
    stem = spec.stem.stride * (2 if spec.stem.pool else 1)
    return stem * math.prod(stage.stride for stage in spec.stages)


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
