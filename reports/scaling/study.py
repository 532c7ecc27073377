"""The table, the figure and the page of one of the paper's studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.units import format_size
from models.spec import ArchSpec
from reports.page import Page
from reports.scaling.study_answer import study_answer
from reports.scaling.study_figure import draw
from reports.sections.classes import about_classes, kinds, mean_of
from reports.sections.failures import show_failures
from reports.sections.pictures import about_pictures
from reports.sections.samples import show_samples
from reports.tables import trials_table
from scaling_search.studies import PUBLISHED
from trials.caution import cautions, nothing_learned
from trials.record import Evaluation
from trials.store.study import read_run
from trials.store.view import RunView

TITLES = {
    "single": "One dimension at a time",
    "width": "Width under different depths and resolutions",
    "compare": "Ways to spend the same FLOPs",
}
SOURCE = "arXiv:1905.11946, Table 3 (the baseline of EfficientNet-B0: Table 7)"
# Of figures that the paper prints no numbers of.
SAID = {
    "single": "Figure 3 of arXiv:1905.11946 is a plot without numbers; by its text, the gain of "
    "one dimension alone diminishes quickly once ImageNet top-1 has reached 80 %.",
    "width": "Figure 4 of arXiv:1905.11946 is a plot without numbers; by its text, width alone "
    "saturates quickly, and gains much more at the same FLOPs where depth is 2 and the resolution "
    "higher.",
}
NOTE = (
    "FLOPs are multiply-adds of convolution and linear layers for one image at the network's own "
    "resolution, activations the elements that these layers put out. Accuracy: mean over the "
    "trainings' seeds on the validation split ± standard error of the mean. "
)
REFERENCES = {"compare": "compound scaling at the same cost"}

Cells = list[list[str]]


def report(
    run_dir: Path, storage: str | None = None, onward: Mapping[str, str] | None = None
) -> Path:
    """Write study.csv, study.md, study.png, trials.csv and report.html into ``run_dir``.

    ``onward`` has the commands to go on with, by what they are for. Everything else is computed
    again from the study. Raises ValueError where nothing was trained yet.
    """
    run = read_run(run_dir, from_json=ArchSpec.from_json, storage=storage)
    table = study_table(run)
    if not table["trainings"].sum():
        raise ValueError(f"{run_dir} has no finished training yet: go on with --resume")
    table.to_csv(run_dir / "study.csv", index=False)
    trials_table(run.finished()).to_csv(run_dir / "trials.csv", index=False)
    published = published_table(table)
    draw(run_dir / "study.png", table, published)
    (run_dir / "study.md").write_text(_markdown(run, table, published), "utf-8")
    _page(run, table, published, run_dir, onward or {})
    return run_dir / "report.html"


def study_table(run: RunView) -> pd.DataFrame:
    """One row for each entry of the study, in its order, trained or not.

    Columns: baseline, series, factor, nominal and realised multipliers, macs, activations, params,
    error (of the realised cost, relative to the target), trainings, failed, mean and se (standard
    error) of the accuracy, plain and balanced (means of either accuracy), difference and
    difference_se: mean over the seeds that both have (``pairs``) of the accuracy minus that of
    compound scaling at the same cost (compare), or minus the baseline's.
    """
    accuracies: dict[str, dict[int, float]] = {}
    trained: dict[str, list[Evaluation]] = {}
    failed: dict[str, int] = {}
    for record in run.finished():
        key = record.spec.key
        if record.evaluation is not None:
            accuracies.setdefault(key, {})[record.seed] = record.evaluation.accuracy
            trained.setdefault(key, []).append(record.evaluation)
        else:
            failed[key] = failed.get(key, 0) + 1
    entries, compare = run.settings["entries"], run.settings["study"] == "compare"
    rows = []
    for entry in entries:
        own = accuracies.get(entry["key"], {})
        reference = accuracies.get(_reference(entry, entries, compare) or "", {})
        paired = [own[seed] - reference[seed] for seed in sorted(own.keys() & reference.keys())]
        mean, error = _mean(list(own.values()))
        difference, difference_error = _mean(paired)
        rows.append(
            {
                **{name: entry[name] for name in ("baseline", "series", "factor")},
                **{f"nominal_{name}": value for name, value in entry["nominal"].items()},
                **{f"realised_{name}": value for name, value in entry["realised"].items()},
                **{name: entry["cost"].get(name) for name in ("macs", "activations", "params")},
                "error": entry["error"],
                "trainings": len(own),
                "failed": failed.get(entry["key"], 0),
                "mean": mean,
                "se": error,
                **{
                    name: mean_of(f"{name}_accuracy", trained.get(entry["key"], []))
                    for name in ("plain", "balanced")
                },
                "difference": difference,
                "difference_se": difference_error,
                "pairs": len(paired),
            }
        )
    return pd.DataFrame(rows)


def published_table(table: pd.DataFrame) -> pd.DataFrame:
    """What the paper printed for these baselines and series; may be empty.

    Columns: baseline, series, macs (the paper's), accuracy (ImageNet top-1, in [0, 1]).
    """
    rows = []
    for name, own in table.groupby("baseline", sort=False):
        series = {"baseline", *own["series"]}
        printed = [row for row in PUBLISHED.get(str(name), ()) if row[0] in series]
        if len(printed) > 1:
            rows += [(name, method, 1e9 * flops, top / 100) for method, flops, top in printed]
    return pd.DataFrame(rows, columns=["baseline", "series", "macs", "accuracy"])


def _reference(
    entry: dict[str, Any], entries: Sequence[dict[str, Any]], compare: bool
) -> str | None:
    """The key of the network that an entry is measured against; None for that network itself."""
    for other in entries:
        same = other["baseline"] == entry["baseline"]
        if compare:
            found = other["series"] == "compound" and other["factor"] == entry["factor"]
        else:
            found = all(value == 1 for value in other["realised"].values())
        if same and found:
            return None if other["key"] == entry["key"] else str(other["key"])
    return None


def _mean(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and its standard error; None for what the number of values does not give."""
    if not values:
        return None, None
    error = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
    return float(np.mean(values)), error


def _cells(table: pd.DataFrame, settings: Mapping[str, Any]) -> tuple[list[str], Cells]:
    names, study = kinds(settings), settings["study"]
    other = names.key.removesuffix("_accuracy")
    both = bool(table[other].notna().any())
    head = [
        "network",
        "scaling",
        "factor",
        "realised d × w × r",
        "FLOPs",
        "activations",
        "parameters",
        f"{names.heading}, %",
        *([f"{names.other}, %"] if both else []),
        "trainings",
        f"points above {REFERENCES.get(study, 'the baseline')}",
    ]
    rows = []
    for row in table.to_dict("records"):
        realised = (row[f"realised_{name}"] for name in ("depth", "width", "resolution"))
        failed = f" ({row['failed']} failed)" if row["failed"] else ""
        rows.append(
            [
                str(row["baseline"]),
                str(row["series"]),
                f"{row['factor']:.3g}",
                " × ".join(f"{value:.2f}" for value in realised),
                *(format_size(row[name]) for name in ("macs", "activations", "params")),
                _percent(row["mean"], row["se"], ""),
                *([_percent(row[other], None, "")] if both else []),
                f"{row['trainings']}{failed}",
                _percent(row["difference"], row["difference_se"], "+"),
            ]
        )
    return head, rows


def _percent(mean: float | None, error: float | None, sign: str) -> str:
    if mean is None or np.isnan(mean):
        return ""
    spread = "" if error is None or np.isnan(error) else f" ± {100 * error:.2f}"
    return f"{100 * mean:{sign}.2f}{spread}"


def _published_cells(published: pd.DataFrame) -> tuple[list[str], Cells]:
    rows = [
        [
            str(row["baseline"]),
            str(row["series"]),
            format_size(row["macs"]),
            f"{100 * row['accuracy']:.1f}",
        ]
        for row in published.to_dict("records")
    ]
    return ["network", "scaling", "FLOPs as printed", "ImageNet top-1, %"], rows


def _markdown(run: RunView, table: pd.DataFrame, published: pd.DataFrame) -> str:
    study = run.settings["study"]
    parts = [f"# {TITLES[study]}", study_answer(table, study), _grid(*_cells(table, run.settings))]
    if left_out := run.settings["left_out"]:
        parts.append("Left out:\n\n" + "\n".join(f"- {line}" for line in left_out))
    if len(published):
        parts += [f"Published: {SOURCE}", _grid(*_published_cells(published))]
    if study in SAID:
        parts.append(f"Published: {SAID[study]}")
    return "\n\n".join([*parts, NOTE.strip()]) + "\n"


def _grid(head: list[str], rows: Cells) -> str:
    escaped = [
        [cell.replace("|", "\\|") for cell in row] for row in [head, ["---"] * len(head), *rows]
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)


def _page(
    run: RunView,
    table: pd.DataFrame,
    published: pd.DataFrame,
    run_dir: Path,
    onward: Mapping[str, str],
) -> None:
    study, records = run.settings["study"], run.finished()
    page = Page(TITLES[study])
    trained = [record.evaluation for record in records if record.evaluation is not None]
    told = cautions(run.settings, trained)
    for one in told:
        page.caution(one)
    page.lead(study_answer(table, study))
    page.figure(
        run_dir / "study.png",
        "Mean accuracy against FLOPs, with its standard error; "
        "marks of equal FLOPs are set a little apart. "
        "Published accuracies are ImageNet's and have their own axes.",
    )
    page.table(*_cells(table, run.settings))
    page.note(NOTE + "Trainings of one repeat share their seed, so differences are paired.")
    for line in run.settings["left_out"]:
        page.text(f"Left out: {line}.")
    if len(published):
        page.heading("Published")
        page.table(*_published_cells(published))
        page.note(f"Source: {SOURCE}. Its FLOPs are as printed there.")
    if study in SAID:
        page.text(f"Published: {SAID[study]}")
    if onward and not nothing_learned(told):
        page.onward(onward)
    page.heading("How it was measured")
    page.text(
        f"{len(records)} trainings, depth rounding {run.settings['depth_rounding']}, "
        f"seed {run.seed}."
    )
    about_pictures(page, run.settings)
    about_classes(page, run.settings)
    show_samples(page, run_dir, run.settings)
    show_failures(page, records)
    page.write(run_dir / "report.html")
