"""Accuracy over the shares of depth, width and resolution, fitted to all trainings at one cost.

The model of a training at shares x with the s-th seed is

    accuracy = f(x) + slope·log(cost/target) + b_s + noise,    noise ~ N(0, σ²)

f is a polynomial of degree 4 in coordinates of the triangle, orthonormal there. Its coefficients
have normal priors of mean 0: standard deviation a·σ for degrees 1 and 2, ρ·a·σ for cubic and ρ²·a·σ
for quartic terms, so that a surface is quadratic unless the data say otherwise. Points trained with
the same seed index share data order and initial noise: the block effect b_s ~ N(0, (κσ)²) is what
pairs them. The slope, which matters for the last percent of cost only, is half of the mean one from
the baseline to the target (accuracy gains diminish). σ² has an inverse-gamma prior (``NoisePrior``)
and is integrated out; a, ρ and κ are averaged over a grid, weighted by their evidence. So the
posterior is a mixture of multivariate t distributions in closed form (Bayesian conjugate
regression, e.g. Gelman et al., "Bayesian Data Analysis", chapter 14). It does not depend on which
rule chose the points.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from scaling_search.surface.simplex import Array, basis, degrees

_SURFACE_TO_NOISE = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # a
_ROUGHNESS = (0.05, 0.25, 0.6)  # ρ
_BLOCK_TO_NOISE = (0.05, 0.7, 2.0)  # κ
_CONSTANT_TO_NOISE = 1e4
_SLOPE_SHRINKAGE = 0.5


@dataclass(frozen=True)
class NoisePrior:
    """What is held of σ beforehand: as if ``count`` trainings had shown this deviation."""

    count: float
    deviation: float

    @classmethod
    def of_pictures(cls, accuracy: float, pictures: float) -> NoisePrior:
        """The error that the choice of so many validation pictures leaves, √(p(1 - p)/n).

        Networks judged by the same pictures share a part of it, and chance in training comes on
        top; as one training's word it is overruled where networks are trained again.
        """
        smoothed = (accuracy * pictures + 1) / (pictures + 2)
        return cls(1.0, math.sqrt(smoothed * (1 - smoothed) / pictures))

    def shrunk(self, share: float) -> NoisePrior:
        """The same of values whose differences are ``share`` times as large, as those that are
        learned of losses and probabilities are (``Evidence.learned``).

        So noise is to differences beforehand as accuracies' is. That of probabilities is less, by
        how much is a matter of the pictures: too wide an idea gives way to trainings of networks
        again, while a narrow one makes a surface through few trainings seem certain.
        """
        return NoisePrior(self.count, share * self.deviation)


# Where nothing is known of the pictures. Without any idea of the noise a surface that passes
# through a handful of trainings seems certain: of the comparisons after 7, 6 in 100 held the truth.
VAGUE = NoisePrior(1.0, 0.005)


@dataclass(frozen=True)
class Trainings:
    """What was trained at the target's cost.

    at        shares, shape (n, 3)
    excess    log(realised cost / target), shape (n,)
    seeds     index of each training's seed, whole numbers from 0, shape (n,)
    accuracy  what is learned of each (``Evidence.learned``), an accuracy or read as one, shape (n,)
    """

    at: Array
    excess: Array
    seeds: Array
    accuracy: Array


@dataclass(frozen=True)
class Posterior:
    """A mixture over H settings of a, ρ, κ: coefficients of the 15 polynomials, then of the seeds.

    ``means`` (H, p) and ``factors`` (H, p, p): θ = mean + √(scale/gamma)·factor·z for standard
    normal z and gamma ~ Gamma(shape), ``scales`` (H,); ``weights`` (H,).
    """

    weights: Array
    means: Array
    factors: Array
    scales: Array
    shape: float

    @cached_property
    def mean(self) -> Array:
        """E θ, shape (p,)."""
        mean: Array = self.weights @ self.means
        return mean

    @cached_property
    def noise(self) -> float:
        """E σ²."""
        return float(self.weights @ self._variances)

    @cached_property
    def covariance(self) -> Array:
        """Average covariance of θ within the settings, shape (p, p)."""
        weighted = self.factors * np.sqrt(self.weights * self._variances)[:, None, None]
        result: Array = np.einsum("hij,hkj->ik", weighted, weighted)
        return result

    @property
    def _variances(self) -> Array:
        result: Array = self.scales / max(self.shape - 1, 0.5)
        return result

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Draws of θ, shape (count, p)."""
        settings = rng.choice(len(self.weights), size=count, p=self.weights)
        gammas = rng.gamma(self.shape, size=count)
        normal = rng.standard_normal((count, self.means.shape[1], 1))
        spread = np.sqrt(self.scales[settings] / gammas)[:, None]
        drawn: Array = self.means[settings] + spread * (self.factors[settings] @ normal)[:, :, 0]
        return drawn


def fit(
    data: Trainings, *, slope: float = 0.0, spare_seeds: int = 0, noise: NoisePrior = VAGUE
) -> Posterior:
    """The posterior of the polynomials' coefficients and of the seeds' effects.

    ``slope`` is the accuracy gained per unit of log cost, taken out beforehand; ``spare_seeds``
    adds effects for seeds that no training has had yet. Raises ValueError without trainings.
    """
    if not len(data.accuracy):
        raise ValueError("no training at the target's cost: there is nothing to fit")
    seeds = int(data.seeds.max()) + 1 + spare_seeds
    blocks = data.seeds[:, None] == np.arange(seeds)
    design = np.concatenate([basis(data.at), blocks.astype(float)], axis=1)
    level = float(data.accuracy.mean())
    values = data.accuracy - slope * data.excess - level
    posterior = _conjugate(design, values, _prior_precisions(seeds), noise)
    posterior.means[:, 0] += level  # the constant polynomial is 1
    return posterior


def slope_to(accuracy: float, baseline: float | None, ratio: float) -> float:
    """The local slope of accuracy over log cost, shrunk from the mean one since the baseline."""
    if baseline is None:
        return 0.0
    return _SLOPE_SHRINKAGE * max(0.0, (accuracy - baseline) / math.log(ratio))


@cache
def _prior_precisions(seeds: int) -> Array:
    """1 / prior variance of every coefficient in units of σ², for every setting; shape (H, p)."""
    rows = []
    for a, rho, kappa in itertools.product(_SURFACE_TO_NOISE, _ROUGHNESS, _BLOCK_TO_NOISE):
        deviation = a * rho ** np.maximum(degrees() - 2, 0)
        deviation[0] = _CONSTANT_TO_NOISE
        rows.append(np.concatenate([deviation, np.full(seeds, kappa)]) ** -2.0)
    return np.array(rows)


def _conjugate(
    design: Array, values: Array, precisions: Array, noise: NoisePrior = VAGUE
) -> Posterior:
    """Normal–inverse-gamma regression under every prior, weighted by evidence."""
    size = precisions.shape[1]
    matrices = design.T @ design + precisions[:, :, None] * np.eye(size)
    lower = np.linalg.cholesky(matrices)
    inverse = np.linalg.inv(lower)
    half = inverse @ (design.T @ values)
    means = (inverse.transpose(0, 2, 1) @ half[:, :, None])[:, :, 0]
    unexplained = np.maximum(values @ values - (half**2).sum(axis=1), 0)
    shape = (noise.count + len(values)) / 2
    scales = (noise.count * noise.deviation**2 + unexplained) / 2
    diagonals = np.diagonal(lower, axis1=1, axis2=2)
    evidence = np.log(precisions).sum(axis=1) / 2 - np.log(diagonals).sum(axis=1)
    evidence -= shape * np.log(scales)
    weights = np.exp(evidence - evidence.max())
    return Posterior(weights / weights.sum(), means, inverse.transpose(0, 2, 1), scales, shape)
