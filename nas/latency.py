"""Latency as a search's cost: measured of what is proposed, predicted for all else.

    from nas.latency import Latency
    found = search(space, evaluate, budget=0.012, cost=Latency(measure))

MnasNet's own objective, ACC·(LATENCY/T)^w (Tan et al. 2019, arXiv:1807.11626, equation 2), with a
window of latencies for what may be trained. Before the first training some dozen networks are
measured, and a model of them (``nas.latency_model``) predicts what the search looks at. A network
that it would train is measured first. Outside the window it is refused, and the next one is
measured; inside, the measurement is what the study is told, so nothing is trained whose measured
median lies above the budget. Every measurement teaches the model, and is kept in the study.

A machine on which others work is slower at one time than at another, by more than networks differ.
So each network is timed in turn with the space's template, until the median ratio of the two is
known to about 1 % or the rounds are spent, and its latency is that ratio times what the template
took at the beginning: the lower quartile of its timings alone, because other work only ever adds
to a latency.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import optuna

from models.spec import ArchSpec
from nas.costing import LATENCY, Costing, Floats
from nas.latency_model import LatencyModel
from nas.objective import Objective
from nas.space import Batch, Space
from trials.readings import Measure, Reading, Readings

SAMPLE = 32
_FEWEST, _MOST = 8, 32  # rounds
_PRECISION = 0.01  # standard error of the median ratio at which the rounds end
_LEAST = 8  # networks in a sample
_FIRST = 16  # of the sample, half of it at most, drawn from the whole space; the rest from the
# predicted window
_BATCH = 8  # networks that are measured between two fits while the sample grows
_DRAWN = 2000
_ALONE = 1  # the occasion on which it is timed alone


@dataclass(frozen=True)
class Latency:
    """How a search comes by latencies, in seconds for one batch.

    measure      spec → what one short timing of some passes says, warm-up excluded, as a
                 ``training.latency.Latency`` or anything with its fields. It is asked for 8 to 32
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
        readings = self._readings(space.template, study)
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

    def _readings(self, template: ArchSpec, study: optuna.Study) -> Readings:
        if self.measure is None:
            return Readings(study)
        alone = partial(_alone, self.measure)
        base = Readings(study, alone, self.measured_on).read(template, _ALONE).low
        paired = partial(_paired, self.measure, template, base)
        return Readings(study, paired, self.measured_on)


def reference(study: optuna.Study, template: str) -> Reading | None:
    """What the template of that key took alone, in a study whose cost is latency."""
    return Readings(study).stored(template, _ALONE)


class MeasuredLatency(Costing):
    """Seconds: as ``readings`` has them, or as the model of ``sample`` and all that was learned
    since predicts them.

    ``sample`` are the candidates (N, D) that were measured first, and their latencies (N,).
    """

    def __init__(self, space: Space, readings: Readings, sample: tuple[Batch, Floats]) -> None:
        super().__init__(space, LATENCY)
        self.readings, self.sample = readings, sample
        self._expected: dict[bytes, float] = {}
        self.learn(sample[0][:0], sample[1][:0])

    def costs(self, rows: Batch) -> Floats:
        found = self.model(rows)
        for i, row in enumerate(rows):
            found[i] = self._known.get(row.tobytes(), found[i])
        return found

    def learn(self, rows: Batch, costs: Floats) -> None:
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


def _alone(measure: Measure, spec: ArchSpec) -> Reading:
    return _reading([_seconds(measure, spec) for _ in range(_MOST)])


def _paired(measure: Measure, template: ArchSpec, base: float, spec: ArchSpec) -> Reading:
    """Timed in turn with the template, which takes ``base`` seconds alone."""
    found: list[float] = []
    while True:
        now = _seconds(measure, template)
        found.append(_seconds(measure, spec) / now * base)
        reading = _reading(found)
        # Standard error of a median: 1.25 σ/√n, σ = the distance of the quartiles / 1.35.
        error = 0.93 * (reading.high - reading.low) / math.sqrt(reading.n)
        precise = error <= _PRECISION * reading.median
        if reading.n == _MOST or (precise and reading.n >= _FEWEST):
            return reading


def _seconds(measure: Measure, spec: ArchSpec) -> float:
    seconds = float(measure(spec).median)
    if not 0 < seconds < math.inf:
        raise ValueError(f"measured {seconds!r}: a latency is a positive number of seconds")
    return seconds


def _reading(seconds: list[float]) -> Reading:
    """Median and quartiles (linear between the two nearest) of at least one timing."""
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75]).tolist()
    return Reading(median, low, high, len(seconds))
