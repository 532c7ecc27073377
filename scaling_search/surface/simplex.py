"""Shares of the extra cost: where a network lies on the triangle of depth, width and resolution.

A network of realised multipliers d, w, r has the shares log d, 2 log w, 2 log r over their sum:
(1, 0, 0) is scaling in depth alone. Shares add up to 1 whatever the target, above the baseline's
cost or below it, so surfaces at different costs have the same coordinates.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from scaling_search.coefficients import Coefficients, Multipliers

Array = NDArray[np.float64]

DEGREE = 4
MESH = 50  # the mesh's shares are multiples of 1/MESH


def shares(realised: Multipliers) -> Array:
    """(depth, width, resolution) shares, which add up to 1; shape (3,).

    Raises ValueError for multipliers that do not change the cost.
    """
    logs = np.log(np.array(realised)) * (1.0, 2.0, 2.0)
    total = float(logs.sum())
    if abs(total) < 1e-6:
        raise ValueError(f"{realised} scales nothing: it has no shares of an extra cost")
    result: Array = logs / total
    return result


def coefficients(at: Array, ratio: float) -> Coefficients:
    """α = ratio^s_d, β = ratio^(s_w/2), γ = ratio^(s_r/2), so that α·β²·γ² is the ratio."""
    return Coefficients(*(float(value) for value in multiples(at, ratio)))


def multiples(at: Array, ratios: Array | float) -> Array:
    """``coefficients`` at many shares (…, 3), each with its ratio (…); shape (…, 3)."""
    result: Array = np.asarray(ratios)[..., None] ** (at / (1.0, 2.0, 2.0))
    return result


@cache
def mesh() -> Array:
    """Evenly spaced shares over the whole triangle, corners included; shape (nodes, 3)."""
    nodes = [(i, j, MESH - i - j) for i in range(MESH + 1) for j in range(MESH - i + 1)]
    return np.array(nodes, dtype=float) / MESH


def basis(at: Array) -> Array:
    """Polynomials up to degree 4, orthonormal over the triangle, at shares (n, 3); shape (n, 15).

    Ordered by degree: 1 constant, 2 linear, 3 quadratic, 4 cubic, 5 quartic. Within a degree, equal
    prior variances favour no direction.
    """
    return mesh_basis() if at is mesh() else _monomials(at) @ _to_orthonormal()


@cache
def mesh_basis() -> Array:
    """``basis`` at every node of the mesh; shape (nodes, 15)."""
    return _monomials(mesh()) @ _to_orthonormal()


@cache
def degrees() -> Array:
    """The degree of each column of ``basis``; shape (15,)."""
    return np.repeat(np.arange(DEGREE + 1), np.arange(DEGREE + 1) + 1).astype(float)


def leading_quadratic() -> Array:
    """Coefficients of y², xy and x² in the three quadratic polynomials of ``basis``; (3, 3)."""
    return _to_orthonormal()[3:6, 3:6].T


def _monomials(at: Array) -> Array:
    # Isotropic coordinates with the centre at 0 and the corners at distance 1: depth upwards.
    x = (at[:, 1] - at[:, 2]) * np.sqrt(3) / 2
    y = at[:, 0] - (at[:, 1] + at[:, 2]) / 2
    xs, ys = np.vander(x, DEGREE + 1, increasing=True), np.vander(y, DEGREE + 1, increasing=True)
    powers = [(i, n - i) for n in range(DEGREE + 1) for i in range(n + 1)]
    return xs[:, [i for i, _ in powers]] * ys[:, [j for _, j in powers]]


@cache
def _to_orthonormal() -> Array:
    """The matrix that makes the monomials orthonormal over the mesh (Gram–Schmidt by degree)."""
    columns = _monomials(mesh())
    _, upper = np.linalg.qr(columns / np.sqrt(len(columns)))
    upper *= np.sign(np.diag(upper))[:, None]  # QR leaves the signs open: the constant shall be 1
    result: Array = np.linalg.inv(upper)
    return result
