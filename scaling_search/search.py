"""Find how a network should scale: train points of equal cost, fit, choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import optuna

from models.spec import ArchSpec
from scaling_search import family
from scaling_search.points.grid import Grid
from scaling_search.points.kept import keep
from scaling_search.points.point import Point
from scaling_search.points.scalable import Scalable, SpecBaseline
from scaling_search.points.target import asked, points_of
from scaling_search.result import ScalingResult, conclude
from scaling_search.surface.evidence import ENOUGH_REPEATS, MAX_REPEATS, Evidence
from scaling_search.surface.samplers import (
    METHODS,
    REPEAT,
    GridExhausted,
    evidence_of,
    place_in,
    sampler,
    spans,
)
from scaling_search.surface.surface import Surface
from trials.conduct import Means, Watch, accuracy, conduct, processes
from trials.latencies import Measure
from trials.loop import Propose
from trials.record import Evaluation, trial_seed
from trials.store.run import Run
from trials.store.study import open_run
from trials.store.view import Proposal, RunView
from trials.workers.pool import Executor

Evaluate = Callable[[Any, int], "Evaluation | float"]

KIND = "scaling"


def search(
    baseline: ArchSpec | Scalable,
    evaluate: Evaluate,
    target: float | str = 2.0,
    trials: int = 60,
    seed: int = 0,
    run_dir: Path | str | None = None,
    resume: bool = False,
    *,
    method: str = "adaptive",
    depth_rounding: str = "ceil",
    step: float = 0.1,
    workers: int = 1,
    executor: Callable[[], Executor] | None = None,
    storage: str | None = None,
    join: bool = False,
    minutes: float | None = None,
    region: float | None = None,
    measure: Measure | None = None,
    measured_on: dict[str, Any] | None = None,
    phis: Iterable[float] = family.PHIS,
    settings: dict[str, Any] | None = None,
    progress: Watch | None = None,
) -> ScalingResult:
    """Train networks of one cost and say which split of the cost serves best.

    baseline    a spec, or a ``Scalable`` such as ``points.modules.ModuleBaseline``
    evaluate    (network, seed) → ``Evaluation`` or accuracy in [0, 1]; raising makes the training a
                failed one. Trainings of one repeat share the seed: they are paired
    target      a multiple of the baseline's cost (2.0; up to 1000), multiply-adds (beyond 1000), or
                a text such as "2x" or "800M". With ``measure``: a multiple of the baseline's
                measured latency, or a text such as "2x" or "12ms"
    trials      trainings in all, failed ones and those of a resumed run included
    run_dir     where the study, ``coefficients.json`` and ``family/`` are kept; None: in memory
    method      "adaptive" trains where it tells most about the optimum; "grid" gives
                every point equal repeats, and the best mean wins
    depth_rounding    "ceil" (the paper's) or "nearest"; for a spec only
    step        the grid's step in shares of the extra cost
    workers     processes that evaluate; 1 runs in this process, more need a picklable evaluate.
                ``executor`` makes another kind of runner, once the arguments have been checked
    storage, join    an Optuna URL for the study, and whether others work on it too
    minutes     no new training begins after so long
    region      stop when the joint 90 % region is at most this part of all ways to scale
    measure     network → what some passes of it take now (``trials.latencies.Reading``). All points
                then share a latency in place of FLOPs, measured in turn with the baseline before
                the first training, one at a time
    measured_on    what the latencies hold for, JSON: device, threads, batch
    phis        the family's members, written to ``family/`` where there is a ``run_dir``, without
                those that would be no network
    progress    makes what sees each finished record (``trials.progress.Progress``)
    settings    more facts about the run, JSON, which must agree on resuming

    Raises ValueError for bad input or a run directory of another search, and where no network
    reaches the target; ``trials.loop.SearchFailed`` where the first trainings all fail.
    """
    if isinstance(baseline, ArchSpec):
        baseline = SpecBaseline(baseline, depth_rounding)
    means = Means(executor or processes(evaluate, workers), minutes, progress)
    _check(trials, region, step, method)
    facts = {
        **(settings or {}),
        **asked(target, baseline, measured=measure is not None),
        **{"baseline": baseline.spec.to_json(), "method": method, "step": step},
        **{"networks": baseline.networks, "kind": KIND, "seed": seed},
        **{"depth_rounding": getattr(baseline, "depth_rounding", None)},
        **{"trials": trials, "minutes": minutes, "region": region},
    }
    with open_run(
        None if run_dir is None else Path(run_dir),
        facts,
        ["maximize"],
        from_json=baseline.from_json,
        resume=resume,
        storage=storage,
        join=join,
    ) as run:
        # Of several drivers, each would find points of its own: one has measured them before.
        points = points_of(run, baseline, None if join else measure, measured_on)
        keep(run.study, points)
        run.study.sampler = sampler(method, points, seed)
        run.name_values(["accuracy"])
        stop = None if region is None else _stopper(points, seed, region)
        ended = conduct(run, _proposer(baseline, points), accuracy, trials, means, stop=stop)
        found = conclusion(run, points, method, ended.reason)
        run.name_answer(
            {
                "key": found.point.spec.key,
                "coefficients": found.coefficients.to_dict(),
                "ended": found.ended,
            },
            "α {:.2f}, β {:.2f}, γ {:.2f}".format(*found.coefficients.to_dict().values()),
        )
        if run.dir is not None:
            found.write(run.dir)
            reached = family.reachable(baseline, found.coefficients, phis)
            family.write(run.dir / "family", reached, instead=True)
        return found


def conclusion(run: RunView, points: Grid, method: str, ended: str) -> ScalingResult:
    """The answer that a run's trainings give so far."""
    return conclude(evidence_of(run.study, points), run.seed, method, run.finished(), ended)


def _proposer(baseline: Scalable, points: Grid) -> Propose:
    """Turns what the sampler says into a network, its cost and the seed of its repeat."""
    allowed = spans(points)
    roles: dict[int, list[str]] = {}
    for role, place in points.roles.items():
        roles.setdefault(place, []).append(role)

    def propose(trial: optuna.Trial, run: Run) -> Proposal | None:
        try:
            chosen = {n: trial.suggest_float(n, span.low, span.high) for n, span in allowed.items()}
            repeat = trial.suggest_int(REPEAT, 0, MAX_REPEATS - 1)
        except GridExhausted:
            return None
        place = place_in(points, chosen)
        point: Point = points.points[place]
        attrs = {**point.to_dict(), "repeat": repeat, "roles": roles.get(place, [])}
        cost = baseline.cost(point.spec)
        # Every point's n-th training has the same seed: differences of points are paired.
        return Proposal(point.spec, cost, attrs, trial_seed(run.seed, repeat))

    return propose


def _stopper(points: Grid, seed: int, size: float) -> Callable[[Run], bool]:
    """Whether the region is small enough, once enough trainings have told how noisy they are."""

    def stop(run: Run) -> bool:
        evidence: Evidence = evidence_of(run.study, points)
        if evidence.repeats < ENOUGH_REPEATS:
            return False
        return Surface(evidence.posterior(), seed).region.size <= size

    return stop


def _check(trials: int, region: float | None, step: float, method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}")
    if not 0 < step <= 0.5:
        raise ValueError(f"grid step {step} is not a share in (0, 0.5]: 0.1 is usual")
    if trials < 2:
        raise ValueError(f"trials must be at least 2, the baseline's and one more, got {trials}")
    if region is not None and not 0 < region < 1:
        raise ValueError(f"region {region} is not a part of all ways to scale: try 0.05")
