"""What the fitted surface says: its optimum, how sure that is, and differences between networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from scaling_search.surface.regression import Posterior
from scaling_search.surface.simplex import Array, basis, degrees, leading_quadratic, mesh

LEVEL = 0.9
_JOINT = math.sqrt(chi2.ppf(LEVEL, 2))

# Surfaces are taken to be concave, unless fewer draws than this are: accuracy gains diminish.
_CONCAVE_AT_LEAST = 0.05
_DRAWS = 2000
_NOTHING = 1e-12


@dataclass(frozen=True)
class Region:
    """Where the optimum may be.

    ``inside`` marks the nodes of ``simplex.mesh()`` that are not worse enough than the optimum to
    be ruled out; ``size`` is their part of the triangle. ``low`` and ``high`` (3,) are the bounds
    of each share by itself. All hold at ``LEVEL``.
    """

    inside: NDArray[np.bool_]
    low: Array
    high: Array

    @property
    def size(self) -> float:
        """The part of the triangle that is inside."""
        return float(self.inside.mean())


class Surface:
    """A fitted surface; what it says is determined by the trainings and the seed of its draws."""

    def __init__(self, posterior: Posterior, seed: int = 0, draws: int = _DRAWS) -> None:
        self.posterior = posterior
        theta = posterior.draw(draws, np.random.default_rng(seed))[:, : len(degrees())]
        concave = _is_concave(theta)
        self._theta = theta[concave] if concave.mean() >= _CONCAVE_AT_LEAST else theta
        self._mean = self._theta.mean(axis=0)

    def mean(self, at: Array) -> Array:
        """Expected accuracy at shares (n, 3), for an average seed; shape (n,)."""
        values: Array = basis(at) @ self._mean
        return values

    def draws(self, at: Array) -> Array:
        """The posterior's draws of f at shares (n, 3); shape (draws, n)."""
        return self._over_mesh if at is mesh() else self._theta @ basis(at).T

    @cached_property
    def _over_mesh(self) -> Array:
        values: Array = self._theta @ basis(mesh()).T
        return values

    @cached_property
    def optimum(self) -> Array:
        """The shares of the highest expected accuracy, no dimension shrinking; shape (3,)."""
        best: Array = mesh()[self._best]
        return best

    @cached_property
    def _best(self) -> int:
        return int(np.argmax(self.mean(mesh())))

    @cached_property
    def optima(self) -> Array:
        """Where each draw of the surface is highest; places in the mesh, shape (draws,)."""
        places: Array = np.argmax(self.draws(mesh()), axis=1)
        return places

    def deficit(self, at: Array) -> Array:
        """How far below the optimum, in standard deviations of the difference; shape (n,)."""
        behind = self.mean(self.optimum[None]) - self.mean(at)
        spread = (self.draws(self.optimum[None]) - self.draws(at)).std(axis=0)
        deviations: Array = np.maximum(behind, 0) / np.maximum(spread, _NOTHING)
        return deviations

    @cached_property
    def region(self) -> Region:
        """All shares that are not significantly worse than the optimum.

        Where the surface is nearly quadratic around its optimum and the error of the optimum's
        place is normal, twice the deficit of the true place is at most the root of a χ² variable of
        2 degrees of freedom: half of its quantile is critical. An optimum that is pushed against an
        edge stops short of the quadratic's: across the edge its deficit grows up to linearly, which
        makes from half to all of the quantile critical, ¾ say, and 5/8 with the direction along
        it. ``on_edge`` weighs the two.
        """
        return Region(self.deficit(mesh()) <= self._critical, *self.interval(mesh()))

    def rules_out(self, at: Array) -> bool:
        """Whether shares (3,) lie outside the region."""
        return bool(self.deficit(at[None])[0] > self._critical)

    @property
    def _critical(self) -> float:
        return _JOINT * (1 / 2 + self.on_edge / 8)

    @cached_property
    def on_edge(self) -> float:
        """The part of the draws' optima that lie on the triangle's edge."""
        return float((mesh()[self.optima].min(axis=1) == 0).mean())

    def interval(self, values: Array) -> tuple[Array, Array]:
        """The bounds of functions of the optimum's place, each by itself.

        ``values`` (nodes, k) are theirs over the mesh; both results are (k,). The shortest interval
        that holds ``LEVEL`` of the draws' optima, widened where it lacks the expected surface's.
        An optimum at the triangle's edge needs no care: there, draws' optima lie on the edge, too.
        """
        ordered = np.sort(values[self.optima], axis=0)
        held = math.ceil(LEVEL * len(ordered))
        widths = ordered[held - 1 :] - ordered[: len(ordered) - held + 1]
        first, columns = widths.argmin(axis=0), np.arange(values.shape[1])
        own = values[self._best]
        low: Array = np.minimum(ordered[first, columns], own)
        high: Array = np.maximum(ordered[first + held - 1, columns], own)
        return low, high

    def difference(self, one: Array, other: Array) -> tuple[float, float, float]:
        """f(one) - f(other) for shares (3,): expected value, and the 90 % interval."""
        draws = self.draws(one[None])[:, 0] - self.draws(other[None])[:, 0]
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(draws, (tail, 1 - tail))
        return float(self.mean(one[None])[0] - self.mean(other[None])[0]), float(low), float(high)

    @cached_property
    def regret(self) -> float:
        """Accuracy that the optimum is expected to lack against the true one."""
        every = self.draws(mesh())
        return float((every.max(axis=1) - self.draws(self.optimum[None])[:, 0]).mean())


def _is_concave(theta: Array) -> Array:
    """Whether the quadratic nearest to each surface (over the triangle) is concave; (draws,)."""
    # Leading coefficients of y², xy, x²: the Hessian is [[2·yy, xy], [xy, 2·xx]].
    yy, xy, xx = (theta[:, 3:6] @ leading_quadratic()).T
    result: Array = (yy <= 0) & (xx <= 0) & (4 * yy * xx >= xy**2)
    return result
