"""Numbers as Python's own, so that whatever holds them prints and compares alike; text to print."""

from __future__ import annotations

import numbers
from dataclasses import fields
from typing import Any

_OWN = (int, float, str, bool, tuple)


def plain(value: Any) -> Any:
    """Any whole number as ``int``, any other real one as ``float``; all else as it is."""
    if type(value) in _OWN:
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def make_plain(record: Any) -> None:
    """``plain`` for each field of a frozen dataclass; for its ``__post_init__``."""
    for field in fields(record):
        value = getattr(record, field.name)
        if type(value) not in _OWN:
            object.__setattr__(record, field.name, plain(value))


def printable(text: str) -> str:
    """``text`` with what no terminal can show spelt out: names of files need not be text."""
    return text.encode("utf-8", "backslashreplace").decode()
