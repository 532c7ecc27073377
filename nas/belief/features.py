"""What a predictor of accuracy is told about a network; all of it known before any training.

Columns are standardised over the networks in the window and gathered in groups:

choices   every choice, ordinal; a choice among three or more words also one-hot
types     the mean of each kind of choice (kernel, expansion, …) over the stages
trends    the same weighted by the stage's position: what a kind is worth early against late
totals    logarithms of the network's macs, params and activations, and its layers
stages    logarithms of each stage's macs, params and activations, and its layers
balance   the mean of those over the stages: by concavity, greatest when no stage is starved
capacity  the parameters in total and their evenness over the stages, weighed alike and scaled to
          one standard deviation, and a little for a larger value of any kind of choice: kernels
          and attention add few

Sharing by kind and by position is what makes tens of trainings say something about choices that
they did not try. Capacity ranks ImageNet's networks of equal multiply-adds well, and small
pictures' not at all: it is one thing that may be believed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from models.cost import Part
from models.spec import ArchSpec
from nas.candidates import Candidates, Floats
from nas.space import RESOLUTION, Batch, Space, Value

REFERENCE = 1000  # networks that columns are standardised over

KIND = 0.15  # what a kind of choice is worth, of what the parameters are

Groups = dict[str, Floats]


class Features:
    """The map from rows (N, D) to standardised groups, each (N, its columns).

    ``reference`` are the networks that columns are standardised over: random ones of the window,
    unless it is narrow.
    """

    def __init__(self, candidates: Candidates) -> None:
        self._space = space = candidates.space
        self._columns = _columns(space)
        self.reference = rows = _reference(candidates)
        raw = self._raw(rows)
        self._mean = {name: group.mean(0) for name, group in raw.items()}
        self._sd = {name: _spread(group) for name, group in raw.items()}
        self._parameters_sd = 1.0
        self._parameters_sd = float(_spread(_parameters(self(rows)))[0])

    def __call__(self, rows: Batch) -> Groups:
        raw = self._raw(rows)
        known = {name: (group - self._mean[name]) / self._sd[name] for name, group in raw.items()}
        kinds = KIND * known["types"].sum(1, keepdims=True)
        return known | {"capacity": _parameters(known) / self._parameters_sd + kinds}

    def _raw(self, rows: Batch) -> Groups:
        parts = self._space.over_parts(rows, _sizes).astype(float)
        sizes, layers = parts[:, :, :3], parts[:, :, 3:]
        stages = np.log1p(sizes[:, 1:-1])
        position = np.linspace(-1, 1, stages.shape[1]) if stages.shape[1] > 1 else np.zeros(1)
        choices = np.stack([table[rows[:, d]] for d, _, _, table in self._columns], 1)
        kinds = np.array([kind for _, kind, _, _ in self._columns])
        stands = [stage for _, _, stage, _ in self._columns]
        where = np.array([0.0 if stage is None else position[stage] for stage in stands])
        masks = [kinds == kind for kind in dict.fromkeys(kinds)]
        return {
            "choices": choices,
            "types": np.stack([choices[:, mask].mean(1) for mask in masks], 1),
            "trends": np.stack([(choices * where)[:, mask].mean(1) for mask in masks], 1),
            "totals": np.hstack([np.log1p(sizes.sum(1)), layers.sum(1)]),
            "stages": np.concatenate([stages, layers[:, 1:-1]], 2).reshape(len(rows), -1),
            "balance": stages.mean(1),
        }


def _reference(candidates: Candidates) -> Batch:
    rng = np.random.default_rng(0)
    rows = candidates.draw(REFERENCE, rng)
    return rows if len(rows) >= REFERENCE // 10 else candidates.space.random(REFERENCE, rng)


def _parameters(groups: Groups) -> Floats:
    """(N, 1): the parameters in total and their evenness, weighed alike."""
    found: Floats = groups["totals"][:, 1:2] + groups["balance"][:, 1:2]
    return found


def _sizes(network: ArchSpec, made: list[Part]) -> list[tuple[int, ...]]:
    """Of stem, each stage and head: macs, params, activations, layers."""
    # A bare projection adds no activation between two others: it makes nothing deeper.
    layers = (0, *(0 if s.block == "projection" else s.layers for s in network.stages), 0)
    return [(*part.cost[:3], count) for part, count in zip(made, layers, strict=True)]


def _columns(space: Space) -> list[tuple[int, str, int | None, Floats]]:
    """(choice, kind, stage, what each of its values reads) of every column of ``choices``."""
    out: list[tuple[int, str, int | None, Floats]] = []
    for d, (kind, stage, values) in enumerate(kinds(space)):
        out.append((d, kind, stage, np.linspace(-1, 1, len(values))))
        if len(values) > 2 and any(isinstance(value, str) for value in values):
            out += [
                (d, f"{kind}={value}", stage, _hot(i, values)) for i, value in enumerate(values)
            ]
    return out


def kinds(space: Space) -> Iterator[tuple[str, int | None, tuple[Value, ...]]]:
    """Of every choice its kind, its stage, None for the whole network's, and its values."""
    if space.resolutions:
        yield RESOLUTION, None, space.resolutions
    for stage, place in enumerate(space.places):
        for kind, values in place.values.items():
            yield kind, stage, values


def _hot(i: int, values: tuple[Value, ...]) -> Floats:
    hot: Floats = np.eye(len(values))[i]
    return hot


def _spread(group: Floats) -> Floats:
    """Standard deviations; 1 for a column that does not vary."""
    sd = group.std(0)
    return np.where(sd > 1e-9, sd, 1.0)
