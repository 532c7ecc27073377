"""Memory: what a training takes, by a formula.

The formula, in bytes of float32, for a training step on ``batch`` images at once:

    4 · (copies · params + 4 · batch · activations)

copies       of the parameters: weights, gradients and momentum, 3; AdamW and RMSProp keep one more,
             an average of the weights another
activations  as ``models.cost`` counts them: what convolutions and linear layers put out. Each is
             kept for the gradient as it is, after its norm and, where the activation cannot be
             undone, after that; the fourth copy stands for the gradients of the largest maps

With stages that are computed again in the backward pass (``kept_activations``), those of the
largest stage count alone, and the inputs of all others once.

``benchmarks/timing/memory.py`` measures peaks on the CPU beside it: for 9 networks in 12 settings,
measured twice, the estimate was 0.89 to 1.42 times the peak. On CUDA, where maps are kept in
bfloat16, about half is expected; that has not been measured.
"""

from __future__ import annotations

from models.cost import parts
from models.spec import ArchSpec

COPIES_OF_PARAMETERS = 3
_COPIES_OF_ACTIVATIONS = 4
_BYTES = 4


def kept_activations(spec: ArchSpec, recompute: bool = False) -> int:
    """The activations of one image that the formula counts, as ``models.cost`` does.

    With ``recompute`` those inside a stage are there while its gradients are computed and no
    longer: of all stages the largest counts, and of the others what goes into them, once.
    """
    stem, *stages, head = parts(spec)
    each = [one.cost.activations for one in stages]
    ends = stem.cost.activations + head.cost.activations
    if not recompute:
        return ends + sum(each)
    inputs = sum(one.channels * one.side**2 for one in (stem, *stages[:-1]))
    return ends + max(each, default=0) + inputs // _COPIES_OF_ACTIVATIONS


def training_bytes(
    params: int, activations: int, batch: int, copies: int = COPIES_OF_PARAMETERS
) -> int:
    """Estimated bytes of a training step, by the module's formula."""
    return _BYTES * (copies * params + _COPIES_OF_ACTIVATIONS * batch * activations)
