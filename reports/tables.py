"""Trials as data frames, and the CSV files beside the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from trials.view import Record


def trials_table(records: Sequence[Record]) -> pd.DataFrame:
    """One row a finished trial: what was trained, what it cost, what came of it or why not."""
    return pd.DataFrame([_row(record) for record in records])


def _row(record: Record) -> dict[str, Any]:
    found, failed = record.evaluation, record.failure
    row: dict[str, Any] = {
        "number": record.number,
        "state": record.state,
        "network": record.spec.name,
        "key": record.spec.key,
        "accuracy": None if found is None else found.accuracy,
        "loss": None if found is None else found.loss,
        "value": record.values[0] if record.values else None,
        "seed": record.seed,
        "seconds": found.seconds if found else failed.seconds if failed else None,
        "device": None if found is None else found.device,
        "recipe": None if found is None else found.recipe,
        "micro_batch": None if found is None else found.details.get("micro_batch"),
        "failure": None if failed is None else f"{failed.kind}: {failed.reason}",
    }
    row |= {name: value for name, value in record.cost.items() if name != "cost"}
    row |= record.params
    return row | {"spec": record.spec.to_json()}
