"""One file for each search method, each an Optuna sampler.

    study.sampler = sampler("auto", space, Objective(400e6), seed=0)
    trial = study.ask()
    …                                                       # choose, train
    tell(study, trial, Objective(400e6), accuracy, cost)

Whatever the method, a candidate outside the objective's window is never proposed, nor one whose
network was proposed before, and a killed search that is resumed decides as it would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.candidates import Candidates, CostOf, SpaceExhausted
from nas.objective import Objective
from nas.samplers.auto import Auto, recommend
from nas.samplers.base import Method, NetworkSampler
from nas.samplers.borrowed import MAKERS, Borrowed
from nas.samplers.evolution import Evolution
from nas.samplers.history import outcome, tell
from nas.space import Batch, Space

if TYPE_CHECKING:
    from models.spec import ArchSpec
    from nas.belief.scores import Scores
    from nas.prior import AnyPrior

NAMES = ("auto", *MAKERS, "evolution", "controller")

__all__ = ["NAMES", "SpaceExhausted", "outcome", "recommend", "rows_of", "sampler", "tell"]


def sampler(
    name: str,
    space: Space,
    objective: Objective,
    *,
    seed: int,
    cost: CostOf = "macs",
    prior: AnyPrior | None = None,
    trust: float | None = None,
    near: Sequence[ArchSpec] = (),
    scores: Scores | None = None,
) -> NetworkSampler:
    """The search method of that name over ``space``.

    cost    what the objective counts: "macs", "params", "activations", a function of the spec or a
            ``nas.costing.Costing``
    prior   what was learned before (``nas.prior``); only ``auto`` can use it
    trust   None, or how far ``auto`` goes by its evidence, as ``nas.belief.belief.Belief`` has it;
            the others take trainings at their word
    near    networks of the space, in the window or not: the search begins with those inside, and
            ``auto`` stays near to them all and to the best that it finds
    scores  of untrained networks, by which ``auto`` also learns (``nas.belief.scores``)

    Raises ValueError for an unknown name, a prior or scores that the method cannot use, a trust out
    of range and a window in which the space has no network. Proposing raises SpaceExhausted (a
    ValueError) when every network in the window was proposed.
    """
    if name not in NAMES:
        raise ValueError(f"sampler {name!r:.60} is unknown: choose one of {', '.join(NAMES)}")
    if prior is not None and name != "auto":
        raise ValueError(f"sampler {name} cannot use a prior: choose auto")
    if scores is not None and name != "auto":
        raise ValueError(f"sampler {name} cannot use scores: choose auto")
    if trust is not None and not 0 < trust <= 1:
        raise ValueError(f"trust {trust} is not in (0, 1]: leave it out to go by the evidence")
    candidates = Candidates(space, objective, cost)
    rows = rows_of(space, near)
    if name == "auto":
        method: Method = Auto(candidates, prior, trust, rows, scores)
    else:
        method = _other(name, candidates, seed)
    return NetworkSampler(candidates, method, seed, [] if rows is None else list(rows))


def rows_of(space: Space, near: Sequence[ArchSpec]) -> Batch | None:
    """These networks' choices (N, D); None where there are none. Raises ValueError for a spec that
    is no network of the space."""
    return np.array([_row(space, spec) for spec in near]) if near else None


def _row(space: Space, spec: ArchSpec) -> Batch:
    choices = space.choices_of(spec)
    if choices is None:
        raise ValueError(f"{spec.name!r:.60} is no network of space {space.name}: give a member")
    row: Batch = space.indices([choices])[0]
    return row


def _other(name: str, candidates: Candidates, seed: int) -> Method:
    if name in MAKERS:
        return Borrowed(candidates, name)
    if name == "evolution":
        return Evolution(candidates)
    from nas.samplers.controller import Controller  # the only method that needs torch

    return Controller(candidates, seed)
