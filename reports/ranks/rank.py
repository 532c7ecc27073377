"""The numerical rank of feature matrices, many at once.

The rank of a matrix is the number of its singular values above a *tolerance*, a share of the
greatest one. A nonlinearity makes nearly every matrix of full rank in exact arithmetic: how many
directions carry something that single precision and the next layer can tell is a question of that
share, so ranks are counted at several.
"""

from __future__ import annotations

import torch
from torch import Tensor

TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
DEFAULT = 1e-2
_FINEST = 1e-6  # single precision's rounding, a few times 6e-8, must stay below every tolerance


def check_tolerance(tolerance: float) -> None:
    """Raises ValueError for a share that single precision cannot tell from rounding."""
    if not _FINEST <= tolerance < 1:
        raise ValueError(f"tolerance {tolerance:g} is not from {_FINEST:g} up to 1: try {DEFAULT}")


def ranks(matrices: Tensor, tolerances: tuple[float, ...] = TOLERANCES) -> Tensor:
    """int64 (…, tolerances) of matrices (…, rows, columns); a matrix of zeros has rank 0."""
    values = torch.linalg.svdvals(matrices)
    shares = values / values[..., :1].clamp_min(torch.finfo(values.dtype).tiny)
    return torch.stack([(shares > tolerance).sum(-1) for tolerance in tolerances], -1)
