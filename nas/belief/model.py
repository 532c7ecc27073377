"""A Gaussian process from what is known of a network to its accuracy.

A sum of linear and squared-exponential kernels, one for each group of features that has one (the
``TERMS``), around a signed guess. Scale, variances and noise are those of the greatest posterior
(log-normal priors), found by L-BFGS with exact gradients. In units of the scale s:

    y/s = guess(x) + constant + Σ variance·kernel(x, x') + noise

A guess is a straight line of its source, of which ever more may gain ever less: the term "guess"
bends it where trainings say so. Without it, one that shows how bad a starved network is would make
the model overrate the fullest ones. Everything else is centred at zero: its sign and its weight
are what trainings say. The last term is a network's own, of which no other tells anything: without
it all that features do not explain would be noise, and no training would be taken at its word.

An accuracy that was foretold and not measured has, beyond that noise, an error of known size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from nas.belief.features import Groups
from nas.candidates import Floats

TUNED = 250  # rows that scale, variances and noise are fitted to, at most
USED = 600  # rows that a prediction uses, at most
OWN = 2e-3  # a length so short that no two networks are alike, whatever their choices


class Term(NamedTuple):
    """A kernel on a group, linear where ``length`` is 0; its log variance has a prior of that mean
    and standard deviation."""

    group: str
    length: float
    log_variance: float
    width: float = 0.7


TERMS = (
    Term("totals", 0, -1.5), Term("types", 0, -2), Term("trends", 0, -2), Term("choices", 0, -2.5),
    Term("choices", 1, -1.5), Term("stages", 1, -2), Term("totals", 1.5, -1),
    Term("capacity", 0, -1), Term("prior", 0, -1), Term("guess", 3, 0), Term("scores", 0, -1),
    Term("choices", OWN, -4.5, 1.0),
)  # fmt: skip
NOISE, NOISE_WIDTH = -3.0, 2.0  # prior of the noise's log variance
# The scale's prior guess, as a share of the mean error, and the standard deviation of its
# logarithm: the first networks are alike by design, and would have it far too small.
SPREAD, SPREAD_WIDTH = 0.1, 0.6
CONSTANT = 4.0  # variance of the constant


class Data(NamedTuple):
    """Networks as the model sees them: groups (N, …) and the guess (N,).

    ``TERMS`` whose group is absent are left out."""

    groups: Groups
    guess: Floats

    def take(self, chosen: NDArray[np.int64]) -> Data:
        groups = {name: group[chosen] for name, group in self.groups.items()}
        return Data(groups, self.guess[chosen])

    def joined(self, other: Data) -> Data:
        groups = {name: np.vstack([self.groups[name], other.groups[name]]) for name in self.groups}
        return Data(groups, np.concatenate([self.guess, other.guess]))


class Model:
    """Fitted to ``data`` and its accuracies (N,), N ≥ 1, with their standard errors, at birth.

    ``doubt`` in (0, 1] is how much of the variances is expected where the guess is a strong one.
    ``evidence`` is the logarithm of the greatest posterior density (its prior not normalised, so
    that a further term costs nothing by itself), to compare views of the same networks by;
    ``noise`` is in units of ``scale``².
    """

    def __init__(
        self, data: Data, accuracy: Floats, error: Floats | float = 0.0, doubt: float = 1.0
    ) -> None:
        kept = _thin(accuracy, USED)
        self._error = np.broadcast_to(error, accuracy.shape)[kept]
        self._data, accuracy = data.take(kept), accuracy[kept]
        self._terms = [term for term in TERMS if term.group in data.groups]
        # No guess, however strong, foretells what is a network's own.
        self._log_variances = [
            term.log_variance + (0.0 if term.length == OWN else np.log(doubt))
            for term in self._terms
        ]
        self._centre = float(accuracy.mean())
        few = _thin(accuracy, TUNED)
        self._tune(self._data.take(few), accuracy[few] - self._centre, self._error[few])
        target = (accuracy - self._centre) / self.scale - self._data.guess
        self._cholesky = self._factor(self._data)
        self._weights = cho_solve((self._cholesky, True), target)
        self._seen = target + self._data.guess

    def mean(self, data: Data) -> Floats:
        """The accuracies expected, (N,)."""
        standard = data.guess + self._kernel(data, self._data) @ self._weights
        found: Floats = standard * self.scale + self._centre
        return found

    def leave_one_out(self) -> float:
        """R² of predicting each row from the others (scale and variances stay)."""
        inverse = cho_solve((self._cholesky, True), np.eye(len(self._seen)))
        missed = self._weights / np.diag(inverse)
        return float(1 - (missed**2).mean() / (self._seen**2).mean())

    def believe(self, pending: Data) -> None:
        """Take running trials to come out as expected: no mean moves, their surroundings are
        less uncertain."""
        self._data = self._data.joined(pending)
        self._error = np.append(self._error, np.zeros(len(pending.guess)))
        self._cholesky = self._factor(self._data)
        self._weights = np.append(self._weights, np.zeros(len(pending.guess)))

    def predict(self, data: Data) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the accuracies without training noise, (N,) each."""
        cross = self._kernel(data, self._data)
        mean = (data.guess + cross @ self._weights) * self.scale + self._centre
        reduced = solve_triangular(self._cholesky, cross.T, lower=True)
        variance = self._diagonal(data) - (reduced**2).sum(0)
        return mean, np.sqrt(np.maximum(variance, 1e-12)) * self.scale

    @property
    def deviation(self) -> float:
        """Standard deviation between trainings of one network."""
        return float(self.noise**0.5 * self.scale)

    def sample(self, data: Data, count: int, rng: np.random.Generator) -> Floats:
        """(count, N) accuracies without training noise, drawn jointly."""
        cross = self._kernel(data, self._data)
        mean = (data.guess + cross @ self._weights) * self.scale + self._centre
        reduced = solve_triangular(self._cholesky, cross.T, lower=True)
        values, vectors = np.linalg.eigh(self._kernel(data, data) - reduced.T @ reduced)
        root = vectors * np.sqrt(np.maximum(values, 0)) * self.scale
        found: Floats = mean + rng.standard_normal((count, len(mean))) @ root.T
        return found

    def _tune(self, data: Data, centred: Floats, error: Floats) -> None:
        grams = [_kernel(term, data.groups, data.groups) for term in self._terms]
        eye = np.eye(len(centred))
        scale = np.log(SPREAD * min(max(1 - self._centre, 1e-4), 1.0))
        mu = np.array([*self._log_variances, NOISE, scale])
        sd = np.array([term.width for term in self._terms] + [NOISE_WIDTH, SPREAD_WIDTH])

        def negative_log_posterior(p: Floats) -> tuple[float, Floats]:
            variances = np.exp(p[:-1])
            parts = [v * gram for v, gram in zip(variances, [*grams, eye], strict=True)]
            known = (error / np.exp(p[-1])) ** 2
            factor = cho_factor(sum(parts) + CONSTANT + np.diag(known + 1e-8), lower=True)
            seen = centred / np.exp(p[-1])
            target = seen - data.guess
            weights = cho_solve(factor, target)
            value = target @ weights / 2 + np.log(np.diag(factor[0])).sum() + len(seen) * p[-1]
            slope = cho_solve(factor, eye) - np.outer(weights, weights)
            gradient = [np.vdot(slope, part) / 2 for part in parts]
            gradient.append(len(seen) - weights @ seen - np.diag(slope) @ known)
            away = (p - mu) / sd
            return float(value + away @ away / 2), np.array(gradient) + away / sd

        bounds = [(m - 5 * s, m + 5 * s) for m, s in zip(mu, sd, strict=True)]
        found = minimize(
            negative_log_posterior,
            mu,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 40},
        )
        self._variances, self.noise = np.exp(found.x[:-2]), float(np.exp(found.x[-2]))
        self.scale, self.evidence = float(np.exp(found.x[-1])), -float(found.fun)

    def _factor(self, data: Data) -> Floats:
        gram = self._kernel(data, data)
        gram[np.diag_indices_from(gram)] += self.noise + (self._error / self.scale) ** 2 + 1e-8
        found: Floats = np.asarray(np.linalg.cholesky(gram), dtype=float)
        return found

    def _kernel(self, one: Data, other: Data) -> Floats:
        found = np.full((len(one.guess), len(other.guess)), CONSTANT)
        for term, variance in zip(self._terms, self._variances, strict=True):
            part = _kernel(term, one.groups, other.groups)
            found += np.multiply(part, variance, out=part)
        return found

    def _diagonal(self, data: Data) -> Floats:
        found = np.full(len(data.guess), CONSTANT)
        for term, variance in zip(self._terms, self._variances, strict=True):
            own = data.groups[term.group]
            found += variance * (np.ones(1) if term.length else (own**2).mean(1))
        return found


def _kernel(term: Term, one: Groups, other: Groups) -> Floats:
    a, b = one[term.group], other[term.group]
    a, b = (x / ((term.length or 1.0) * np.sqrt(x.shape[1])) for x in (a, b))
    found: Floats = a @ b.T
    if term.length:  # in place: of thousands of candidates these are the largest arrays there are
        found -= (a**2).sum(1)[:, None] / 2
        found -= (b**2).sum(1) / 2
        np.exp(found, out=found)
    return found


def _thin(accuracy: Floats, most: int) -> NDArray[np.int64]:
    """Positions of at most ``most`` rows, ascending: the better half, the rest spread evenly."""
    if len(accuracy) <= most:
        return np.arange(len(accuracy))
    order = np.argsort(-accuracy, kind="stable")
    best, others = np.split(order, [most // 2])
    spread = np.linspace(0, len(others) - 1, most - len(best)).astype(int)
    return np.sort(np.concatenate([best, others[spread]]))
