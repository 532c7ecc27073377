"""Trials as data frames, and the CSV files beside the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from trials.store.view import Record


def trials_table(records: Sequence[Record]) -> pd.DataFrame:
    """One row a finished trial: what was trained, what it cost, what came of it or why not."""
    return pd.DataFrame([_row(record) for record in records])


def _row(record: Record) -> dict[str, Any]:
    found, failed, stopped = record.evaluation, record.failure, record.stopped
    made = stopped.evaluation if stopped else found
    row: dict[str, Any] = {
        "number": record.number,
        "state": record.state,
        "network": record.spec.name,
        "key": record.spec.key,
        "accuracy": None if found is None else found.accuracy,
        "plain_accuracy": None if found is None else found.details.get("plain_accuracy"),
        "balanced_accuracy": None if found is None else found.details.get("balanced_accuracy"),
        "loss": None if found is None else found.loss,
        "value": record.values[0] if record.values else None,
        "seed": record.seed,
        "seconds": made.seconds if made else failed.seconds if failed else None,
        "device": None if made is None else made.device,
        "recipe": None if made is None else made.recipe,
        "micro_batch": None if made is None else made.details.get("micro_batch"),
        "stopped_at": None if stopped is None else stopped.share,
        "stopped_accuracy": None if stopped is None else stopped.evaluation.accuracy,
        "failure": None if failed is None else f"{failed.kind}: {failed.reason}",
    }
    row |= {name: value for name, value in record.cost.items() if name != "cost"}
    row |= record.params
    return row | {"spec": record.spec.to_json()}


def stopped_table(records: Sequence[Record]) -> list[list[str]]:
    """Number, network, share of the training, accuracy then and its bar of each stopped trial."""
    return [
        [
            str(record.number),
            record.spec.name,
            f"{100 * at.share:g} %",
            f"{100 * at.evaluation.accuracy:.2f} %",
            f"{100 * dict(record.bars).get(at.share, 0.0):.2f} %",
        ]
        for record in records
        if (at := record.stopped) is not None
    ]
