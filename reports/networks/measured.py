"""Published networks as they measure, beside what was published, and the family of a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

from common.bars import tqdm
from models.choose import read
from models.cost import cost
from models.reference import Missing, measure
from models.reference.published import HISTORY, PUBLISHED, RESULTS_TABLE, Published, TableRow
from models.spec import MAX_JSON


class Compared(NamedTuple):
    """A measured number and the published one, where there is one."""

    measured: float
    published: float | None = None

    @property
    def deviation(self) -> float | None:
        """Of the measured from the published, in per cent."""
        return 100 * (self.measured / self.published - 1) if self.published else None


class Row(NamedTuple):
    """A network; the ratios are to the EfficientNet of its ``group``, None outside the table."""

    name: str
    params: Compared
    flops: Compared
    fvcore: int
    group: str = ""
    params_ratio: Compared | None = None
    flops_ratio: Compared | None = None
    published: Published | None = None


def rows(group: str) -> tuple[list[Row], list[str]]:
    """The networks of a group, measured, and for each that could not be: why it is left out."""
    wanted: list[tuple[str, TableRow | None]]
    if group == "table":
        wanted = [(entry.name, entry) for entry in RESULTS_TABLE]
    else:
        wanted = [(name, None) for name in HISTORY]
    found, left_out = [], []
    for name, entry in tqdm(wanted, file=sys.stderr, leave=False, disable=None, unit="network"):
        try:
            found.append(_row(name, entry))
        except Missing as error:
            left_out.append(f"{name} is left out: it {error}")
    return found, left_out


def _row(name: str, entry: TableRow | None) -> Row:
    counted, published = measure(name), PUBLISHED[name]
    params = Compared(counted.params, published.params)
    flops = Compared(counted.macs, published.flops)
    if entry is None:
        return Row(name, params, flops, counted.fvcore, published=published)
    base = measure(entry.group)
    params_ratio = Compared(counted.params / base.params, entry.params_ratio)
    flops_ratio = Compared(counted.macs / base.macs, entry.flops_ratio)
    return Row(
        name, params, flops, counted.fvcore, entry.group, params_ratio, flops_ratio, published
    )


def run_rows(run: Path) -> list[Row]:
    """The family of a scaling run, in the order of its costs.

    Raises ValueError where ``run`` has no family or a member cannot be read.
    """
    files = sorted((run / "family").glob("phi-*.json"))
    if not files:
        raise ValueError(f"{run} has no family/phi-*.json: give a finished run of scaling_search")
    return sorted((_member(path) for path in files), key=lambda row: row.flops.measured)


def _member(path: Path) -> Row:
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError(f"it has over {MAX_JSON} bytes")
        stored = json.loads(path.read_text(encoding="utf-8")).get("cost", {})
        # A user's own module has no spec to be costed: its cost was counted by the run.
        if not {"macs", "params", "fvcore"} <= stored.keys():
            stored = cost(read(path).spec)._asdict()
        params, macs, fvcore = (int(stored[key]) for key in ("params", "macs", "fvcore"))
        if min(params, macs, fvcore) < 1:
            raise ValueError("its cost is not positive")
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is no member of a family: {error}") from None
    return Row(path.stem.replace("-", " ", 1), Compared(params), Compared(macs), fvcore)
