"""How a detector or a segmenter is trained: AdamW, a climb, a cosine."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from training.scenes.options import AUGMENTS


@dataclass(frozen=True)
class SceneRecipe:
    """Settings of one training.

    epochs        passes over the pictures
    batch         pictures of a step; what is left over of an epoch is a step of its own for
                  detectors, and left out for segmenters, whose norms need several
    lr            peak of the rate, as it is for this batch
    weight_decay  of convolutions and linear layers, not of norms and biases
    warmup        share of the steps in which the rate climbs; then half a cosine to 0
    clip          greatest norm of the whole gradient
    augment       none, light or strong (``training.scenes.vary``)
    keep_norms    batch norms of the network below the head keep their running statistics: batches
                  are small, and weights that were trained before bring better ones

    Raises ValueError for settings out of range.
    """

    epochs: int = 30
    batch: int = 8
    lr: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.05
    clip: float = 10.0
    augment: str = "light"
    keep_norms: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(f"epochs {self.epochs} and batch {self.batch} must be at least 1")
        if not 0 < self.lr < float("inf") or not self.clip > 0:
            raise ValueError(f"lr {self.lr} and clip {self.clip} must be above 0")
        if not self.weight_decay >= 0 or not 0 <= self.warmup < 1:
            raise ValueError(
                f"weight_decay {self.weight_decay} must be 0 or more, warmup {self.warmup} from 0 "
                "up to 1"
            )
        if self.augment not in AUGMENTS:
            raise ValueError(f"augment {self.augment!r:.60} is unknown: {', '.join(AUGMENTS)}")

    @property
    def key(self) -> str:
        """Eight hex digits that name these settings."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]
