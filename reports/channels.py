"""The page of a search for channels: which way of growing was accurate, setting by setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray

from models.cost import cost
from models.spec import ArchSpec
from nas.calibrate import FEWEST, agreement
from nas.channels.compare import LINEAR, STAGEWISE, Accuracies, read_conventions, verdict
from nas.channels.space import CHANNELS
from nas.costing import cost_text, limits_text
from nas.objective import Objective
from nas.result import Candidate, candidates
from reports.figures import CHOSEN, FRONT, PLAIN, SCALE, save
from reports.page import Page
from trials.store.header import FILE_NAME, read_header
from trials.store.study import read_run

SHARE = 0.1  # of the networks that are a group
GROUPS = {"top 10 %": CHOSEN, "middle 10 %": PLAIN, "bottom 10 %": FRONT}
Floats = NDArray[np.float64]


class Setting(NamedTuple):
    """A search's networks, best first, and the conventions trained beside them."""

    name: str
    limits: str
    sampler: str
    ranked: list[Candidate]
    accuracies: Accuracies
    conventions: dict[str, ArchSpec]

    @property
    def groups(self) -> dict[str, list[Candidate]]:
        """The best, the middle and the worst tenth, one network at the least."""
        count = max(1, round(SHARE * len(self.ranked)))
        middle = (len(self.ranked) - count) // 2
        parts = (self.ranked[:count], self.ranked[middle : middle + count], self.ranked[-count:])
        return dict(zip(GROUPS, parts, strict=True))


def read_setting(directory: Path, storage: str | None = None) -> Setting:
    """What one search's directory holds. Raises ValueError where nothing was trained yet."""
    run = read_run(directory, from_json=ArchSpec.from_json, storage=storage)
    objective = Objective.of(run.settings)
    ranked = sorted(candidates(run.finished(), objective), key=lambda c: (-c.accuracy, c.number))
    if not ranked:
        raise ValueError(f"{directory} has no network that was trained")
    budget = f"{cost_text('macs', objective.budget)} FLOPs, {limits_text(objective.limits)}"
    return Setting(directory.name, budget, run.settings["sampler"], ranked,
                   *read_conventions(directory, storage))  # fmt: skip


def report(place: Path, storage: str | None = None) -> Path:
    """Write channels.csv, channels.png and channels.html from the searches below ``place``.

    ``storage`` need only be given where the studies' URL has a password.
    Raises ValueError where there are none.
    """
    settings = [read_setting(directory, storage) for directory in _directories(place)]
    _table(settings).to_csv(place / "channels.csv", index=False)
    _figure(place / "channels.png", settings)
    page = Page(f"How channels should grow: {place.name}")
    page.lead(_verdict(settings))
    page.figure(
        place / "channels.png",
        "Channels against the block's number: the means of the best, middle and worst tenth of "
        "each search's networks, with one standard deviation; dashed and dotted, the largest "
        "networks of both conventions under the same limits.",
    )
    page.table(_HEAD, [row for setting in settings for row in _group_rows(setting)])
    page.note(
        "Off the line: root mean square of f's distance from the straight line, 0 for ReXNet's own "
        "channels; f is a network's channels brought to 0 at the first block and 1 at the last. "
        "Groups are of networks that a sampler chose, so their spread is not that of the space, "
        "unless the sampler is random."
    )
    for setting in settings:
        _about(page, setting)
    page.write(place / "channels.html")
    return place / "channels.html"


def told(directories: Sequence[Path], storage: str | None = None) -> str:
    """What is printed at the end: the best network of each setting, and the verdict."""
    settings = [read_setting(directory, storage) for directory in directories]
    lines = []
    for one in settings:
        best = one.ranked[0]
        lines.append(f"{one.limits}: {best.spec.name}, accuracy {best.accuracy:.4f}")
        lines.append(f"  channels {' '.join(map(str, widths(best.spec)))}")
    return "\n".join([*lines, _verdict(settings)])


def _directories(place: Path) -> list[Path]:
    found = [
        file.parent
        for file in sorted(place.glob(f"*/{FILE_NAME}"))
        if read_header(file.parent).settings.get("space") == CHANNELS
    ]
    if not found:
        raise ValueError(f"{place} holds no search of nas.channels: give the directory of one")
    return sorted(found, key=lambda one: read_header(one).settings["objective"]["budget"])


def widths(spec: ArchSpec) -> list[int]:
    """Channels of each block."""
    return [width for stage in spec.stages for width in stage.widths]


def off_line(spec: ArchSpec) -> float:
    """Root mean square of f's distance from the line; 0 where nothing grows."""
    own = np.array(widths(spec), dtype=float)
    gained = own[-1] - own[0]
    if not gained:
        return 0.0
    f = (own - own[0]) / gained
    return float(np.sqrt(np.mean((f - np.linspace(0, 1, len(f))) ** 2)))


def _verdict(settings: Sequence[Setting]) -> str:
    found = verdict([one.accuracies for one in settings])
    if found is None:
        return "Neither convention was trained often enough to compare them."
    where = f"{found.settings} setting{'s' if found.settings > 1 else ''} of the limits"
    return (
        f"On these pictures {found.says}: {found} from {found.n} trainings of each in {where}, at "
        "equal limits of parameters and FLOPs."
    )


def _table(settings: Sequence[Setting]) -> pd.DataFrame:
    """One row a network: setting, rank, accuracy, costs, distance from the line, channels."""
    return pd.DataFrame(
        {
            "setting": one.name,
            "rank": rank,
            "trial": found.number,
            "accuracy": found.accuracy,
            **cost(found.spec)._asdict(),
            "off_line": off_line(found.spec),
            "channels": " ".join(map(str, widths(found.spec))),
        }
        for one in settings
        for rank, found in enumerate(one.ranked, 1)
    )


def _figure(path: Path, settings: Sequence[Setting]) -> None:
    columns = min(2, len(settings))
    rows = -(-len(settings) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(6.2 * columns, 4.2 * rows), layout="constrained", squeeze=False
    )
    for axes, setting in zip(grid.ravel(), settings, strict=False):
        _panel(axes, setting)
    for axes in grid.ravel()[len(settings) :]:
        axes.set_visible(False)
    save(figure, path)


def _panel(axes: Axes, setting: Setting) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    for (name, own), colour in zip(setting.groups.items(), GROUPS.values(), strict=True):
        drawn: Floats = np.array([widths(one.spec) for one in own], dtype=float)
        at, mean, spread = np.arange(1, drawn.shape[1] + 1), drawn.mean(0), drawn.std(0)
        axes.fill_between(at, mean - spread, mean + spread, color=colour, alpha=0.15, lw=0)
        axes.plot(at, mean, color=colour, marker="o", ms=3, lw=1.4, label=f"{name} (n={len(own)})")
    for name, style in ((LINEAR, "--"), (STAGEWISE, ":")):
        if name in setting.conventions:
            own_widths = widths(setting.conventions[name])
            axes.plot(range(1, len(own_widths) + 1), own_widths, style, color=SCALE, label=name)
    axes.set_title(setting.limits, fontsize=9)
    axes.set_xlabel("block")
    axes.set_ylabel("channels")
    axes.legend(fontsize=8, loc="upper left")  # each setting's groups have their own n


_HEAD = ["limits", "networks", "n", "accuracy", "FLOPs", "parameters", "off the line"]


def _group_rows(setting: Setting) -> list[list[str]]:
    rows = [_row(setting, name, own) for name, own in setting.groups.items()]
    for name, spec in setting.conventions.items():
        own = setting.accuracies.get(name, [])
        rows.append(_cells(setting, name, [spec] * len(own), own))
    return rows


def _row(setting: Setting, name: str, own: Sequence[Candidate]) -> list[str]:
    return _cells(setting, name, [one.spec for one in own], [one.accuracy for one in own])


def _cells(
    setting: Setting, name: str, specs: Sequence[ArchSpec], accuracies: Sequence[float]
) -> list[str]:
    if not specs:
        return [setting.limits, name, "0", "–", "–", "–", "–"]
    prices = [cost(spec) for spec in specs]
    macs, params = (np.mean([getattr(one, of) for one in prices]) for of in ("macs", "params"))
    spread = f" ± {100 * np.std(accuracies, ddof=1):.2f}" if len(accuracies) > 1 else ""
    return [
        setting.limits,
        name,
        str(len(specs)),
        f"{100 * np.mean(accuracies):.2f}{spread} %",
        cost_text("macs", float(macs)),
        cost_text("params", float(params)),
        f"{np.mean([off_line(spec) for spec in specs]):.3f}",
    ]


def _about(page: Page, setting: Setting) -> None:
    """One setting's own verdict, its best network, and whether the line goes with accuracy."""
    page.heading(setting.limits)
    found: Mapping[str, list[float]] = setting.accuracies
    own = verdict([dict(found)])
    if own is not None:
        page.text(f"Here {own.says}: {own} from {own.n} trainings of each.")
    best = setting.ranked[0]
    page.text(
        f"The most accurate of {len(setting.ranked)} networks (sampler {setting.sampler}) is "
        f"{best.spec.name}: {100 * best.accuracy:.2f} %, channels "
        f"{', '.join(map(str, widths(best.spec)))}."
    )
    if len(setting.ranked) >= FEWEST:
        nearness = [-off_line(one.spec) for one in setting.ranked]
        tau = agreement(nearness, [one.accuracy for one in setting.ranked])
        page.text(f"Kendall's τ between nearness to the line and accuracy: {tau}, n = {tau.n}.")
