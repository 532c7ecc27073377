"""Sizes as people write them: 400M, 1.5G, 2x."""

from __future__ import annotations

import math
import re

_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3}))?\s*([KMGBTkmgbt]?)")


def parse_size(text: str) -> float:
    """``"400M"`` → 4e8; K, M, G (or B) and T in either case, or a plain number.

    Raises ValueError for anything else, zero and what a float cannot hold.
    """
    match = _SIZE.fullmatch(text.strip()) if len(text) < 64 else None
    if match:
        value = float(f"{match[1]}e{match[2] or 0}") * _UNITS[match[3].upper()]
        if 0 < value < math.inf:
            return value
    raise ValueError(
        f"{text!r:.80} is no size: write a number with K, M or G, such as 400M or 1.5G"
    )


def parse_target(text: str, baseline: float) -> float:
    """``"2x"`` → twice ``baseline``; anything else as ``parse_size`` reads it."""
    stripped = text.strip()
    if stripped[-1:] in ("x", "X", "×"):
        try:
            return parse_size(stripped[:-1]) * baseline
        except ValueError:
            raise ValueError(
                f"{text!r:.80} is no target: write a multiple such as 2x, or a size such as 800M"
            ) from None
    return parse_size(text)


def format_size(value: float) -> str:
    """Three or four significant digits: 385814752 → ``"386M"``, 1827141392 → ``"1.83G"``."""
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if abs(value) >= 0.9995 * scale:
            scaled = value / scale
            digits = max(0, 2 - math.floor(math.log10(abs(scaled)) + 1e-3))
            return f"{scaled:.{digits}f}{unit}"
    return f"{value:.3g}"
