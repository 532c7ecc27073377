"""The page of a network search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from common.units import format_size
from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from nas.belief.outlook import Expected
from nas.costing import COSTS, LATENCY, cost_text
from nas.objective import Objective
from nas.result import Finalist, SearchResult, candidates, result
from nas.search.against import Against
from reports import figures
from reports.nas.answer import about_answer, trained_of
from reports.nas.judged import named_trainings, together
from reports.nas.spending import about_cost
from reports.page import Page
from reports.sections import latencies
from reports.sections.agreement import about_agreement
from reports.sections.belief import about_belief
from reports.sections.classes import about_classes, kinds, mean_of, percent
from reports.sections.confusion import show_confusion
from reports.sections.failures import show_failures
from reports.sections.importance import about_importance
from reports.sections.inherited import about_inheritance, show_finals
from reports.sections.interactive import look_into
from reports.sections.network import drawn, readable, stage_table
from reports.sections.samples import show_samples
from reports.tables import stopped_table, trials_table
from trials.caution import cautions, nothing_learned
from trials.store.study import read_run
from trials.store.view import Record, RunView

UNITS = {
    "macs": "FLOPs (multiply-adds of convolution and linear layers, one image)",
    "params": "parameters",
    "activations": "activations",
    LATENCY: "latency",
}
PUBLISHED = {"EfficientNet-B0": "efficientnet-b0", "MobileNetV2": "mobilenet-v2"}


def report(
    run_dir: Path, storage: str | None = None, onward: Mapping[str, str] | None = None
) -> Path:
    """Write trials.csv, pareto.csv, report.html and its pictures into ``run_dir``.

    ``onward`` has the commands to go on with, by what they are for.
    Raises ValueError where the run has no finished training yet.
    """
    run = read_run(run_dir, from_json=ArchSpec.from_json, storage=storage)
    settings, records = run.settings, run.finished()
    objective = Objective.of(settings)
    trials_table(records).to_csv(run_dir / "trials.csv", index=False)
    found = concluded(run)
    _pareto_csv(found, run_dir)
    caption = _figures(run, found, objective, run_dir)
    page = Page(f"Network search: {settings.get('data', {}).get('name', run_dir.name)}")
    told = cautions(settings, found.evaluations)
    for one in told:
        page.caution(one)
    trainings = named_trainings(found, run_dir)
    named = together(trainings)
    about_answer(page, found, objective, settings, named)
    page.figure(run_dir / "pareto.png", caption)
    look_into(page, found, trained_of(found), objective, settings["cost"])
    _front(page, found, settings)
    about_belief(page, found, settings, run_dir / "weights.png")
    about_importance(page, found.basis, len(trained_of(found)), run_dir / "importance.png")
    about_cost(page, run_dir, records)
    if onward and not nothing_learned(told):
        page.onward(onward)
    page.heading("The chosen network")
    drawn(run_dir / "network.png", _beside(found))
    page.figure(
        run_dir / "network.png",
        "The chosen network, above, and one that would be picked without a search: the stem, each "
        "stage and the head from top to bottom, a block for each layer, as long as it has "
        "channels, and the side of the maps that come in.",
    )
    page.table(
        ["operator", "input", "channels", "layers", "FLOPs", "parameters"],
        readable(stage_table(found.best.spec)),
    )
    about_classes(page, settings, named)
    show_samples(page, run_dir, settings)
    times = f" of {len(trainings)} trainings together" if len(trainings) > 1 else ""
    classes = (settings.get("data") or {}).get("classes", ())
    show_confusion(page, classes, named.details, f"validation pictures{times}")
    show_finals(page, found.finals, candidates(found.trials, objective))
    about_inheritance(page, settings, trained_of(found)[found.best.number])
    page.heading("The search")
    page.figure(run_dir / "history.png", "The reward of each trial, and the highest so far.")
    _circumstances(page, records, settings)
    about_agreement(page, run_dir, records)
    if settings["cost"] == LATENCY:
        page.heading("Latencies")
        page.text(latencies.account(run))
    page.write(run_dir / "report.html")
    return run_dir / "report.html"


def concluded(run: RunView) -> SearchResult:
    """What a run's trainings and its stored answer come to.

    Raises ValueError where it has no finished training yet.
    """
    answer = run.answer or {}
    finals = [Finalist(**one) for one in answer.get("finals", ())]
    front = [Expected(**one) for one in answer.get("expected_front", ())]
    told = answer.get("trial"), answer.get("belief"), finals, front
    found = result(run.finished(), Objective.of(run.settings), *told)
    return replace(found, against=answer.get("against"))


def _pareto_csv(found: SearchResult, run_dir: Path) -> None:
    by_number = {record.number: record for record in found.trials}
    table = trials_table([by_number[candidate.number] for candidate in found.front])
    table.to_csv(run_dir / "pareto.csv", index=False)


def _figures(run: RunView, found: SearchResult, objective: Objective, run_dir: Path) -> str:
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


def _beside(found: SearchResult) -> dict[str, ArchSpec]:
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


def _front(page: Page, found: SearchResult, settings: dict[str, Any]) -> None:
    page.heading("The Pareto front")
    rows, chosen = [], None
    kind, names, trained = settings["cost"], kinds(settings), trained_of(found)
    shown = sorted({*found.front, found.best}, key=lambda one: (one.cost, one.accuracy))
    beside = [mean_of(names.key, [trained[one.number]]) for one in shown]
    both = any(value is not None for value in beside)
    other = [] if kind in COSTS else [kind]  # what the other columns do not show
    for i, one in enumerate(shown):
        prices, mark = cost(one.spec), ""
        if one.number == found.best.number:
            chosen, mark = i, " ★ chosen"
            mark += "" if one in found.front else "; as measured not on the front"
        rows.append(
            [
                one.spec.name + mark,
                one.number,
                percent(one.accuracy),
                *([percent(beside[i])] if both else []),
                *(cost_text(kind, one.cost) for _ in other),
                format_size(prices.macs),
                format_size(prices.fvcore),
                format_size(prices.params),
                f"{one.reward:.4f}",
            ]
        )
    page.table(
        [
            "network",
            "trial",
            names.heading,
            *([names.other] if both else []),
            *other,
            "FLOPs",
            "fvcore total",
            "parameters",
            "reward",
        ],
        rows,
        chosen,
    )


def _circumstances(page: Page, records: Sequence[Record], settings: dict[str, Any]) -> None:
    trained = [record.evaluation for record in records if record.evaluation is not None]
    stopped = [record.stopped.evaluation for record in records if record.stopped is not None]
    seconds = sum(evaluation.seconds for evaluation in [*trained, *stopped])
    failed = f"{len(records) - len(trained) - len(stopped)} failed"
    counts = f"{failed}, {len(stopped)} stopped early" if stopped else failed
    page.text(
        f"{len(records)} trials ({counts}) with sampler "
        f"{settings['sampler']}, seed {settings['seed']}, in space {settings['space']}; "
        f"{seconds / 60:.1f} training minutes on {trained[0].device}."
    )
    about_pictures(page, settings)
    if stopped:
        page.heading("Trainings stopped early")
        page.text(
            "Each was stopped where its accuracy, on a part of the validation pictures, was below "
            "the bar: the finished trainings said that it would lose. Not among the figures and "
            "never on the front; the search's model counts with what their curves let expect."
        )
        page.table(
            ["trial", "network", "stopped at", "accuracy then", "bar"], stopped_table(records)
        )
    show_failures(page, records)


def _trained_for(epochs: int) -> str:
    return f"{epochs} epochs" if epochs else "no training: inherited weights as they are"


def _seen(recipe: dict[str, Any]) -> str:
    if recipe["resolution"] is None:
        return "networks see them at their own resolutions"
    strides = recipe["drop_strides"]
    first = f"{strides} strides" if strides > 1 else "stride"
    without = f" with its first {first} taken out" if strides else ""
    return (
        f"the proxy sees a {recipe['reference']}-pixel network at {recipe['resolution']} "
        f"pixels{without}"
    )


def about_pictures(page: Page, settings: dict[str, Any]) -> None:
    """The pictures, what was skipped or enlarged, and the proxy recipe."""
    data, recipe = settings.get("data"), settings.get("recipe")
    if not data or not recipe:
        return
    page.text(
        f"Pictures: {data['name']} ({data['digest']}), {len(data['classes'])} classes, "
        f"{data['train']} for training and {data['validation']} for validation, "
        f"{data['native_size']} pixels; {_seen(recipe)}, {_trained_for(recipe['epochs'])} "
        f"(recipe {recipe['key']})."
    )
    if data["enlarged"]:
        page.text(f"{100 * data['enlarged']:.1f} % of the pictures had to be enlarged.")
    if skipped := data["skipped"]:
        page.heading("Pictures that could not be read")
        page.table(["file", "reason"], skipped)
