"""What a belief rests on, in numbers that a run keeps with its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nas.belief.belief import Belief
from nas.belief.knowledge import CAPACITY, NONE, PRIOR, SCORES, Knowledge, Views
from nas.belief.scored import REFERENCE
from nas.candidates import Floats

FEWEST = 12  # trainings; by 6 the order of choices was no better than chance (docs/belief.md)
NETWORKS = 200  # of the window that sources are compared over
DRAWS = 400
LOOKS = 12  # at the weights, on their course
INTERVAL = 0.05, 0.5, 0.95
NAMED = {PRIOR: "the prior", CAPACITY: "capacity", NONE: "no guess"}
TOTALS = ("macs", "params", "activations", "depth")  # the columns of the features' "totals"


def account(belief: Belief, see: Knowledge) -> dict[str, Any]:
    """JSON, over random networks of the window (with scores, those of which they are known):

    weights     each view's probability; they sum to 1
    agreement   each source's correlation with accuracy, as believed: median and 90 % interval
    foretold    the share of the differences between expected accuracies that the views' guesses
                foretold; the rest is what trainings found besides, or (above 1) took back
    noise       standard deviation between trainings of one network, as believed
    """
    views = see.scored(see.reference[: REFERENCE if see.scores else NETWORKS])
    accuracies = drawn(belief, views)
    return {
        "weights": belief.weights,
        "agreement": {
            name: np.quantile(_correlations(accuracies, source), INTERVAL).tolist()
            for name, source in _sources(views, see.scores).items()
        },
        "foretold": _foretold(belief, views),
        "noise": float(belief.shares @ [model.deviation for model in belief.models.values()]),
    }


def course(fit: Callable[[int], Belief], first: int, last: int) -> list[list[Any]]:
    """How weights moved, JSON: [trainings, each view's], from ``first`` of them to ``last``;
    ``fit`` gives the belief by so many. At most ``LOOKS`` of them, closer together at first."""
    steps = np.unique(np.geomspace(first, last, LOOKS).round().astype(int)).tolist()
    return [[step, fit(step).weights] for step in steps]


def drawn(belief: Belief, views: Views) -> Floats:
    """(DRAWS, N) accuracies as they may be, of each view as many as it is probable."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(DRAWS, belief.shares)
    return np.vstack(
        [
            model.sample(views[name], int(count), rng)
            for (name, model), count in zip(belief.models.items(), counts, strict=True)
        ]
    )


def _sources(views: Views, scores: Sequence[str]) -> dict[str, Floats]:
    groups = views[NONE].groups
    own = {name: groups[name][:, 0] for name in (PRIOR, CAPACITY) if name in groups}
    totals = dict(zip(TOTALS, groups["totals"].T, strict=True))
    columns = groups.get(SCORES, np.empty((0, 0))).T
    return own | totals | dict(zip(scores, columns, strict=True))


def _correlations(drawn: Floats, source: Floats) -> Floats:
    """Of each draw (M, N) with ``source`` (N,); 0 where either is constant."""
    drawn = drawn - drawn.mean(1, keepdims=True)
    source = source - source.mean()
    size = np.sqrt((drawn**2).sum(1) * (source**2).sum())
    found: Floats = drawn @ source / np.where(size > 0, size, 1.0)
    return found


def _foretold(belief: Belief, views: Views) -> float:
    models, weights = belief.models, belief.shares
    mean = weights @ np.array([model.mean(views[name]) for name, model in models.items()])
    guess = weights @ np.array([m.scale * views[name].guess for name, m in models.items()])
    varied = float(mean.var())
    return float(np.cov(mean, guess, bias=True)[0, 1]) / varied if varied > 0 else 0.0


def in_words(found: Mapping[str, Any]) -> str:
    """What an ``account`` says, in a sentence or two."""
    if too_few(found):
        return f"too few trainings to tell what foretold them{_paid(found.get('scored'))}"
    weights: dict[str, float] = found["weights"]
    likely = ", ".join(
        f"{NAMED[name]} ({100 * weight:.0f} %)"
        for name, weight in sorted(weights.items(), key=lambda item: -item[1])
    )
    share = 100 * min(max(float(found["foretold"]), 0.0), 1.0)
    return (
        f"what foretold these trainings best: {likely}; of the differences expected between "
        f"networks, {share:.0f} % were foretold so, {100 - share:.0f} % were found by training"
        + _paid(found.get("scored"))
    )


def too_few(found: Mapping[str, Any]) -> bool:
    """Whether what a run keeps of its trainings' ``account`` says nothing of the sources yet."""
    return "importance" in found and found["importance"] is None


def _paid(scored: Mapping[str, Any] | None) -> str:
    if scored is None:
        return ""
    return f"; {scored['networks']} networks were scored untrained, in {scored['seconds']:.0f} s"
