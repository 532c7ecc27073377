"""What a candidate is worth that inherits its weights: scored as it is, or trained further."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.build import build
from models.inherit import Inheritance, inheritance, recalibrate, refit
from models.pretrained import read_described
from models.spec import ArchSpec
from training.data import Data, Split
from training.device import arithmetic, choose_device
from training.loop.attempt import Judge
from training.loop.feeds.placed import placed
from training.loop.quick.layers import quicken
from training.loop.rungs import is_below
from training.loop.scores import Scores, measure, scored
from training.loop.train import first, made_on, train
from training.recipe import Recipe
from training.transfer.begin import begin
from training.transfer.head import batch_for, settle
from training.transfer.parent import Parent, batches, keep, weights_of
from trials.record import Evaluation, Rungs

REFITTED = 256  # pictures by which projections are fitted to the parent's


def child(
    parent: Parent,
    spec: ArchSpec,
    recipe: Recipe,
    data: Data,
    seed: int,
    device: torch.device | str = "auto",
    bars: Rungs = (),
) -> tuple[nn.Module, Evaluation]:
    """``spec``'s twin with the weights that it inherits, and what it is worth.

    Its weights are the parent's (``models.inherit``), its projections fitted to the parent's block
    outputs, its norms' statistics those of its own maps, its classifier fitted in closed form
    (``training.transfer.begin``); then it is trained for the recipe's epochs, 0: not at all, and
    the result is the same for every seed but for what no weights were inherited for. The loss and
    the accuracy are of the validation split; of all the rest only training pictures are used.

    ``details["inherited"]`` has the distance from the parent and the shares of the weights that are
    its, by part, as ``models.inherit.Inheritance``.

    With ``bars``, one at the share 0, the network is measured before it is trained, on all held-out
    pictures, which the ``curve`` of the result tells; below the bar it is not trained.

    Raises ValueError and the errors of a training as ``training.loop.train.train`` does.
    """
    begun = time.perf_counter()
    place = choose_device(device) if isinstance(device, str) else device
    trains = place
    if place.type == "mps":  # which has no double precision, in which fits are solved
        place = torch.device("cpu")
    data = placed(data, place)
    twin = recipe.network(spec, len(data.classes), data.channels)
    with arithmetic(place):
        network, own = born(parent, twin, recipe, data, seed, place)
        if bars or not recipe.epochs:
            found = _scored(network, twin.resolution, recipe, data, seed, place)
    curve = tuple((share, found.accuracy) for share, _ in bars)
    if recipe.epochs and not is_below(curve, bars):
        judge = judge_of(recipe, twin.resolution)
        found = train(spec, recipe, data, seed, trains, network=network, judge=judge)
    seconds = time.perf_counter() - begun
    told = {"distance": own.distance, "shares": own.shares, **own.changes}
    details = {**found.details, "inherited": told}
    return network.eval(), replace(found, seconds=seconds, details=details, curve=curve)


def judge_of(recipe: Recipe, side: int) -> Judge:
    """Measures what ``recipe`` has trained at ``side`` pixels, once its classifier is settled
    (``training.transfer.head``): by the features that this takes of the held-out pictures.

    ``details["classifier"]`` has the two factors.
    """

    def judge(network: nn.Module, data: Data, held: Split) -> tuple[Scores, dict[str, Any]]:
        train = first(data.train, recipe.images)
        factors, logits = settle(network, train, held, side, data, balance=recipe.balance)
        return scored(logits, held.labels), {"classifier": list(factors)}

    return judge


def tested(
    network: nn.Module, side: int, recipe: Recipe, data: Data, found: Evaluation
) -> Evaluation:
    """What a last training ``found``, once the classifier is settled by validation pictures and the
    test part of the data is looked at again. ``data`` are where the network is."""
    train, held = first(data.train, recipe.images), first(data.validation, recipe.held_out)
    factors, _ = settle(network, train, held, side, data, balance=recipe.balance)
    scores = measure(network, data.test, side, data, batch_for(data.train.labels.device))
    told = scores.details(recipe.balance) | scores.mistaken() | {"classifier": list(factors)}
    return replace(
        found,
        accuracy=scores.chosen(recipe.balance),
        loss=scores.loss,
        details={**found.details, **told},
    )


def _scored(
    network: nn.Module, side: int, recipe: Recipe, data: Data, seed: int, place: torch.device
) -> Evaluation:
    """The network as it is."""
    held = first(data.validation, recipe.held_out)
    scores = measure(network, held, side, data, batch_for(place))
    details = {
        "images": len(first(data.train, recipe.images)),
        "steps": 0,
        "side": side,
        "held_out": "validation",
        "held_out_images": len(held),
        "data": data.digest,
        **scores.details(recipe.balance),
    }
    return Evaluation(
        accuracy=scores.chosen(recipe.balance),
        loss=scores.loss,
        seed=seed,
        seconds=0.0,
        recipe=recipe.key,
        details=details,
        **made_on(place),
    )


def is_kept(spec: ArchSpec, path: Path) -> bool:
    """Whether ``keep_answer`` wrote that network's weights there, before a search was gone on
    with."""
    if not path.is_file():
        return False
    kept = read_described(str(path))[1].get("spec")
    return kept is not None and ArchSpec.from_json(kept).key == spec.key


def keep_answer(
    parent: Parent, spec: ArchSpec, recipe: Recipe, data: Data, device: torch.device, path: Path
) -> None:
    """Write the weights of ``spec`` as ``child`` trains them under seed 0, ready to go on from."""
    network, _ = child(parent, spec, recipe, data, 0, device)
    keep(Parent(spec.name, spec, weights_of(network), parent.moments), path)


def born(
    parent: Parent, twin: ArchSpec, recipe: Recipe, data: Data, seed: int, place: torch.device
) -> tuple[nn.Module, Inheritance]:
    """The built ``twin`` with weights from a prepared ``parent``, and what was inherited.

    ``twin`` has the data's classes and channels, and ``data`` are on ``place``.
    """
    torch.manual_seed(seed)
    parent = parent.twin(recipe)
    found = inheritance(parent.spec, parent.weights, twin, seed=seed)
    network = build(twin)
    network.load_state_dict(found.weights)
    network = quicken(network.to(place).to(memory_format=torch.channels_last))
    side, split = twin.resolution, first(data.train, recipe.images)
    if found.distance:
        few = list(batches(first(split, REFITTED), side, data))
        refit(parent.network.to(place), network, torch.cat(few))
        recalibrate(network, few)
    begin(network, split, side, data, recipe, seed)
    return network, found
