"""Scores of untrained networks as features: standardised, and foretold where nobody asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from nas.belief.model import Data, Model
from nas.belief.scores import Scores
from nas.candidates import Floats
from nas.space import Batch, Space

REFERENCE = 64  # networks of the window that scores are standardised over, and foretold by
LEAST = 8  # of them, that must have a score
_MIDDLE, _SPREAD = 0.6, 0.03  # where a model of accuracies expects its values


class Scored:
    """``scores`` of rows (N, D) of ``space``, (N, scores), standardised over ``reference``.

    ``see`` gives what else is known of rows. Nothing is asked before the first row is: a score
    costs seconds. Raises ValueError then for a score that hardly any network has.
    """

    def __init__(
        self, scores: Scores, space: Space, reference: Batch, see: Callable[[Batch], Data]
    ) -> None:
        self.names = scores.names
        self._scores, self._space, self._see = scores, space, see
        self._reference = reference[:REFERENCE]

    def own(self, rows: Batch) -> Floats:
        """What each network scores; as expected where it has no such score."""
        found = self._standard(self._ask(rows))
        missing = np.isnan(found)
        return np.where(missing, self.expected(rows), found) if missing.any() else found

    def expected(self, rows: Batch) -> Floats:
        """What the other features foretell, whatever is known of the rows themselves."""
        data = self._see(rows)
        found = np.stack([model.mean(data) for model in self._models], 1)
        return (found - _MIDDLE) / _SPREAD

    def _ask(self, rows: Batch) -> Floats:
        return self._scores([self._space.spec_of(row) for row in rows])

    def _standard(self, raw: Floats) -> Floats:
        mean, sd = self._moments
        found: Floats = (raw - mean) / sd
        return found

    @cached_property
    def _raw(self) -> Floats:
        raw = self._ask(self._reference)
        for name, count in zip(self.names, np.isfinite(raw).sum(0), strict=True):
            if count < min(LEAST, len(raw)):
                raise ValueError(
                    f"of {len(raw)} networks {count} have a score {name}: leave it out"
                )
        return raw

    @cached_property
    def _moments(self) -> tuple[Floats, Floats]:
        sd = np.nanstd(self._raw, 0)
        return np.nanmean(self._raw, 0), np.where(sd > 0, sd, 1.0)

    @cached_property
    def _models(self) -> list[Model]:
        data, models = self._see(self._reference), []
        for column in self._standard(self._raw).T:
            known = np.flatnonzero(np.isfinite(column))
            models.append(Model(data.take(known), _MIDDLE + _SPREAD * column[known]))
        return models
