"""A network stage by stage, as a data frame and as people read it."""

from __future__ import annotations

import pandas as pd

from common.units import format_size
from models.describe import stages
from models.spec import ArchSpec


def stage_table(spec: ArchSpec) -> pd.DataFrame:
    """One row for the stem, each stage and the head.

    Columns: operator, resolution (of the input map in pixels, as ``"112×112"``), channels, layers,
    macs, params.
    """
    table = pd.DataFrame(stages(spec))
    table["resolution"] = [f"{side}×{side}" for side in table["resolution"]]
    return table


def readable(table: pd.DataFrame) -> list[list[str]]:
    """The rows with sizes as people read them."""
    return [
        [*(str(cell) for cell in row[:4]), format_size(row[4]), format_size(row[5])]
        for row in table.itertuples(index=False)
    ]
