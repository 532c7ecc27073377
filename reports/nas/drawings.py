"""The pictures of a network search's page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from nas.costing import COSTS, LATENCY, cost_text
from nas.objective import Objective
from nas.result import SearchResult, candidates
from nas.search.against import Against
from reports import figures
from reports.sections import latencies
from trials.store.view import RunView

UNITS = {
    "macs": "FLOPs (multiply-adds of convolution and linear layers, one image)",
    "params": "parameters",
    "activations": "activations",
    LATENCY: "latency",
}


PUBLISHED = {"EfficientNet-B0": "efficientnet-b0", "MobileNetV2": "mobilenet-v2"}


def draw(run: RunView, found: SearchResult, objective: Objective, run_dir: Path) -> str:
    """Draw them; what the front's caption is."""
    trained = candidates(found.trials, objective)
    kind, unit = run.settings["cost"], UNITS.get(run.settings["cost"], run.settings["cost"])
    known: list[tuple[str, float]] = []
    compared = Against.from_dict(found.against) if found.against else None
    if kind in COSTS and compared is None:
        for label, name in PUBLISHED.items():
            known.append((label, float(getattr(cost(_alike(name, found.best.spec)), kind))))
    elif kind == LATENCY:
        unit += f" of one batch ({latencies.where(run.settings)})"
        known += latencies.marks(run)
    window = (objective.low * objective.budget, objective.high * objective.budget)
    chance = run.settings.get("data", {}).get("chance")
    marked = list(_marked(compared)) if compared else []
    expected = (run.answer or {}).get("expected_front", ())
    figures.pareto(
        run_dir / "pareto.png",
        trained,
        found.front,
        found.best,
        known,
        unit,
        window,
        chance,
        partial(cost_text, kind),
        marked=marked,
        expected=expected,
    )
    figures.history(run_dir / "history.png", trained)
    return _caption(marked, known, expected)


def _caption(
    marked: Sequence[figures.Marked],
    known: Sequence[tuple[str, float]],
    expected: Sequence[Mapping[str, float]],
) -> str:
    """Of the front: what is drawn, and no more."""
    said = ["Accuracy against cost. The star is the chosen network"]
    if expected:
        said.append("the band is where the search expects the front")
    if marked:
        bars = " with its 90 % interval" if any(one.error for one in marked) else ""
        said.append(
            f"the other marks are networks trained alike to compare it with, each{bars} at the "
            "mean of its trainings"
        )
    if known:
        said.append("upright lines stand at the cost of networks that were not trained here")
    return f"{'; '.join(said)}."


def _marked(compared: Against) -> Iterator[figures.Marked]:
    """The chosen network trained again, and the known ones."""
    for one in compared.trained:
        name = "chosen, trained again" if one is compared.chosen else one.name
        error = compared.half_width(one)
        count = f" ({len(one.accuracies)}{'' if error is None else ', 90 %'})"
        yield figures.Marked(name + count, one.cost, one.mean, error)


def beside(found: SearchResult) -> dict[str, ArchSpec]:
    """The chosen network, and that which it was compared with; EfficientNet-B0 without one."""
    chosen = {found.best.spec.name: found.best.spec}
    for one in Against.from_dict(found.against).known if found.against else ():
        if one.spec.key != found.best.spec.key:
            return {**chosen, one.name.partition(" at ")[0]: one.spec}
    label, name = next(iter(PUBLISHED.items()))
    return {**chosen, label: _alike(name, found.best.spec)}


def _alike(name: str, spec: ArchSpec) -> ArchSpec:
    """A published network with the searched networks' input and classes."""
    return replace(
        family(name), classes=spec.classes, in_channels=spec.in_channels, resolution=spec.resolution
    )
