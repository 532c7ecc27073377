"""Sizes and times as people write them: 400M, 1.5G, 12ms, 2x."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_NUMBER = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3}))?\s*"
_LEAST = 10_000  # no network costs less
_SIZE = re.compile(_NUMBER + "([KMGBT]?)")
_DURATION = re.compile(_NUMBER + "(s|ms|us)")


def parse_size(text: str) -> float:
    """``"400M"`` → 4e8; K, M, G (or B) and T in either case, or a plain number.

    Raises ValueError for anything else, zero and what a float cannot hold.
    """
    value = _read(text.upper(), _SIZE, _UNITS)
    if value is None and _read(text.lower(), _DURATION, _SECONDS) is not None:
        raise ValueError(f"{text!r:.80} is a time and no size")
    if value is None:
        raise ValueError(
            f"{text!r:.80} is no size: write a number with K, M or G, such as 400M or 1.5G"
        )
    return value


def parse_duration(text: str) -> float:
    """``"12ms"`` → 0.012; s, ms and us, in either case.

    Raises ValueError for anything else, a number without its unit, zero and what a float cannot
    hold.
    """
    value = _read(text.lower(), _DURATION, _SECONDS)
    if value is None:
        raise ValueError(f"{text!r:.80} is no time: write a number with ms or s, such as 12ms")
    return value


def parse_target(text: str, baseline: float, read: Callable[[str], float] = parse_size) -> float:
    """``"2x"`` → twice ``baseline``; anything else as ``read`` does.

    Raises ValueError for a bad multiple, a bare size that can only be meant as one, and as ``read``
    does.
    """
    stripped = text.strip()
    if stripped[-1:] in ("x", "X", "×"):
        try:
            return parse_size(stripped[:-1]) * baseline
        except ValueError:
            raise ValueError(f"{text!r:.80} is no multiple: write a number such as 2x") from None
    if read is parse_size and (number := bare(text)) is not None and number < _LEAST:
        meant = f"{stripped}x, a multiple" if number < 100 else f"{stripped}M"
        raise ValueError(f"{stripped!r} has no unit: did you mean {meant}?")
    return read(text)


def bare(text: str) -> float | None:
    """The number in a text without a unit; None for any other text."""
    return _read(text, re.compile(_NUMBER + "()"), _UNITS)


def parse_budget(text: str) -> float:
    """``parse_size`` of what a whole network costs.

    Raises ValueError for a bare number that is far too small for one, and as that does.
    """
    value = parse_size(text)
    if bare(text) is not None and value < _LEAST:
        stripped = text.strip()
        raise ValueError(f"{stripped!r} has no unit: did you mean {stripped}M?")
    return value


def _read(text: str, form: re.Pattern[str], units: dict[str, float]) -> float | None:
    """A number with its unit; None for what has another form, or is not above 0."""
    match = form.fullmatch(text.strip()) if len(text) < 64 else None
    if match is None:
        return None
    value = float(f"{match[1]}e{match[2] or 0}") * units[match[3]]
    return value if 0 < value < math.inf else None


def format_size(value: float) -> str:
    """Three or four significant digits: 385814752 → ``"386M"``, 1827141392 → ``"1.83G"``."""
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if abs(value) >= 0.9995 * scale:
            scaled = value / scale
            digits = max(0, 2 - math.floor(math.log10(abs(scaled)) + 1e-3))
            return f"{scaled:.{digits}f}{unit}"
    return f"{value:.3g}"


def format_duration(seconds: float) -> str:
    """Three significant digits: 0.0123 → ``"12.3 ms"``, 1.5 → ``"1.50 s"``."""
    value, unit = (seconds, "s") if seconds >= 0.9995 else (1000 * seconds, "ms")
    if value >= 99.95 or value < 1e-3:
        return f"{value:.4g} {unit}"
    digits = max(0, 2 - math.floor(math.log10(value) + 1e-3))
    return f"{value:.{digits}f} {unit}"
