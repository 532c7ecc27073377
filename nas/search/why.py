"""Why a search chose its network, and not the one that was measured highest."""

from __future__ import annotations

from collections.abc import Sequence

from nas.costing import cost_text
from nas.objective import Objective
from nas.result import Candidate, Finalist, SearchResult, candidates


def why(found: SearchResult, objective: Objective, kind: str) -> str:
    """A sentence, for the screen and the page alike; ``kind`` is the cost's."""
    said = _why(found, objective, kind)
    made = next(one.evaluation for one in found.trials if one.number == found.best.number)
    told = made.details.get("inherited", {}) if made else {}
    if told.get("distance") == 0:
        return f"It is the parent itself, unchanged, at {found.best.spec.resolution} pixels. {said}"
    return said


def _why(found: SearchResult, objective: Objective, kind: str) -> str:
    trained = candidates(found.trials, objective)
    most = max(trained, key=lambda one: (one.accuracy, one.reward, -one.number))
    best = found.best
    if found.finals:
        return f"{_decided(found.finals)}{_beside(best, most)}"
    if best.accuracy == most.accuracy:
        return "It has the highest accuracy that was measured."
    if best.reward >= most.reward:
        return (
            f"Trial {most.number} was measured higher, {_percent(most.accuracy)}, but costs "
            f"{cost_text(kind, most.cost)}: a reward of {most.reward:.4f}, less than "
            f"{best.reward:.4f}."
        )
    return (
        f"Trial {most.number} was measured higher, {_percent(most.accuracy)}, but "
        f"{_expected(found, most, objective)}."
    )


def _decided(finals: Sequence[Finalist]) -> str:
    """What the finals went by, and how narrowly."""
    first, *others = finals
    by = ""
    if first.loss is not None:
        what = "exp(-loss)" if first.probability is None else "the probability of the right class"
        by = f", with {what} for the accuracy"
    rivals = [one for one in others if one.trainings == first.trainings]
    said, again = f"Of {len(finals)} networks that were trained further", 1 + len(rivals)
    if again < len(finals):
        said += f" the best {again} were so once more, and of these"
    said += f" it has the greatest reward{by}: {first.merit:.4f}"
    if not rivals:
        return f"{said}."
    second = rivals[0]
    return (
        f"{said}, where the next, trial {second.number}, has {second.merit:.4f} (and accuracies of "
        f"{_percent(first.accuracy)} and {_percent(second.accuracy)})."
    )


def _beside(best: Candidate, most: Candidate) -> str:
    if best.accuracy == most.accuracy:
        return ""
    return f" Trial {most.number} was measured higher before, {_percent(most.accuracy)}."


def _expected(found: SearchResult, most: Candidate, objective: Objective) -> str:
    """What the model of all trainings says instead of one of them."""
    means = (found.basis or {}).get("expected", {})
    one, other = (means.get(str(number)) for number in (most.number, found.best.number))
    if found.basis is None or one is None or other is None:  # a run of an earlier version
        return "a model of all trainings expects a greater reward of the chosen one"
    rewards = (
        objective.reward(float(one), most.cost),
        objective.reward(float(other), found.best.cost),
    )
    return (
        f"a single training is off by {100 * found.basis['noise']:.1f} points, and a model of all "
        f"{len(found.evaluations)} expects {_percent(one)} of it and {_percent(other)} of the "
        f"chosen one: rewards of {rewards[0]:.4f} and {rewards[1]:.4f}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
