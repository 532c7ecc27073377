"""Out of memory: a batch that cannot fit is halved, and the training is the same."""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.gpu.adapter import candidates
from benchmarks.gpu.step import Place
from training.evaluator import ByName
from training.loop.train import train
from training.recipe import Recipe
from trials.record import Evaluation


def measure(place: Place) -> None:
    """The same training with the whole memory, and with so little that its batch cannot fit."""
    batch, side = place.scale.halved
    page, device = place.page, place.scale.device
    recipe = Recipe(
        resolution=side,
        images=2 * batch,
        held_out=batch,
        epochs=2,
        batch=batch,
        lr=0.1,
        regularise=False,
    )
    (spec,) = candidates(1)
    data = ByName(str(place.pictures), 32).data()

    def trained(recipe: Recipe) -> Evaluation:
        return train(spec, recipe, data, 0, device)

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    whole = trained(recipe)
    page.row("trainings", memory="all", **_said(whole))
    if device != "cuda":
        page.say("there is no device's memory to limit here")
        return
    peak, total = torch.cuda.max_memory_allocated(), torch.cuda.mem_get_info()[1]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.55 * peak / total)
    little = trained(recipe)
    page.row("trainings", memory=f"{0.55 * peak / 2**30:.2f} GiB", **_said(little))
    torch.cuda.set_per_process_memory_fraction(1.0)
    told = trained(replace(recipe, micro_batch=little.details["micro_batch"]))
    page.row("trainings", memory="all, in the micro-batches found", **_said(told))


def _said(found: Evaluation) -> dict[str, object]:
    return {
        "micro_batch": found.details["micro_batch"],
        "accuracy": found.accuracy,
        "loss": found.loss,
        "last_training_loss": found.details["losses"][-1],
    }
