"""What a predictor of accuracy is told about a network; all of it known before any training.

Columns are standardised over the networks in the window and gathered in groups:

choices   every choice, ordinal; a choice among three or more words also one-hot
types     the mean of each kind of choice (kernel, expansion, …) over the stages
trends    the same weighted by the stage's position: what a kind is worth early against late
totals    logarithms of the network's macs, params, activations
stages    logarithms of each stage's
balance   the mean of those over the stages: by concavity, greatest when no stage is starved

Sharing by kind and by position is what makes tens of trainings say something about choices that
they did not try. ``capacity`` is the guess that needs none: at equal multiply-adds, networks with
more parameters, spread evenly over the stages, are the more accurate ones.
"""

from __future__ import annotations

import numpy as np

from nas.candidates import Candidates, Floats
from nas.space import Batch, Space, Value

REFERENCE = 1000  # networks that columns are standardised over

KIND = 0.15  # what a kind of choice is worth, of what the parameters are

Groups = dict[str, Floats]


class Features:
    """The map from rows (N, D) to standardised groups, each (N, its columns)."""

    def __init__(self, candidates: Candidates) -> None:
        self._space = space = candidates.space
        self._columns = _columns(space)
        rows = self.reference(candidates)
        raw = self._raw(rows)
        self._mean = {name: group.mean(0) for name, group in raw.items()}
        self._sd = {name: _spread(group) for name, group in raw.items()}
        self._capacity_sd = 1.0
        known = self(rows)
        parameters = known["totals"][:, 1:2] + known["balance"][:, 1:2]
        self._capacity_sd = float(_spread(parameters)[0])

    def __call__(self, rows: Batch) -> Groups:
        raw = self._raw(rows)
        return {name: (group - self._mean[name]) / self._sd[name] for name, group in raw.items()}

    def capacity(self, groups: Groups) -> Floats:
        """(N,): the parameters in total and their evenness, weighed alike, standardised, and a
        little for a larger value of any kind of choice: kernels and attention add few."""
        parameters = groups["totals"][:, 1] + groups["balance"][:, 1]
        found: Floats = parameters / self._capacity_sd + KIND * groups["types"].sum(1)
        return found

    @staticmethod
    def reference(candidates: Candidates) -> Batch:
        """The networks that columns are standardised over: in the window, unless it is narrow."""
        rng = np.random.default_rng(0)
        rows = candidates.draw(REFERENCE, rng)
        return rows if len(rows) >= REFERENCE // 10 else candidates.space.random(REFERENCE, rng)

    def _raw(self, rows: Batch) -> Groups:
        parts = self._space.part_costs(rows)[:, :, :3].astype(float)
        stages = np.log1p(parts[:, 1:-1])
        position = np.linspace(-1, 1, stages.shape[1]) if stages.shape[1] > 1 else np.zeros(1)
        choices = np.stack([table[rows[:, d]] for d, _, _, table in self._columns], 1)
        kinds = np.array([kind for _, kind, _, _ in self._columns])
        where = position[[stage for _, _, stage, _ in self._columns]]
        masks = [kinds == kind for kind in dict.fromkeys(kinds)]
        return {
            "choices": choices,
            "types": np.stack([choices[:, mask].mean(1) for mask in masks], 1),
            "trends": np.stack([(choices * where)[:, mask].mean(1) for mask in masks], 1),
            "totals": np.log1p(parts.sum(1)),
            "stages": stages.reshape(len(rows), -1),
            "balance": stages.mean(1),
        }


def _columns(space: Space) -> list[tuple[int, str, int, Floats]]:
    """(choice, kind, stage, what each of its values reads) of every column of ``choices``."""
    out: list[tuple[int, str, int, Floats]] = []
    d = 0
    for stage, choices in enumerate(space.places):
        for kind, values in choices.values.items():
            out.append((d, kind, stage, np.linspace(-1, 1, len(values))))
            if len(values) > 2 and any(isinstance(value, str) for value in values):
                out += [
                    (d, f"{kind}={value}", stage, _hot(i, values)) for i, value in enumerate(values)
                ]
            d += 1
    return out


def _hot(i: int, values: tuple[Value, ...]) -> Floats:
    hot: Floats = np.eye(len(values))[i]
    return hot


def _spread(group: Floats) -> Floats:
    """Standard deviations; 1 for a column that does not vary."""
    sd = group.std(0)
    return np.where(sd > 1e-9, sd, 1.0)
