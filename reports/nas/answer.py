"""The answer of a network search, in words."""

from __future__ import annotations

from typing import Any

from common.units import format_size
from models.cost import cost
from nas.costing import COSTS, cost_text, limits_text
from nas.objective import Objective
from nas.result import SearchResult
from nas.search.against import Against
from nas.search.why import why
from reports.page import Page
from reports.sections.classes import kinds, mean_of, percent
from reports.sections.interval import LEVEL, span
from trials.record import Evaluation


def trained_of(found: SearchResult) -> dict[int, Evaluation]:
    """What each trial's training came to, by its number."""
    return {r.number: r.evaluation for r in found.trials if r.evaluation is not None}


def about_answer(
    page: Page,
    found: SearchResult,
    objective: Objective,
    settings: dict[str, Any],
    named: Evaluation,
) -> None:
    """The chosen network, why it, how good it is beside others, and how sure that is; ``named`` is
    what its trainings come to together."""
    best = found.best
    prices = cost(best.spec)
    data, kind = settings.get("data", {}), settings["cost"]
    chance = data.get("chance")
    paid = "" if kind in COSTS else f"{cost_text(kind, best.cost)} {kind}, "
    evaluation, names = trained_of(found)[best.number], kinds(settings)
    other = mean_of(names.key, [evaluation])
    beside = "" if other is None else f" ({percent(other)} {names.other})"
    worth = named.details.get("effective_images") or data.get("validation")
    accuracy = found.finals[0].accuracy if found.finals else best.accuracy
    reach = f", {100 * LEVEL:.0f} % interval {span(accuracy, worth)}" if worth else ""
    score = f"{percent(accuracy)} proxy {names.heading}{beside}{reach}"
    if found.finals:
        score = f"{percent(accuracy)} {names.heading} after further training{reach},"
    # After finals the reward of its first training is none of this accuracy.
    reward = "" if found.finals else f", reward {best.reward:.4f}"
    page.lead(
        f"Chosen: {best.spec.name}: {score} at {paid}"
        f"{format_size(prices.macs)} FLOPs and {format_size(prices.params)} parameters "
        f"(budget {cost_text(kind, objective.budget)}{_limits(objective)}{reward})."
    )
    page.text(why(found, objective, kind))
    if found.against:
        page.text(Against.from_dict(found.against).in_words(kind))
    if chance is not None:
        page.text(
            f"Chance on these pictures is {100 * chance:.1f} %. {_reach(data, accuracy, worth)}"
            + (
                ""
                if found.finals
                else " The proxy ranks candidates: it is no forecast of the "
                "accuracy after full training."
            )
        )
    page.note(
        "FLOPs are multiply-adds of convolution and linear layers for one image at "
        f"{best.spec.resolution} pixels; fvcore's total for this network, which adds batch norm "
        f"and pooling, is {format_size(prices.fvcore)} ({prices.fvcore:,})."
    )


def _limits(objective: Objective) -> str:
    limits = limits_text(objective.limits)
    return f" and at most {limits}" if limits else ""


def _reach(data: dict[str, Any], accuracy: float, worth: int) -> str:
    """How far an accuracy is told by so many pictures."""
    deviation = (accuracy * (1 - accuracy) / worth) ** 0.5
    uneven = f" (unequal classes: worth {worth})" if worth < data["validation"] else ""
    others = ""
    if worth > data["validation"]:
        others = f" and the {worth - data['validation']} others by which finalists were judged"
    return (
        f"The interval (Wilson's) is of the {data['validation']} validation pictures{uneven}"
        f"{others} alone. The network was chosen by them, which flatters it; a training measures "
        "it on the test split, which chose nothing. One accuracy here has a standard error of "
        f"{100 * deviation:.2f} points: nearer neighbours than that are not told apart by one "
        "training."
    )
