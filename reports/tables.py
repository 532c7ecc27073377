"""Trials as data frames, and the CSV files beside the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from trials.store.view import Record

COLUMNS = {
    "number": "of the trial, from 0",
    "state": "complete, stopped (early) or failed",
    "network": "its name",
    "key": "the same for equal networks, whatever their names",
    "accuracy": "in [0, 1], on the validation split: what the search maximises",
    "plain_accuracy": "in [0, 1]: of all pictures",
    "balanced_accuracy": "in [0, 1]: the mean of the classes' own accuracies",
    "loss": "mean cross-entropy, in nats",
    "probability": "in [0, 1]: the mean that is given to the pictures' own classes",
    "value": "what the study optimises, the reward of a network search; its first value",
    "seed": "of the training",
    "seconds": "of wall time",
    "device": "on which it was trained",
    "recipe": "the key of its settings, which are in run.json",
    "micro_batch": "images that went through at once",
    "stopped_at": "the share of the training that was made, of one that was stopped early",
    "stopped_accuracy": "in [0, 1], at that share",
    "failure": "of one that failed: its kind and the reason",
    "macs": "FLOPs: multiply-adds of convolution and linear layers for one image",
    "params": "parameters",
    "activations": "elements that convolution and linear layers put out, for one image",
    "fvcore": "FLOPs as fvcore counts them: norms and average pools as well",
    "latency": "in seconds, where the cost is a latency",
}
"""What each column of a run's trainings is, and its unit; all of them are there, but for
``latency``. After them come the choices, by their names, and ``spec``, the network as JSON."""


def trials_table(records: Sequence[Record]) -> pd.DataFrame:
    """One row a finished trial: what was trained, what it cost, what came of it or why not."""
    table = pd.DataFrame([_row(record) for record in records])
    return table.reindex(columns=[*COLUMNS, "spec"]) if table.empty else table


def _row(record: Record) -> dict[str, Any]:
    found, failed, stopped = record.evaluation, record.failure, record.stopped
    made = stopped.evaluation if stopped else found
    told = {} if found is None else found.details
    row: dict[str, Any] = {
        "number": record.number,
        "state": record.state,
        "network": record.spec.name,
        "key": record.spec.key,
        "accuracy": None if found is None else found.accuracy,
        "plain_accuracy": told.get("plain_accuracy"),
        "balanced_accuracy": told.get("balanced_accuracy"),
        "loss": None if found is None else found.loss,
        "probability": told.get("probability"),
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
