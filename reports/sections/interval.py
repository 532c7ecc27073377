"""How far an accuracy is told by the pictures that it was measured on."""

from __future__ import annotations

from statistics import NormalDist

LEVEL = 0.9


def wilson(share: float, images: float, level: float = LEVEL) -> tuple[float, float]:
    """The interval, in [0, 1], of the accuracy behind a ``share`` of so many pictures, above 0.

    E. B. Wilson 1927, JASA 22. The pictures need not be a whole number: of unequal classes a
    balanced accuracy is worth fewer than there are.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    scale = 1 + z**2 / images
    middle = (share + z**2 / (2 * images)) / scale
    half = z / scale * (share * (1 - share) / images + (z / (2 * images)) ** 2) ** 0.5
    # Which holds the share itself: at 0 and 1 rounding would leave it just outside.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def span(share: float, images: float) -> str:
    """``"90.5 to 95.1 %"``."""
    low, high = wilson(share, images)
    return f"{100 * low:.1f} to {100 * high:.1f} %"
