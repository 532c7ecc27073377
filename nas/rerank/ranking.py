"""What a finished search says under another budget, exponent, window or aim, without training.

On the command line: ``python -m nas.rerank RUN --budget 300M --w -0.15``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nas.belief.scores import FILE, Scores
from nas.candidates import Candidates
from nas.channels import CHANNELS, channel_space
from nas.costing import COSTS, LATENCY, Costing, Limited, cost_text, costing
from nas.costing.latency import Latency
from nas.objective import Objective
from nas.pareto import front
from nas.prior import AnyPrior
from nas.samplers.auto import Auto
from nas.samplers.history import History
from nas.space import SPACES, Space, space
from trials.store.view import RunView

# What a command may have set for all networks of a space.
_SHARED = ("resolution", "classes", "in_channels", "activation", "norm_eps", "norm_momentum")
_OWN = "the search's {} {!r:.60} is its caller's own: rank by what was measured (--by measured)"


def rerank(
    accuracy: ArrayLike, cost: ArrayLike, objective: Objective, kind: str = "macs"
) -> list[int]:
    """Positions of the trained networks that ``objective`` admits, by falling reward.

    ``accuracy`` and ``cost`` are (N,), of finished trials only; ``kind`` is the costs', for
    messages. For the aim ``front``: the front of the admitted ones, by rising cost. Another budget
    changes the order through the window alone (and through ``hard`` or ``over``, which bend at it).

    Raises ValueError where the lengths differ or no network is admitted.
    """
    accuracies, costs = np.asarray(accuracy, dtype=float), np.asarray(cost, dtype=float)
    if accuracies.shape != costs.shape or accuracies.ndim != 1:
        raise ValueError(f"{accuracies.shape} accuracies and {costs.shape} costs: give one each")
    inside = np.flatnonzero(objective.admits(costs))
    if not len(inside):
        window = _range(kind, objective.low * objective.budget, objective.high * objective.budget)
        there = f"they cost {_range(kind, costs.min(), costs.max())}" if len(costs) else "none is"
        raise ValueError(f"no trained network costs {window} ({there}): widen the window")
    if objective.aim == "front":
        return [int(inside[i]) for i in front(accuracies[inside], costs[inside])]
    rewards = objective.reward(accuracies[inside], costs[inside])
    return [int(i) for i in inside[np.argsort(-rewards, kind="stable")]]


def _range(kind: str, low: float, high: float) -> str:
    return f"{cost_text(kind, low)} to {cost_text(kind, high)}"


def expected(run: RunView, prior: AnyPrior | None = None) -> dict[int, float]:
    """What the model of the sampler ``auto`` expects of each trained network, by trial number.

    The model is fitted as the search fitted it, to a space and a cost made again from the run's
    settings, and the scores that it kept. Raises ValueError where the search had another ``prior``,
    where its scores are lost, and for a space or a cost of its caller's own.
    """
    settings = run.settings
    stated, given = settings.get("prior"), prior.label if prior else None
    if stated != given:
        raise ValueError(
            f"the search's prior was {stated}, not {given}: give that one, or rank by what was "
            "measured (--by measured)"
        )
    searched, objective = space_of(run), Objective.of(settings)
    candidates = Candidates(searched, objective, _cost(run, searched, objective))
    history = History(candidates, run.study)
    candidates.learn(history.settled)
    auto = Auto(candidates, prior, settings.get("trust"), scores=_scores(run))
    done = history.finished
    means = auto.fit(history).mean(history.rows[done], scored=True)
    return dict(zip(history.numbers[done].tolist(), means.tolist(), strict=True))


def _scores(run: RunView) -> Scores | None:
    """Those of untrained networks that the search had; what is not kept of them nobody gives."""
    names = run.settings.get("scores")
    return Scores(names, path=run.dir and run.dir / FILE) if names else None


def space_of(run: RunView) -> Space:
    """The space of a run, with the template of its networks.

    Raises ValueError where it is none of ``nas.space``'s, and where no trial has finished.
    """
    name, finished = run.settings["space"], run.finished()
    if not finished:
        raise ValueError("no trial of the search has finished")
    one = finished[0].spec
    made: Space | None = None
    if name == CHANNELS:
        made = channel_space(one)
    elif name in SPACES:
        made = space(name).with_template(**{field: getattr(one, field) for field in _SHARED})
    if made is not None and (sides := run.settings.get("resolutions")):
        made = made.at(sides)
    if made is None or made.template.key != run.settings["template"]:
        raise ValueError(_OWN.format("space", name))
    return made


def _cost(run: RunView, searched: Space, objective: Objective) -> Costing:
    own = _costing(run, searched, run.settings["cost"], objective)
    others = [
        _costing(run, searched, kind, Objective(most, low=0.0))
        for kind, most in (objective.limits or {}).items()
    ]
    return Limited(own, others) if others else own


def _costing(run: RunView, searched: Space, kind: str, objective: Objective) -> Costing:
    if kind == LATENCY:
        how = Latency(None, sample=run.settings["latency"]["sample"])
        return how.costing(searched, objective, run.study, run.seed)
    if kind not in COSTS:
        raise ValueError(_OWN.format("cost", kind))
    return costing(searched, kind)
