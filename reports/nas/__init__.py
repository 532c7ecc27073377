"""The page of a network search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.spec import ArchSpec
from nas.belief.outlook import Expected
from nas.costing import LATENCY
from nas.objective import Objective
from nas.result import Finalist, SearchResult, candidates, result
from reports.nas.answer import about_answer, trained_of
from reports.nas.drawings import beside, draw
from reports.nas.front import about_front, write_front
from reports.nas.judged import named_trainings, together
from reports.nas.spending import about_cost
from reports.page import Page
from reports.sections import latencies
from reports.sections.agreement import about_agreement
from reports.sections.belief import about_belief
from reports.sections.classes import about_classes
from reports.sections.confusion import show_confusion
from reports.sections.failures import show_failures
from reports.sections.importance import about_importance
from reports.sections.inherited import about_inheritance, show_finals
from reports.sections.interactive import look_into
from reports.sections.network import drawn, readable, stage_table
from reports.sections.pictures import about_pictures
from reports.sections.samples import show_samples
from reports.tables import stopped_table, trials_table
from trials.caution import cautions, nothing_learned
from trials.store.study import read_run
from trials.store.view import Record, RunView


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
    write_front(found, run_dir)
    caption = draw(run, found, objective, run_dir)
    page = Page(f"Network search: {settings.get('data', {}).get('name', run_dir.name)}")
    told = cautions(settings, found.evaluations)
    for one in told:
        page.caution(one)
    trainings = named_trainings(found, run_dir)
    named = together(trainings)
    about_answer(page, found, objective, settings, named)
    page.figure(run_dir / "pareto.png", caption)
    look_into(page, found, trained_of(found), objective, settings["cost"])
    about_front(page, found, settings)
    about_belief(page, found, settings, run_dir / "weights.png")
    about_importance(page, found.basis, len(trained_of(found)), run_dir / "importance.png")
    about_cost(page, run_dir, records)
    if onward and not nothing_learned(told):
        page.onward(onward)
    page.heading("The chosen network")
    drawn(run_dir / "network.png", beside(found))
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
            "Each was stopped where its accuracy was below the bar (at 0 % of its training: as it "
            "inherits its weights, it was not trained): the finished trainings said that it would "
            "lose. Not among the figures and never on the front; the search's model counts with "
            "what their curves let expect."
        )
        page.table(
            ["trial", "network", "stopped at", "accuracy then", "bar"], stopped_table(records)
        )
    show_failures(page, records)
