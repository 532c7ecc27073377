"""Out of memory: a batch that cannot fit is halved, and the training is the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.gpu.adapter import candidates
from benchmarks.gpu.step import Place
from training.evaluator import ByName
from training.loop.train import train
from training.loop.trainer import Trainer
from training.recipe import Recipe
from trials.record import Evaluation

_SHARE = 0.55  # of what the whole batch takes
_ALIKE = 0.02  # by which losses may differ: a GPU adds up in no fixed order


def measure(place: Place) -> None:
    """One training with the whole memory; one with so little that its batch cannot fit; one told
    to use the micro-batches that the second has found."""
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

    def trained(memory: str, recipe: Recipe) -> Evaluation:
        found = train(spec, recipe, data, 0, device)
        page.row("trainings", memory=memory, **_said(found))
        return found

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trained("all", recipe)
    with _too_little(device, batch):
        little = trained("too little", recipe)
    found = int(little.details["micro_batch"])
    told = trained("all, in the micro-batches found", replace(recipe, micro_batch=found))
    if found >= batch:
        page.fail("halving", "the whole batch went through at once: nothing was tried")
    pairs = zip(little.details["losses"], told.details["losses"], strict=True)
    if any(abs(one - other) > _ALIKE * other for one, other in pairs):
        page.fail("halving", "its losses are not those of the same micro-batches chosen beforehand")


@contextmanager
def _too_little(device: str, batch: int) -> Iterator[None]:
    """Memory for some of a batch, of which the peak was seen; on the CPU the error alone."""
    if device == "cuda":
        peak, total = torch.cuda.max_memory_allocated(), torch.cuda.mem_get_info()[1]
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(_SHARE * peak / total)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    gradients = Trainer._gradients

    def refused(self: Trainer, images: Tensor, labels: Tensor, share: float) -> Tensor:
        if len(images) > batch // 2:
            raise torch.OutOfMemoryError("CUDA out of memory: as a GPU would say it")
        return gradients(self, images, labels, share)

    with patch.object(Trainer, "_gradients", refused):
        yield


def _said(found: Evaluation) -> dict[str, object]:
    return {
        "micro_batch": found.details["micro_batch"],
        "accuracy": found.accuracy,
        "loss": found.loss,
        "training_losses": str(found.details["losses"]),
    }
