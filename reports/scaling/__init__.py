"""The page of a scaling search."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.units import format_size
from reports import figures
from reports.page import Page
from reports.scaling.points import add_left_out, add_points, add_rounding, points_table
from reports.sections.classes import about_classes, kinds
from reports.sections.failures import show_failures
from reports.sections.pictures import about_pictures
from reports.sections.samples import show_samples
from reports.sections.spent import about_energy
from reports.tables import trials_table
from scaling_search.coefficients import Multipliers
from scaling_search.points.grid import Grid
from scaling_search.points.kept import reader
from scaling_search.points.target import points_told
from scaling_search.result import ScalingResult
from scaling_search.search import conclusion
from scaling_search.summary import (
    SYMBOLS,
    answer,
    called,
    compared,
    doubt,
    in_points,
    learned_from,
    measured,
    product,
)
from trials.caution import cautions, nothing_learned
from trials.store.study import header_of, read_run
from trials.store.view import RunView

WORDS = {"same": "the answer itself", "open": "open: not told yet"}


def report(
    run_dir: Path, storage: str | None = None, onward: Mapping[str, str] | None = None
) -> Path:
    """Write trials.csv, points.csv, surface.png, points.png and report.html into ``run_dir``.

    ``onward`` has the commands to go on with, by what they are for. Everything else is computed
    again from the study. Raises ValueError where nothing was trained at
    the target's cost yet, or latencies are lacking.
    """
    run, tried, found = concluded(run_dir, storage)
    settings = run.settings
    trials_table(run.finished()).to_csv(run_dir / "trials.csv", index=False)
    points = points_table(run, tried, found)
    points.to_csv(run_dir / "points.csv", index=False)
    figures.surface(run_dir / "surface.png", found, points)
    figures.points(run_dir / "points.png", points, tried.cost.text(tried.target))
    page = Page(f"How {tried.baseline.spec.name} should scale")
    told = cautions(settings, found.evaluations)
    for one in told:
        page.caution(one)
    _answer(page, found)
    page.figure(
        run_dir / "surface.png",
        "Fitted accuracy over width and resolution at the target's cost; depth takes the rest. "
        + (
            "Nothing lies outside the 90 % region of the optimum"
            if found.region.inside.all()
            else "What is faded lies outside the 90 % region of the optimum"
        )
        + "; the star is the answer, where the fit is highest, trained or not.",
    )
    _comparisons(page, found)
    add_points(page, points, tried, kinds(settings))
    page.figure(
        run_dir / "points.png",
        "Mean proxy accuracy of the trained points, with the "
        "standard error of each mean where there is more than one training.",
    )
    add_left_out(page, tried)
    add_rounding(page, found, settings)
    _family(page, run_dir)
    if onward and not nothing_learned(told):
        page.onward(onward)
    _circumstances(page, run, tried, run_dir)
    about_energy(page, run_dir)
    page.write(run_dir / "report.html")
    return run_dir / "report.html"


def concluded(run_dir: Path, storage: str | None = None) -> tuple[RunView, Grid, ScalingResult]:
    """A run, its points, and the answer that its trainings give. Raises ValueError as ``report``
    does."""
    read = reader(header_of(run_dir, storage).settings.get("networks"))
    run = read_run(run_dir, from_json=read, storage=storage)
    tried = points_told(run)
    return run, tried, conclusion(run, tried, run.settings["method"], "read again")


def _answer(page: Page, found: ScalingResult) -> None:
    page.lead(answer(found))
    for said in (learned_from(found), doubt(found)):
        if said:
            page.text(said)
    page.table(
        ["coefficient", "value", "90 % interval"],
        [
            [
                symbol,
                f"{getattr(found.coefficients, name):.2f}",
                "{:.2f} to {:.2f}".format(*found.confidence[name]),
            ]
            for name, symbol in SYMBOLS.items()
        ],
    )
    page.note(
        "FLOPs are multiply-adds of convolution and linear layers for one image at the network's "
        "own resolution. Coefficients are realised multipliers; α·β²·γ² is the ratio of FLOPs at "
        f"the target, here {found.coefficients.product:.2f}. The proxy's accuracies rank scalings "
        "at a small resolution and a short training."
    )


def _comparisons(page: Page, found: ScalingResult) -> None:
    page.heading(f"Against other ways to spend the same {found.grid.cost.name}")
    page.text(compared(found))
    rows = []
    for item in found.comparisons:
        same = item.verdict == "same"
        rows.append(
            [
                called(item.against),
                product(item.realised),
                WORDS.get(item.verdict, item.verdict),
                "" if same else in_points(item.difference, item.low, item.high),
                "" if same else measured(item.measured),
            ]
        )
    page.table(
        ["against", "realised d × w × r", "verdict", "fitted difference", "measured difference"],
        rows,
    )
    page.note(
        "Differences are in points of accuracy, with 90 % intervals. Fitted is what the surface "
        "through all trainings says, and the verdict is by it: a tie is an interval that holds 0. "
        "Measured is what the trainings of the two networks say by themselves: those of one repeat "
        "share their seed, and each such pair gives a difference. Open is what only single "
        "trainings say: the networks were not both trained again, nor are there trainings enough "
        "for the region to rule the other out."
    )


def _family(page: Page, run_dir: Path) -> None:
    paths = list((run_dir / "family").glob("phi-*.json"))
    if not paths:
        return
    members = sorted((json.loads(path.read_text()) for path in paths), key=lambda m: m["phi"])
    page.heading("The family")
    rows = []
    for member in members:
        memory = member["memory"]
        rows.append(
            [
                f"{member['phi']:g}",
                format_size(member["cost"]["macs"]),
                f"{100 * member['error']:+.1f} %",
                *(_told(member["cost"].get(name)) for name in ("params", "activations")),
                product(Multipliers(**member["realised"])),
                member.get("side") or member["spec"]["resolution"],  # of before it was written
                ", ".join(_told(member[name], "{:g}".format) for name in ("dropout", "drop_path")),
                f"{memory['bytes'] / 2**30:.1f} GiB" if memory else "",
            ]
        )
    page.table(
        [
            "φ",
            "FLOPs",
            "off target",
            "parameters",
            "activations",
            "realised d × w × r",
            "pixels",
            "dropout, stochastic depth",
            "training memory, batch 32",
        ],
        rows,
    )


def _told(value: float | None, text: Callable[[float], str] = format_size) -> str:
    """A dash for what nobody knows: a module's dropout is its own."""
    return "–" if value is None else text(value)


def _circumstances(page: Page, run: RunView, tried: Grid, run_dir: Path) -> None:
    records, settings = run.finished(), run.settings
    trained = [record.evaluation for record in records if record.evaluation is not None]
    page.heading("How it was measured")
    page.text(
        f"{len(records)} trainings ({len(records) - len(trained)} failed), method "
        f"{settings['method']}, seed {settings['seed']}; "
        f"{sum(e.seconds for e in trained) / 60:.1f} training minutes on "
        f"{trained[0].device}. Trainings of one repeat share their seed, so differences are paired."
    )
    if said := tried.cost.described():
        page.text(said)
    about_pictures(page, settings)
    about_classes(page, settings)
    show_samples(page, run_dir, settings)
    _enlarged(page, records, settings)
    show_failures(page, records)


def _enlarged(page: Page, records: Any, settings: dict[str, Any]) -> None:
    """Which trainings saw pictures larger than they are: there resolution carries nothing new."""
    native = settings.get("data", {}).get("native_size")
    sides = [r.evaluation.details.get("side", 0) for r in records if r.evaluation is not None]
    if native and (over := [side for side in sides if side > native]):
        page.text(
            f"{len(over)} of {len(sides)} trainings used up to {max(over)} pixels, more than the "
            f"pictures' own {native}: there, more resolution carried no more information."
        )
