"""A guess at how accurate a network can become, from its parameters alone."""

from __future__ import annotations

import math

from models.cost import parts
from models.spec import ArchSpec


def capacity(spec: ArchSpec) -> float:
    """ln P + the mean of ln P_s over the stages s, P and P_s being parameters, in all and of s.

    Parameters, and their evenness: by concavity the second term is greatest when no stage is
    starved. It has no fitted weight and looks at no picture; our own, found on half of
    Accel-NASBench's rows (arXiv:2404.08005) and kept because no score of an untrained network
    agreed better with real accuracies (``docs/proxy.md``). A stage without parameters counts 0.
    """
    stages = [part.cost.params for part in parts(spec)]
    inner = stages[1:-1] or stages
    return math.log(sum(stages)) + sum(map(math.log1p, inner)) / len(inner)
