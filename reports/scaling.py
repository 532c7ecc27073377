"""The page of a scaling search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.sizes import format_size
from models.spec import ArchSpec
from reports import figures
from reports.nas import about_pictures
from reports.page import Page
from reports.tables import failures_table, trials_table
from scaling_search.grid import Grid, grid
from scaling_search.result import Result
from scaling_search.samplers import history_of
from scaling_search.scalable import SpecBaseline
from scaling_search.search import conclusion
from trials.study import read_run
from trials.view import RunView

SYMBOLS = {"alpha": "α (depth)", "beta": "β (width)", "gamma": "γ (resolution)"}


def report(run_dir: Path, storage: str | None = None) -> Path:
    """Write trials.csv, points.csv, surface.png, points.png and report.html into ``run_dir``.

    Everything is computed again from the study. Raises ValueError where nothing was trained at
    the target's cost yet.
    """
    run = read_run(run_dir, from_json=ArchSpec.from_json, storage=storage)
    settings = run.settings
    baseline = SpecBaseline(ArchSpec.from_json(settings["baseline"]), settings["depth_rounding"])
    tried = grid(baseline, settings["target"], step=settings["step"])
    found = conclusion(run, tried, settings["method"], "read again")
    trials_table(run.finished()).to_csv(run_dir / "trials.csv", index=False)
    points = points_table(run, tried, found)
    points.to_csv(run_dir / "points.csv", index=False)
    figures.surface(run_dir / "surface.png", found, points)
    figures.points(run_dir / "points.png", points, format_size(tried.target))
    page = Page(f"How {baseline.spec.name} should scale")
    _answer(page, found)
    page.figure(
        run_dir / "surface.png",
        "Fitted accuracy over width and resolution at the target's cost; depth takes the rest. "
        "What is faded lies outside the 90 % region of the optimum; the star is the answer.",
    )
    _comparisons(page, found)
    _points(page, points, tried)
    page.figure(run_dir / "points.png", "Mean proxy accuracy of the trained points, with the "
                "standard error of each mean where there is more than one training.")  # fmt: skip
    _family(page, run_dir)
    _circumstances(page, run, settings)
    page.write(run_dir / "report.html")
    return run_dir / "report.html"


def points_table(run: RunView, tried: Grid, found: Result) -> pd.DataFrame:
    """One row for each point that was trained, the most accurate first.

    Columns: role, nominal and realised multipliers, macs, ratio, trainings, mean and se (standard
    error of the mean) of the accuracy, fitted accuracy, adjusted.
    """
    roles: dict[int, list[str]] = {}
    for role, place in tried.roles.items():
        roles.setdefault(place, []).append(role)
    accuracies: dict[int, list[float]] = {}
    for training in history_of(run.study, tried).done:
        accuracies.setdefault(training.place, []).append(float(training.accuracy or 0))
    rows = []
    for place, values in accuracies.items():
        point = tried.points[place]
        n = len(values)
        rows.append({
            "role": ", ".join(roles.get(place, [])),
            **{f"nominal_{name}": value for name, value in point.nominal._asdict().items()},
            **{f"realised_{name}": value for name, value in point.realised._asdict().items()},
            "macs": point.macs,
            "ratio": point.ratio,
            "trainings": n,
            "mean": float(np.mean(values)),
            "se": float(np.std(values, ddof=1) / n**0.5) if n > 1 else None,
            "fitted": float(found.surface.mean(tried.shares[[place]])[0]) if place else None,
            "adjusted": ", ".join(dict.fromkeys(point.adjusted)),
            "chosen": point is found.point or point == found.point,
        })  # fmt: skip
    return pd.DataFrame(rows).sort_values("mean", ascending=False, ignore_index=True)


def _answer(page: Page, found: Result) -> None:
    values = ", ".join(
        f"{SYMBOLS[name]} = {getattr(found.coefficients, name):.2f}" for name in SYMBOLS
    )
    page.lead(
        f"At {found.grid.ratio:.2f} times the baseline's FLOPs: {values}. "
        f"{_verdict(found)} The 90 % region covers {100 * found.region.size:.0f} % of all ways to "
        "scale."
    )
    page.table(
        ["coefficient", "value", "90 % interval", "realised by the trained network"],
        [
            [SYMBOLS[name], f"{getattr(found.coefficients, name):.3f}",
             "{:.3f} to {:.3f}".format(*found.confidence[name]), f"{realised:.3f}"]
            for name, realised in zip(SYMBOLS, found.point.realised, strict=True)
        ],
    )  # fmt: skip
    page.note(
        "FLOPs are multiply-adds of convolution and linear layers for one image at the network's "
        "own resolution. Coefficients are realised multipliers with α·β²·γ² equal to the target's "
        "ratio. The proxy's accuracies rank scalings at a small resolution and a short training."
    )


def _verdict(found: Result) -> str:
    beaten = [c.against for c in found.comparisons if c.verdict == "better"]
    tied = [c.against for c in found.comparisons if c.verdict == "tie"]
    worse = [c.against for c in found.comparisons if c.verdict == "worse"]
    parts = [
        f"it {verb} {_listed(names)}"
        for verb, names in (("beats", beaten), ("ties with", tied), ("loses to", worse))
        if names
    ]
    sentence = ", ".join(parts)
    return sentence[:1].upper() + sentence[1:] + "." if sentence else ""


def _listed(names: list[str]) -> str:
    words = [f"{n} alone" if n != "paper" else "the paper's 1.2/1.1/1.15" for n in names]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _comparisons(page: Page, found: Result) -> None:
    page.heading("Against other ways to spend the same FLOPs")
    page.table(
        ["against", "verdict", "difference (points)", "90 % interval"],
        [
            [_listed([c.against]), c.verdict, f"{100 * c.difference:+.2f}",
             f"{100 * c.low:+.2f} to {100 * c.high:+.2f}"]
            for c in found.comparisons
        ],
    )  # fmt: skip


def _points(page: Page, points: pd.DataFrame, tried: Grid) -> None:
    page.heading("What was trained")
    page.text(
        f"{len(points)} of {len(tried.points)} points, each within 3 % of "
        f"{format_size(tried.target)} FLOPs but the baseline; {tried.dropped} nominal points could "
        f"not reach the target and were dropped, {tried.merged} became equal to another."
    )
    rows = []
    for row in points.to_dict("records"):
        spread = "" if row["se"] is None or np.isnan(row["se"]) else f" ± {100 * row['se']:.2f}"
        rows.append([
            row["role"] or "grid",
            " × ".join(f"{row[f'nominal_{d}']:.2f}" for d in ("depth", "width", "resolution")),
            " × ".join(f"{row[f'realised_{d}']:.2f}" for d in ("depth", "width", "resolution")),
            format_size(row["macs"]), f"{row['ratio']:.3f}", row["trainings"],
            f"{100 * row['mean']:.2f}{spread} %", row["adjusted"],
        ])  # fmt: skip
    chosen = points.index[points["chosen"]]
    page.table(
        ["point", "nominal d × w × r", "realised d × w × r", "FLOPs", "ratio", "trainings",
         "accuracy", "fine adjustment"],
        rows, int(chosen[0]) if len(chosen) else None,
    )  # fmt: skip


def _family(page: Page, run_dir: Path) -> None:
    paths = list((run_dir / "family").glob("phi-*.json"))
    if not paths:
        return
    members = sorted((json.loads(path.read_text()) for path in paths), key=lambda m: m["phi"])
    page.heading("The family")
    rows = []
    for member in members:
        realised, memory = member["realised"], member["memory"]
        rows.append([
            f"{member['phi']:g}", format_size(member["cost"]["macs"]),
            f"{100 * member['error']:+.1f} %", format_size(member["cost"]["params"]),
            " × ".join(f"{realised[d]:.2f}" for d in ("depth", "width", "resolution")),
            member["spec"]["resolution"], member["dropout"],
            f"{memory['bytes'] / 2**30:.1f} GiB" if memory else "",
        ])  # fmt: skip
    page.table(["φ", "FLOPs", "off target", "parameters", "realised d × w × r", "pixels", "dropout",
                "training memory, batch 32"], rows)  # fmt: skip


def _circumstances(page: Page, run: RunView, settings: dict[str, Any]) -> None:
    records = run.finished()
    trained = [record.evaluation for record in records if record.evaluation is not None]
    page.heading("How it was measured")
    page.text(
        f"{len(records)} trainings ({len(records) - len(trained)} failed), method "
        f"{settings['method']}, depth rounding {settings['depth_rounding']}, seed "
        f"{settings['seed']}; {sum(e.seconds for e in trained) / 60:.1f} training minutes on "
        f"{trained[0].device}. Trainings of one repeat share their seed, so differences are paired."
    )
    about_pictures(page, settings)
    _enlarged(page, records, settings)
    if rows := failures_table(records):
        page.heading("Failures")
        page.table(["trial", "network", "kind", "reason"], rows)


def _enlarged(page: Page, records: Any, settings: dict[str, Any]) -> None:
    """Which trainings saw pictures larger than they are: there resolution carries nothing new."""
    native = settings.get("data", {}).get("native_size")
    sides = [r.evaluation.details.get("side", 0) for r in records if r.evaluation is not None]
    if native and (over := [side for side in sides if side > native]):
        page.text(
            f"{len(over)} trainings used up to {max(over)} pixels, more than the pictures' own "
            f"{native}: there, more resolution carried no more information."
        )
