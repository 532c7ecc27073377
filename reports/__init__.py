"""A study made readable: tables, figures and one HTML page, drawn from the study alone.

table = reports.load("runs/nas-400M-pictures")      # pandas, a row a training (docs/tables.md)
table.to_parquet("trials.parquet")                  # with the extra shards
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def load(run: str | Path, storage: str | None = None) -> pd.DataFrame:
    """The trainings of a search or a study, a row each, as ``reports.tables.COLUMNS`` says.

    ``run`` is its directory, or with ``storage``, the URL of a database, its study's name. Looks
    only: a run that is being driven can be loaded. Raises ValueError where there is none.
    """
    from models.spec import ArchSpec  # seconds to load, which ``--help`` need not
    from reports.tables import trials_table
    from trials.store.study import read_run

    found = read_run(Path(run), from_json=ArchSpec.from_json, storage=storage)
    return trials_table(found.finished())
