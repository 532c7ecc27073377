"""The command-line options that every search shares: pictures, proxy recipe, machines, run.

What they come to is loaded when it is asked for, for it takes seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from training.options.flags import add_options, add_output

if TYPE_CHECKING:
    from training.options.directory import run_directory, search_directory
    from training.options.prepared import inherited_from, prepare, resumed
    from training.options.told import facts
    from training.options.workers import executor, measured

__all__ = [
    "add_options",
    "add_output",
    "executor",
    "facts",
    "inherited_from",
    "measured",
    "prepare",
    "resumed",
    "run_directory",
    "search_directory",
]

_FROM = {
    "executor": "workers",
    "facts": "told",
    "inherited_from": "prepared",
    "measured": "workers",
    "prepare": "prepared",
    "resumed": "prepared",
    "run_directory": "directory",
    "search_directory": "directory",
}


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"training.options.{_FROM[name]}"), name)
