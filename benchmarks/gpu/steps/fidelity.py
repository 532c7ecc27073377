"""How far the search's own trainings agree with accuracies that are known."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import partial

from benchmarks.gpu.adapter import SEEDS, Jobs, Known, Training, accel, macro
from benchmarks.gpu.step import Place
from benchmarks.gpu.steps.prepare import ACCEL, MACRO
from benchmarks.gpu.ways.at_once import as_they_end, pool_of, shared_by_service
from nas.calibrate import FEWEST, agreement
from training.evaluator import ByName
from training.recipe import Recipe
from trials.record import Evaluation
from trials.workers.pool import ProcessPool

TAUS = "Kendall's τ with real accuracies (90 % bootstrap interval)"


def measure(place: Place) -> None:
    """A row for each recipe and table, as soon as its trainings are made."""
    scale = place.scale
    source = ByName(str(place.pictures), 32)
    tables = {
        "NAS-Bench-Macro": macro(place.table(MACRO), scale.macro),
        "Accel-NASBench (ImageNet)": accel(place.table(ACCEL), scale.accel),
    }
    plan = [("NAS-Bench-Macro", recipe) for recipe in scale.macro_recipes]
    plan.append(("Accel-NASBench (ImageNet)", scale.accel_recipe))
    trainings = tuple(Training(source, recipe, scale.device) for _, recipe in plan)
    with (
        shared_by_service(place.work / "fidelity-mps") as shared,
        pool_of(Jobs(trainings), max(scale.at_once), scale.device) as pool,
    ):
        place.page.fact("processes that share the device", max(scale.at_once))
        place.page.fact("by NVIDIA's service for several processes", shared)
        for which, (name, recipe) in enumerate(plan):
            known = tables[name]
            place.page.part(
                f"{name}, {recipe.epochs} epochs",
                partial(_judge, place, pool, name, recipe, known, which),
                least=5,
            )


def _judge(
    place: Place, pool: ProcessPool, name: str, recipe: Recipe, known: Sequence[Known], which: int
) -> None:
    start = time.perf_counter()
    jobs = [(spec, which * SEEDS) for spec, _ in known]
    found: dict[int, Evaluation] = {}
    try:
        for number, outcome in as_they_end(pool, jobs, pool.workers):
            if isinstance(outcome, Evaluation):
                found[number] = outcome
            else:
                place.page.say(f"{known[number].spec.name}: {outcome}")
    finally:  # also where the time is up: what there is counts
        _tell(place, name, recipe, known, found, time.perf_counter() - start)


def _tell(
    place: Place,
    name: str,
    recipe: Recipe,
    known: Sequence[Known],
    found: dict[int, Evaluation],
    wall: float,
) -> None:
    if len(found) < FEWEST:
        place.page.say(f"{name}: {len(found)} trainings ended, too few for a correlation")
        return
    truth = [known[number].top1 for number in found]
    losses = [-(one.loss if one.loss is not None else 1e3) for one in found.values()]
    place.page.row(
        TAUS,
        known=name,
        networks=len(found),
        epochs=recipe.epochs,
        pixels=recipe.resolution,
        pictures=int(next(iter(found.values())).details["images"]),
        loss=str(agreement(losses, truth)),
        accuracy=str(agreement([one.accuracy for one in found.values()], truth)),
        mean_accuracy=statistics.mean(one.accuracy for one in found.values()),
        seconds_each=wall / len(found),
        seconds_of_one=statistics.median(one.seconds for one in found.values()),
    )
