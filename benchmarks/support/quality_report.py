"""The benchmark's runs as one table (Markdown and CSV) and one picture."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from nas.objective import Objective
from nas.pareto import hypervolume

Floats = NDArray[np.float64]
AT = (20, 50, 60, 100, 200, 300)
BUDGET = 400e6
WORST = (0.45, BUDGET)  # of the hypervolume: least accuracy, greatest cost
FLOOR = 0.02  # of what is drawn: log scales have no zero
Known = dict[str, dict[str, list[float]]]


def write_report(out: Path, tasks: list[str], ideal: Known, references: dict[str, str]) -> None:
    """table.md, table.csv and curves.png under ``out``, from every run that lies there."""
    lines: list[list[object]] = []
    curves: dict[str, dict[str, list[Floats]]] = {}
    for task in tasks:
        found = {name: losses(out, task, name, ideal[task]) for name in names(out, task)}
        curves[task] = {name: loss for name, (loss, _) in found.items()}
        reference = references.get(task, "tpe")
        goal = median_at(found[reference][1], -1)
        for name, (loss, value) in found.items():
            lines.append([task, name, len(loss), *needed(value, goal), *summaries(loss)])
    header = ["task", "sampler", "runs", "needed", *(f"@{at}" for at in AT)]
    with (out / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    rows: list[list[object]] = [[*header], ["---"] * len(header), *lines]
    text = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
    (out / "table.md").write_text(text + "\n")
    print(text)
    draw(curves, out / "curves.png")


def names(out: Path, task: str) -> list[str]:
    return sorted({file.name.split(".")[1] for file in out.glob(f"{task}.*.json")})


def losses(
    out: Path, task: str, name: str, known: dict[str, list[float]]
) -> tuple[list[Floats], list[Floats]]:
    """Of every run: the regret or the share missing after each training, and the value reached
    (the best reward, the hypervolume)."""
    aim = {"noisy": "reward", "table": "reward"}.get(task, task)
    objective = Objective(BUDGET, aim)
    accuracy, cost = np.array(known["accuracy"]), np.array(known["cost"])
    most = hypervolume(accuracy, cost, WORST) if aim == "front" else 0.0
    best = float(objective.reward(accuracy, cost).max())
    lost, reached = [], []
    for file in sorted(out.glob(f"{task}.{name}.*.json")):
        run = json.loads(file.read_text())
        accuracy, cost = np.array(run["accuracy"]), np.array(run["cost"])
        if aim == "front":
            value = np.array(
                [hypervolume(accuracy[:n], cost[:n], WORST) for n in range(1, len(cost) + 1)]
            )
            lost.append(100 * (1 - value / most))
        else:
            reward = objective.reward(accuracy, cost)
            value = np.maximum.accumulate(reward)
            lost.append(100 * (best - value))
            if run["picks"]:
                lost[-1] = np.full(len(cost), np.nan)
                for at, position in run["picks"].items():
                    lost[-1][int(at) - 1] = 100 * (best - reward[position])
        reached.append(value)
    return lost, reached


def median_at(values: list[Floats], at: int) -> float:
    return float(np.median([value[at] for value in values]))


def needed(values: list[Floats], goal: float) -> list[str]:
    """Trainings to the goal, as "median (quartiles)"; a run that fell short counts as infinite."""
    reached = [
        float(np.argmax(value >= goal) + 1) if (value >= goal).any() else np.inf for value in values
    ]
    low, middle, high = np.quantile(reached, [0.25, 0.5, 0.75], method="higher")
    shown = [f"{x:.0f}" if np.isfinite(x) else "∞" for x in (middle, low, high)]
    return [f"{shown[0]} ({shown[1]}–{shown[2]})"]


def summaries(loss: list[Floats]) -> list[str]:
    """ "median (quartiles)" at each of ``AT`` that every run reached."""
    out = []
    for at in AT:
        seen = np.array([one[at - 1] for one in loss if len(one) >= at])
        if len(seen) < len(loss) or np.isnan(seen).any():
            out.append("")
            continue
        low, middle, high = np.quantile(seen, [0.25, 0.5, 0.75])
        out.append(f"{middle:.2f} ({low:.2f}–{high:.2f})")
    return out


def draw(curves: dict[str, dict[str, list[Floats]]], path: Path) -> None:
    """A panel a task: medians, quartiles shaded; losses below ``FLOOR`` are drawn there."""
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.5))
    panels = axes.flatten()
    colours: dict[str, str] = defaultdict(lambda: f"C{len(colours)}")
    for axis, (task, found) in zip(panels, curves.items(), strict=False):
        for name, loss in found.items():
            length = min(len(one) for one in loss)
            stack = np.maximum([one[:length] for one in loss], FLOOR)
            at = np.flatnonzero(np.isfinite(stack).all(0))
            low, middle, high = np.quantile(stack[:, at], [0.25, 0.5, 0.75], axis=0)
            dashes = "--" if "-" in name else "-"  # variants of auto may coincide with it
            axis.plot(at + 1, middle, dashes, label=name, color=colours[name])
            axis.fill_between(at + 1, low, high, color=colours[name], alpha=0.12, linewidth=0)
        axis.set(title=task, xlabel="trainings", xscale="log", yscale="log")
        axis.set_ylabel("hypervolume missing, %" if task == "front" else "regret, points")
        for ruler in (axis.xaxis, axis.yaxis):
            ruler.set_major_formatter("{x:g}")
            ruler.set_minor_formatter("")
    handles = {name: Line2D([], [], color=colour) for name, colour in colours.items()}
    for axis in panels[len(curves) :]:
        axis.axis("off")
    panels[-1].legend(handles.values(), handles.keys(), loc="center", frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
