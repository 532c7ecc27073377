"""Step 1: search a space for the baseline network with the best ACC·(FLOPS/T)^w.

    from nas.search import search
    from nas.space import space
    result = search(space("mnasnet"), evaluate, budget=400e6, trials=100)

``evaluate(spec, seed)`` is any way to score a network, a short training as a rule; the search
itself knows nothing of torch. From the command line: ``python -m nas.search --budget 400M``, whose
--help need not wait for what searches: that is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.search.searching import Evaluate, search

__all__ = ["Evaluate", "search"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nas.search import searching

    return getattr(searching, name)
