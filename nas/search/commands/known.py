"""What the command's search knows before its first training."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.candidates import Candidates
from nas.costing import LATENCY
from nas.objective import Objective
from nas.prior import AnyPrior
from nas.prior.choose import default_prior, given_prior, recorded_prior
from nas.space import Space

if TYPE_CHECKING:
    from training.data import Data

WINDOW = 500  # networks that a prior is asked about beforehand


def known_before(
    args: argparse.Namespace,
    searched: Space,
    data: Data,
    before: Mapping[str, Any],
    aim: Objective,
) -> AnyPrior | None:
    """What is given; for a run that goes on, what it began with; else the default, which is said.

    Sampler auto alone can use one. A run of before there was a default had none, and has none.
    """
    given = args.prior or (recorded_prior(before) if before else None)
    if given is not None:
        return given_prior(given, searched)
    if before or args.sampler != "auto":
        return None
    window = searched.random(WINDOW, np.random.default_rng(0))
    if LATENCY not in (args.cost, *(aim.limits or ())):
        inside = Candidates(searched, aim, args.cost).draw(WINDOW, np.random.default_rng(0))
        window = inside if len(inside) else window
    prior, said = default_prior(searched, window, data.in_colour)
    if said:
        print(said, file=sys.stderr)
    return prior
