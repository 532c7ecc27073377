"""What was learned before: a table of networks and accuracies, or what ImageNet's taught."""

from __future__ import annotations

from nas.prior.distilled import Distilled, imagenet
from nas.prior.table import (
    FEWEST,
    Prior,
    accel_nasbench_choices,
    load_prior,
    nas_bench_macro_choices,
    prior_of,
    read_prior,
)

AnyPrior = Prior | Distilled

__all__ = [
    "FEWEST",
    "AnyPrior",
    "Distilled",
    "Prior",
    "accel_nasbench_choices",
    "imagenet",
    "load_prior",
    "nas_bench_macro_choices",
    "prior_of",
    "read_prior",
]
