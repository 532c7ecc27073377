"""Recipes by name, each with its source; ``--set`` changes any setting of them.

plain     this project's own, short and for small folders; what a search's proxies are trained by.

paper     EfficientNet (Tan and Le 2019, arXiv:1905.11946, section 5.2): RMSProp of decay and
          momentum 0.9, weight decay 1e-5, an initial rate of 0.256 for a batch of 4096, which is
          0.016 for 256, times 0.97 every 2.4 of 350 epochs, AutoAugment. From its code
          (tensorflow/tpu, models/official/efficientnet): 5 epochs of warm-up, an average of decay
          0.9999, label smoothing 0.1, Inception's crops (8 % of the area or more, 3:4 to 4:3).
          Batch norm's momentum of 0.99 is torch's 0.01; SiLU, dropout (0.2 to 0.5) and stochastic
          depth (0.8 kept at the last block) are the spec's. What deviates: TensorFlow divides by
          √(mean square + 0.001), torch by √(mean square) + eps. With eps = √0.001 torch's
          denominator is 1 to √2 times TensorFlow's, whatever the gradient; with 0.001 itself small
          gradients would be divided by up to 32 times less. TensorFlow's mean squares start at 1,
          torch's at 0: the first steps, those of the warm-up, are larger here. Biases do not
          decay. The default batch is 256, at the paper's rate an image.

modern    ConvNeXt (Liu et al. 2022, arXiv:2201.03545, table 5): AdamW at 4e-3 for a batch of 4096,
          which by the square root is 1e-3 for 256, weight decay 0.05, 20 of 300 epochs of warm-up,
          a cosine, RandAugment (9), mixup 0.8, CutMix 1, random erasing 0.25, label smoothing 0.1,
          an average of decay 0.9999. Stochastic depth is the spec's.

v2        EfficientNetV2 (Tan and Le 2021, arXiv:2104.00298, sections 4 and 5.1, table 6): paper's
          optimiser, rate, average and epochs, and progressive learning in four phases of 87 epochs.
          From the first to the last the side grows from 128 to 300 pixels, here as a share of the
          network's own, RandAugment's magnitude from 5 to 15, dropout from 0.1 to 0.3: the table's
          row of S, whose mixup is 0 (M ends at 380 pixels, 20, 0.4 and mixup 0.2, L at 380, 25, 0.5
          and 0.5, all from 128, 5, 0.1 and 0). RandAugment is torchvision's, whose magnitudes go to
          30, and a picture is seen at the last phase's side when accuracy is measured, where theirs
          is larger (384 for S).

finetune  weights that were trained before: SGD with momentum and a cosine, as Kornblith et al.
          (2019, arXiv:1805.08974, section A.5), the classifier at ten times the rate (Long et al.
          2015, arXiv:1502.02791, section 5.1), a stage at 0.8 of the next one's (ConvNeXt's table
          6), crops of a quarter of the area or more. The rate is a tenth of plain's, which any
          other recipe is divided by too where weights are inherited; 20 epochs and a batch of 64
          are for folders of some thousand pictures.

rexnet    ReXNet (Han et al. 2021, arXiv:2007.00992; clovaai/rexnet, README): SGD at 0.5 for a
          batch of 512, weight decay 1e-5, 400 epochs, RandAugment, random erasing 0.2; dropout 0.2
          is the spec's. Not said there, and taken as is usual: Nesterov's momentum of 0.9, a
          cosine after 5 epochs of warm-up, label smoothing 0.1, Inception's crops.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, get_args, get_type_hints

from training.recipe import Recipe

_CROPPED: dict[str, Any] = {"crop": 0.08, "shift": 0.0, "clip": None, "zero_init": False}
_TENSORFLOW: dict[str, Any] = {
    "epochs": 350, "batch": 256, "optimizer": "rmsprop", "alpha": 0.9, "momentum": 0.9,
    "eps": math.sqrt(1e-3), "lr": 0.016, "weight_decay": 1e-5, "warmup": 5 / 350,
    "schedule": "exponential", "decay": 0.97, "decay_every": 2.4 / 350, "ema": 0.9999,
    "ema_warmup": True, "norm_momentum": 0.01,
}  # fmt: skip

NAMED = {
    "plain": Recipe(),
    "paper": Recipe(policy="autoaugment", **_TENSORFLOW, **_CROPPED),
    "v2": Recipe(
        policy="randaugment", magnitude=15, dropout=0.3, phases=4, side_from=128 / 300,
        magnitude_from=5, dropout_from=0.1, **_TENSORFLOW, **_CROPPED,
    ),
    "modern": Recipe(
        epochs=300, batch=256, optimizer="adamw", lr=1e-3, weight_decay=0.05, warmup=20 / 300,
        ema=0.9999, ema_warmup=True, policy="randaugment", mixup=0.8, cutmix=1.0, erase=0.25,
        **_CROPPED,
    ),
    "finetune": Recipe(
        epochs=20, batch=64, lr=0.04, weight_decay=5e-5, warmup=0.1, head_rate=10.0,
        layer_decay=0.8, crop=0.25, shift=0.0, zero_init=False,
    ),
    "rexnet": Recipe(
        epochs=400, batch=256, lr=0.25, weight_decay=1e-5, warmup=5 / 400, policy="randaugment",
        erase=0.2, **_CROPPED,
    ),
}  # fmt: skip


def named(name: str) -> Recipe:
    """The recipe of that name. Raises ValueError for any other."""
    if name not in NAMED:
        raise ValueError(f"no recipe {name!r:.60}: choose one of {', '.join(NAMED)}")
    return NAMED[name]


def changed(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """``recipe`` with each of the settings ``NAME=VALUE``; of one that comes twice, the last.

    Raises ValueError for a name that is none of its settings, and a value that cannot be its.
    """
    hints = get_type_hints(Recipe)
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in hints:
            raise ValueError(
                f"--set {setting!r:.80}: write NAME=VALUE, the name one of {', '.join(hints)}"
            )
        changes[name] = _value(name, text, hints[name])
    return replace(recipe, **changes)


def _value(name: str, text: str, hint: Any) -> Any:
    """``text`` as a setting of that type; ``none`` where that is allowed."""
    kinds = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if text in ("none", "null") and type(None) in kinds:
        return None
    if str in kinds:
        return text
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = text
    if float in kinds and type(found) is int:
        found = float(found)
    if type(found) not in kinds:
        wanted = " or ".join("none" if kind is type(None) else kind.__name__ for kind in kinds)
        raise ValueError(f"--set {name}={text:.60}: its value is {wanted}")
    return found
