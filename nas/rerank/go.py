"""What ``python -m nas.rerank`` does, once its options are read."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from common.units import format_size
from models.cost import cost
from models.spec import ArchSpec
from nas.costing import cost_text, read_cost
from nas.objective import Objective
from nas.prior.choose import given_prior, recorded_prior
from nas.rerank.ranking import expected, rerank, space_of
from nas.result import Candidate, candidates
from nas.samplers.opening import OPENING
from trials.store.study import read_run
from trials.store.view import RunView

SHOWN = 10


def go(args: argparse.Namespace) -> None:
    """Print the best networks, and write the chosen one's spec where that is asked for."""
    found = read_run(args.run, from_json=ArchSpec.from_json, storage=args.storage)
    if found.settings["kind"] != "nas":
        raise ValueError(f"{args.run} is no run of nas.search")
    before, kind = Objective.of(found.settings), found.settings["cost"]
    objective = _objective(args, before, kind)
    trained = candidates(found.finished(), before)
    means = _means(found, args, len(trained))
    believed = [one.accuracy if means is None else means[one.number] for one in trained]
    costs = [one.cost for one in trained]
    ranked = [
        replace(trained[i], reward=objective.reward(believed[i], costs[i]))
        for i in rerank(believed, costs, objective, kind)
    ]
    accuracy = "as measured" if means is None else _expected(found.settings.get("trust"))
    print(_heading(objective, kind, f"{len(ranked)} of {len(trained)}", accuracy))
    print(_table(ranked[:SHOWN], kind, means))
    if args.out is not None:
        best = max(ranked, key=lambda one: one.reward)
        args.out.write_text(best.spec.to_json() + "\n")
        print(f"{best.spec.name}: {args.out}")


def _objective(args: argparse.Namespace, before: Objective, kind: str) -> Objective:
    given: dict[str, Any] = {
        "budget": None if args.budget is None else read_cost(kind, args.budget),
        "aim": args.aim,
        "w": args.w,
        "over": args.over,
        "low": args.low,
        "high": args.high,
    }
    return replace(before, **{name: value for name, value in given.items() if value is not None})


def _means(run: RunView, args: argparse.Namespace, trained: int) -> Mapping[int, float] | None:
    by = args.by or ("model" if run.settings["sampler"] == "auto" else "measured")
    if by == "measured" or trained < OPENING:  # as few as these are no model's business
        return None
    given = args.prior or recorded_prior(run.settings)
    return expected(run, None if given is None else given_prior(given, space_of(run)))


def _expected(trust: float | None) -> str:
    weighed = "" if trust in (None, 1) else f", trust {trust:g}"
    return f"that the search's model expects (posterior mean{weighed})"


def _heading(objective: Objective, kind: str, count: str, accuracy: str) -> str:
    """What is ranked, and by what."""
    low, high, budget = (
        cost_text(kind, share * objective.budget) for share in (objective.low, objective.high, 1)
    )
    which = "lie on the Pareto front of the" if objective.aim == "front" else "lie in the"
    rule = "min(1, T/COST)"
    if objective.aim != "hard":
        over = "" if objective.over is None else f" ({objective.over:g} above T)"
        rule = f"(COST/T)^{objective.w:g}{over}"
    return (
        f"{count} trained networks {which} window, {_label(kind)} {low} to {high}\n"
        f"reward: ACC*{rule}, T = {budget}; accuracy {accuracy}"
    )


def _table(ranked: Sequence[Candidate], kind: str, means: Mapping[int, float] | None) -> str:
    columns = [
        ["", *map(str, range(1, len(ranked) + 1))],
        ["network", *(one.spec.name for one in ranked)],
        ["trial", *(str(one.number) for one in ranked)],
        ["measured", *(_percent(one.accuracy) for one in ranked)],
        [_label(kind), *(cost_text(kind, one.cost) for one in ranked)],
        ["reward", *(f"{one.reward:.4f}" for one in ranked)],
    ]
    if means is not None:
        columns.insert(4, ["expected", *(_percent(means[one.number]) for one in ranked)])
    if kind != "macs":
        columns.insert(-1, ["FLOPs", *(format_size(cost(one.spec).macs) for one in ranked)])
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in zip(*columns, strict=True)
    )


def _percent(accuracy: float) -> str:
    return f"{100 * accuracy:.2f} %"


def _label(kind: str) -> str:
    return "FLOPs" if kind == "macs" else kind
