"""Latency as a search's cost: measured of what is proposed, predicted for all else.

    from nas.costing.latency import Latency
    found = search(space, evaluate, budget=0.012, cost=Latency(measure))

MnasNet's own objective, ACC·(LATENCY/T)^w (Tan et al. 2019, arXiv:1807.11626, equation 2), with a
window of latencies for what may be trained. Before the first training some dozen networks are
measured, and a model of them (``nas.costing.latency_model``) predicts what the search looks at. A
network that it would train is measured first. Outside the window it is refused, and the next one is
measured; inside, the measurement is what the study is told, so nothing is trained whose measured
median lies above the budget. Every measurement teaches the model, and is kept in the study.

Latencies are ratios to that of the space's template, which is timed in turn with each network
(``trials.latencies``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna

from nas.costing import LATENCY, Costing, Floats, Settled
from nas.costing.latency_model import LatencyModel
from nas.objective import Objective
from nas.space import Batch, Space
from trials.latencies import Measure, Paired, Readings

SAMPLE = 32
_LEAST = 8  # networks in a sample
_FIRST = 16  # of the sample, half of it at most, drawn from the whole space; the rest from the
# predicted window
_BATCH = 8  # networks that are measured between two fits while the sample grows
_DRAWN = 2000


@dataclass(frozen=True)
class Latency:
    """How a search comes by latencies, in seconds for one batch.

    measure      spec → what one short timing of some passes says, warm-up excluded, as a
                 ``trials.latencies.Reading``. It is asked for 8 to 32
                 timings of a network. None reads a study that has all it needs
    measured_on  what they hold for, as JSON: device, threads, batch; must agree on resuming
    sample       networks that are measured before the first training
    watch        wraps the sample's numbers to show how far it is, as tqdm does

    Raises ValueError for a sample of fewer than 8 networks.
    """

    measure: Measure | None
    measured_on: dict[str, Any] = field(default_factory=dict)
    sample: int = SAMPLE
    watch: Callable[[Iterable[int]], Iterable[int]] = iter

    def __post_init__(self) -> None:
        if self.sample < _LEAST:
            raise ValueError(f"a sample of {self.sample} networks: at least {_LEAST} are needed")

    @property
    def facts(self) -> dict[str, Any]:
        """What a run records of it, and what must agree on resuming."""
        return {"measured_on": self.measured_on, "sample": self.sample}

    def costing(
        self, space: Space, objective: Objective, study: optuna.Study, seed: int
    ) -> MeasuredLatency:
        """The latencies of ``space``, once the sample is measured or read from ``study``.

        Raises ValueError where something is to be measured and there is no ``measure``, and for a
        latency that is not positive.
        """
        readings = Paired(study, space.template, self.measure, self.measured_on)
        rng = np.random.default_rng(seed)
        rows, seconds = space.random(min(_FIRST, self.sample // 2), rng), np.empty(0)
        for number in self.watch(range(self.sample)):
            if number == len(rows):
                model = LatencyModel(space, rows, seconds)
                drawn = space.random(_DRAWN, rng)
                away = objective.outside(model(drawn))
                rows = np.vstack([rows, drawn[np.argsort(away, kind="stable")[:_BATCH]]])
            seconds = np.append(seconds, readings.read(space.spec_of(rows[number])).median)
        return MeasuredLatency(space, readings, (rows[: self.sample], seconds))


class MeasuredLatency(Costing):
    """Seconds: as ``readings`` has them, or as the model of ``sample`` and all that was learned
    since predicts them.

    ``sample`` are the candidates (N, D) that were measured first, and their latencies (N,).
    """

    def __init__(self, space: Space, readings: Readings, sample: tuple[Batch, Floats]) -> None:
        super().__init__(space, LATENCY)
        self.readings, self.sample = readings, sample
        self._expected: dict[bytes, float] = {}
        self.learn(lambda *_: (sample[0][:0], sample[1][:0]))

    def costs(self, rows: Batch) -> Floats:
        found = self.model(rows)
        for i, row in enumerate(rows):
            found[i] = self._known.get(row.tobytes(), found[i])
        return found

    def learn(self, settled: Settled) -> None:
        rows, costs = settled()
        self._rows = np.vstack([self.sample[0], rows])
        self._seconds = np.append(self.sample[1], costs)
        self._fit()

    def settle(self, row: Batch) -> float:
        key = row.tobytes()
        if key not in self._known:
            self._expected[key] = float(self.model(row[None])[0])
            measured = self.readings.read(self.space.spec_of(row)).median
            self._rows = np.vstack([self._rows, row])
            self._seconds = np.append(self._seconds, measured)
            self._fit()
        found: float = self._known[key]
        return found

    def details(self, row: Batch) -> dict[str, Any]:
        """Median and quartiles of the timings, and what the model expected before (None where it
        was measured with the sample), all in seconds."""
        reading = self.readings.read(self.space.spec_of(row))
        return {
            "latency": reading.median,
            "latency_low": reading.low,
            "latency_high": reading.high,
            "latency_expected": self._expected.get(row.tobytes()),
        }

    def _fit(self) -> None:
        self.model = LatencyModel(self.space, self._rows, self._seconds)
        keys = (row.tobytes() for row in self._rows)
        self._known = dict(zip(keys, self._seconds.tolist(), strict=True))
