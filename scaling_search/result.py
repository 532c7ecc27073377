"""What a scaling search found: coefficients with their confidence, and comparisons."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling_search.coefficients import Coefficients
from scaling_search.points.grid import Grid
from scaling_search.points.point import Point
from scaling_search.surface.comparison import Comparison, comparisons
from scaling_search.surface.evidence import Evidence
from scaling_search.surface.simplex import coefficients, mesh, multiples
from scaling_search.surface.surface import LEVEL, Region, Surface
from trials.record import Evaluation
from trials.store.view import Record


@dataclass(frozen=True)
class ScalingResult:
    """The answer of a search.

    coefficients  α, β, γ in realised multipliers, with α·β²·γ² equal to the ratio of FLOPs at which
                  their direction costs the target (the target's own ratio, where it is of FLOPs):
                  from the shares of the fitted optimum (``method="adaptive"``) or of the point with
                  the best mean (``method="grid"``)
    confidence    90 % interval of each; ``region`` is the joint one
    point         the trained point that stands for the answer: nominal and realised multipliers
    comparisons   of that point's scaling with each dimension alone and with the paper's direction
    repeats       trainings of networks that had been trained before, with another seed
    fitted_to     what of the trainings the surface is fitted to (``Evidence.fitted_to``)
    trials        the records of all trainings, failed ones too
    dropped       how many nominal points nothing brings to the target
    ended         why the search ended: "complete", "stopped" (the region is small enough), "out of
                  time" or "exhausted"
    """

    coefficients: Coefficients
    confidence: dict[str, tuple[float, float]]
    point: Point
    comparisons: tuple[Comparison, ...]
    grid: Grid
    surface: Surface
    region: Region
    repeats: int
    fitted_to: str
    trials: list[Record]
    ended: str

    @property
    def dropped(self) -> int:
        """How many nominal points nothing brings to the target."""
        return self.grid.dropped

    @property
    def evaluations(self) -> list[Evaluation]:
        """Of all trainings that ended well."""
        return [record.evaluation for record in self.trials if record.evaluation is not None]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: what ``coefficients.json`` holds."""
        baseline = self.grid.baseline
        return {
            "coefficients": self.coefficients.to_dict(),
            "level": LEVEL,
            "confidence": {name: list(bounds) for name, bounds in self.confidence.items()},
            "region_size": self.region.size,
            "expected_regret": self.surface.regret,
            "target": {self.grid.cost.unit: self.grid.target, "ratio": self.grid.ratio},
            **self.grid.cost.facts(),
            "baseline": {"key": baseline.spec.key, "macs": baseline.macs},
            "point": {
                **self.point.to_dict(),
                "key": self.point.spec.key,
                "spec": json.loads(self.point.spec.to_json()),
            },
            "comparisons": [asdict(item) | {"verdict": item.verdict} for item in self.comparisons],
            "trainings": sum(record.state == "complete" for record in self.trials),
            "failed": sum(record.state == "failed" for record in self.trials),
            "repeats": self.repeats,
            "fitted_to": self.fitted_to,
            "points": len(self.grid.points),
            "dropped": self.grid.dropped,
            "left_out": list(self.grid.left_out),
            "merged": self.grid.merged,
            "ended": self.ended,
        }

    def write(self, run_dir: Path) -> Path:
        """Write ``coefficients.json`` and return its path."""
        path = run_dir / "coefficients.json"
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", "utf-8")
        return path


def conclude(
    evidence: Evidence, seed: int, method: str, records: list[Record], ended: str
) -> ScalingResult:
    """The answer that these trainings give.

    Raises ValueError where none at the target's cost succeeded.
    """
    grid = evidence.grid
    surface = Surface(evidence.posterior(), seed)
    place = _best_place(evidence, surface, method)
    trained = grid.shares[place]
    at = surface.optimum if method == "adaptive" else np.clip(trained, 0, 1)
    at = at / at.sum()
    return ScalingResult(
        coefficients(at, float(grid.flops_ratio(at[None])[0])),
        confidence(surface, grid),
        grid.points[place],
        tuple(comparisons(surface, evidence, place)),
        grid,
        surface,
        surface.region,
        evidence.repeats,
        evidence.fitted_to,
        records,
        ended,
    )


def confidence(surface: Surface, grid: Grid) -> dict[str, tuple[float, float]]:
    """The bounds of α, β and γ, each by itself."""
    logs = np.log(multiples(mesh(), grid.flops_ratio(mesh())))
    low, high = (np.exp(bound).tolist() for bound in surface.interval(logs))
    return dict(zip(("alpha", "beta", "gamma"), zip(low, high, strict=True), strict=True))


def _best_place(evidence: Evidence, surface: Surface, method: str) -> int:
    """The trained point with the highest fitted accuracy, or in a plain grid the best mean."""
    places = sorted({item.place for item in evidence.at_target})
    if method == "grid":
        return max(places, key=lambda place: evidence.mean_at(place) or 0.0)
    fitted = surface.mean(evidence.grid.shares[places])
    return places[int(np.argmax(fitted))]
