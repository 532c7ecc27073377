"""The points of a run, kept in its study: read again, they need nothing that solved for them.

What a point is depends on the version that solves, and of a factory of modules on the factory,
which a report does not have.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from optuna import Study

from models.spec import ArchSpec
from scaling_search.coefficients import Multipliers
from scaling_search.points.costs import Cost
from scaling_search.points.grid import Grid
from scaling_search.points.modules import ModuleBaseline, Scaled
from scaling_search.points.point import Point
from trials.latencies import Reading

_KEPT = "points"  # the study's attribute; one text, which costs nothing to pass over

# What reads a network back, by ``Scalable.networks``.
READERS: dict[str | None, Callable[[str], Any]] = {
    None: ArchSpec.from_json,
    ModuleBaseline.networks: Scaled.from_json,
}


def reader(networks: str | None) -> Callable[[str], Any]:
    """What reads the networks of a run; ValueError where they are of its caller's own kind."""
    if networks not in READERS:
        raise ValueError(
            f"the run's networks, {networks!r:.60}, are its caller's own: no report is drawn of "
            "such a run"
        )
    return READERS[networks]


def keep(study: Study, found: Grid) -> None:
    """Keep the points in the study, where they are not kept yet."""
    if _KEPT in study.user_attrs:
        return
    points = [{**point.to_dict(), "spec": point.spec.to_json()} for point in found.points]
    facts = {
        "target": found.target,
        "points": points,
        "roles": found.roles,
        "left_out": found.left_out,
        "merged": found.merged,
    }
    study.set_user_attr(_KEPT, json.dumps(facts))


def kept(study: Study, cost: Cost, from_json: Callable[[str], Any]) -> Grid | None:
    """The points that the study keeps; None where it keeps none.

    Raises ValueError where they cannot be read.
    """
    text = study.user_attrs.get(_KEPT)
    if text is None:
        return None
    try:
        facts = json.loads(text)
        points = tuple(_point(one, from_json) for one in facts["points"])
        return Grid(**{**facts, "points": points, "left_out": tuple(facts["left_out"])}, cost=cost)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"the study's points are damaged ({error!r:.200}): restore it from a copy"
        ) from error


def _point(facts: dict[str, Any], from_json: Callable[[str], Any]) -> Point:
    latency = facts["latency"]
    return Point(
        **{
            **facts,
            "nominal": Multipliers(**facts["nominal"]),
            "realised": Multipliers(**facts["realised"]),
            "adjusted": tuple(facts["adjusted"]),
            "latency": None if latency is None else Reading(**latency),
            "spec": from_json(facts["spec"]),
        }
    )
