"""What a study comes to, in a few sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from scaling_search.summary import listed
from scaling_search.surface.surface import LEVEL

Row = Mapping[Any, Any]
_ONCE = "nothing is told, as no two networks were both trained twice: go on with more --repeats."


def study_answer(table: pd.DataFrame, study: str) -> str:
    """By the columns of ``reports.scaling.study.study_table``: what is told from what.

    Trainings of one seed are paired. The noise of their differences is taken to be the same for all
    networks of a baseline, and the intervals hold at ``LEVEL`` for all of its networks together
    (Bonferroni): the greatest of many differences is great by luck.
    """
    say = _compared if study == "compare" else _ladders
    sentences = [
        f"{name}: {sentence}"
        for name, own in table.groupby("baseline", sort=False)
        for sentence in say(own.to_dict("records"))
    ]
    return " ".join(sentences)


def _half_width(rows: Sequence[Row]) -> dict[int, float] | None:
    """Of each row's interval, by its place; None where no network was trained twice."""
    from scipy.stats import t  # a second to load

    of = {i: int(row["pairs"]) for i, row in enumerate(rows) if row["pairs"]}
    free = {i: pairs - 1 for i, pairs in of.items() if pairs > 1}
    if not free:
        return None
    squares = sum(n * of[i] * float(rows[i]["difference_se"]) ** 2 for i, n in free.items())
    degrees = sum(free.values())
    reach = t.ppf(1 - (1 - LEVEL) / 2 / len(of), degrees) * (squares / degrees) ** 0.5
    return {i: float(reach / pairs**0.5) for i, pairs in of.items()}


def _ladders(rows: Sequence[Row]) -> Iterator[str]:
    """The network with the greatest gain over the baseline, of those trained with its seeds."""
    widths = _half_width(rows)
    if widths is None:
        yield _ONCE
        return
    best = max(widths, key=lambda i: float(rows[i]["difference"]))
    gain, most = float(rows[best]["difference"]), widths[best]
    what = f"{rows[best]['series']} × {rows[best]['factor']:.3g}"
    span = f"{100 * (gain - most):+.2f} to {100 * (gain + most):+.2f}"
    if gain - most > 0:
        yield f"{what} gains most, {100 * gain:+.2f} points over the baseline ({span})."
    else:
        yield (
            f"no network is told to be better than the baseline; the greatest gain seen is "
            f"{what}, {100 * gain:+.2f} points ({span})."
        )


def _compared(rows: Sequence[Row]) -> Iterator[str]:
    """Compound scaling against every other way, at each cost."""
    for factor in dict.fromkeys(row["factor"] for row in rows if row["series"] != "baseline"):
        own = [row for row in rows if row["factor"] == factor and row["series"] != "baseline"]
        widths = _half_width(own)
        if widths is None:
            yield f"at {factor:.3g} times the cost, {_ONCE}"
            continue
        groups: dict[str, list[str]] = {}
        for i, most in widths.items():
            ahead = float(own[i]["difference"])
            verb = "beats" if ahead < -most else "loses to" if ahead > most else "is not told from"
            groups.setdefault(verb, []).append(str(own[i]["series"]))
        order = [verb for verb in ("beats", "loses to", "is not told from") if verb in groups]
        parts = ", ".join(f"{verb} {listed(groups[verb])}" for verb in order)
        yield f"at {factor:.3g} times the cost, compound scaling {parts}."
