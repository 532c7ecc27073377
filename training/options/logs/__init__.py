"""Trainings in the logs of others' tools, TensorBoard and MLflow, each by its own library.

A search is a group of trainings there (TensorBoard: a folder, MLflow: an experiment), called like
its directory; so are all trainings of ``python -m training``, called "training". Each is a row of
facts (hyperparameters) and numbers with its curves by epoch: "training loss", and "accuracy" where
it was measured on the way. What is there already is not written again.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from models.cost import cost
from models.spec import ArchSpec
from training.options.logs.entry import Entry, Log
from training.options.logs.mlflow_log import MLflow
from training.options.logs.tensorboard_log import TensorBoard
from trials.conduct import Watch
from trials.record import Evaluation
from trials.store.view import Record, RunView

KINDS: Mapping[str, Callable[[str, str], Log]] = {"tensorboard": TensorBoard, "mlflow": MLflow}
LOSS, ON_THE_WAY = "training loss", "accuracy on the way"
Facts = Mapping[str, Any]


class Logs:
    """The logs of --log, of which one that can no longer be written is left, which is said: no
    training ends for that.

    Raises ValueError where one cannot be written from the first, or its library is missing (extras
    ``tensorboard`` and ``mlflow``).
    """

    def __init__(self, targets: Sequence[str], group: str) -> None:
        self._logs = [_opened(target, group) for target in targets]
        self._entries: dict[tuple[str, str], Entry] = {}

    def write(self, name: str, what: Callable[[Entry], None]) -> None:
        """Have ``what`` write about the training of that name, wherever it is not yet."""
        for log in list(self._logs):
            if name in log.there:
                continue
            try:
                key = log.name, name
                if key not in self._entries:
                    self._entries[key] = log.entry(name)
                what(self._entries[key])
            except Exception as error:  # the libraries' own kinds, and the network's
                self._logs.remove(log)
                print(f"{log.name}: nothing more is logged there ({_said(error)})", file=sys.stderr)


def logged(targets: Sequence[str], watch: Watch, facts: Callable[[Record], Facts]) -> Watch:
    """``watch`` that has each finished record logged too, those of earlier sittings included;
    ``facts`` are a record's hyperparameters."""
    if not targets:
        return watch

    @contextmanager
    def made(run: RunView, trials: int, **how: Any) -> Iterator[Callable[[Record], None]]:
        logs = Logs(targets, run.header.name)
        score = {how["what"]: how["score"]} if "score" in how else {}

        def write(record: Record) -> None:
            more = {name: of(record) for name, of in score.items()}
            name = f"trial-{record.number:04}"
            logs.write(name, lambda entry: _record(entry, record, facts(record), more))

        for record in run.finished():
            write(record)
        with watch(run, trials, **how) as show:

            def both(record: Record) -> None:
                show(record)
                write(record)

            yield both

    return made


def choices(record: Record) -> Facts:
    """What a network search chose."""
    return record.params


def multipliers(record: Record) -> Facts:
    """α, β and γ of a scaling search's training, as rounding has made them."""
    return as_symbols(record.attrs["realised"])


def as_symbols(realised: Mapping[str, float]) -> Facts:
    """Depth, width and resolution by the names of their coefficients."""
    names = {"alpha": "depth", "beta": "width", "gamma": "resolution"}
    return {name: realised[dimension] for name, dimension in names.items()}


def conclude(
    entry: Entry, spec: ArchSpec, found: Evaluation, facts: Facts, more: Mapping[str, float]
) -> None:
    """Write what a training came to, whose losses were written before; ``more`` are numbers."""
    epochs = len(found.details.get("losses", ())) or 1
    for share, accuracy in found.curve:
        entry.at(round(share * epochs), {ON_THE_WAY: accuracy})
    prices = cost(spec)
    told = {"accuracy": found.accuracy, "loss": found.loss, "seconds": found.seconds,
            "FLOPs": prices.macs, "parameters": prices.params, **more}  # fmt: skip
    numbers = {name: float(one) for name, one in told.items() if one is not None}
    entry.end(facts, {name: one for name, one in numbers.items() if math.isfinite(one)})


def _record(entry: Entry, record: Record, facts: Facts, more: Mapping[str, float]) -> None:
    if (found := record.evaluation) is None:
        cut = record.stopped and f"stopped early, at {100 * record.stopped.share:g} %"
        entry.end(facts, {}, record.failure.reason if record.failure else cut or record.state)
        return
    for epoch, loss in enumerate(found.details.get("losses", ()), 1):
        entry.at(epoch, {LOSS: loss})
    conclude(entry, record.spec, found, facts, more)


def _opened(target: str, group: str) -> Log:
    kind, _, place = target.partition(":")
    try:
        return KINDS[kind](place, group)
    except ImportError as error:
        raise ValueError(f"--log {kind}: {error}: pip install 'evenscale[{kind}]'") from error
    except Exception as error:  # the library's own kinds
        raise ValueError(f"--log {kind}:{place:.200} cannot be had: {_said(error)}") from error


def _said(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
