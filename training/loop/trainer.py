"""The steps of one training: batches, gradients, the learning rate's schedule."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice, repeat

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.build import build
from models.spec import ArchSpec
from training.data import Data, Split
from training.device import autocast
from training.loop.augment import FIELDS, cutout, draw, mirror, to_float, translate
from training.loop.feeds.feed import Feed
from training.loop.feeds.mixing import Mixer
from training.loop.feeds.vary import balanced_order, recoloured, zoomed
from training.loop.graph import Graph, Steps
from training.loop.memory import micro_batch, recompute
from training.loop.optimizer import average, freeze, optimizer_of, schedule, zero_starts
from training.loop.processes import ALONE, Processes, synchronise
from training.loop.quick.layers import quicken
from training.loop.together.pipeline import Line, Passing, own_stage
from training.loop.together.sharded import full, shard
from training.recipe import Recipe

_APART = 7919  # between the seeds of processes

Network = nn.Module | Passing


class Trainer:
    """What one training carries from step to step.

    A batch goes through the network in so many ``micro_batches``, whose gradients are added up: the
    step, its learning rate and the number of steps are those of the whole batch. Only batch norm
    sees the difference, because its statistics, the running ones too, are each micro-batch's.

    On a GPU nothing in an epoch makes the CPU wait: what is random and the learning rates go there
    before it, the loss comes back after it. With a ``graph`` the step is captured and replayed. Not
    so where pictures come one by one from a ``feed``, are mixed, or the average's decay or the
    pictures' side changes: what is random then stays on the CPU (``is_eager``).

    side     pixels at which the network is measured; ``seen``, at which it learns now: fewer in the
             phases before the last (``Recipe.phases``)
    losses   the mean loss of each epoch that is done
    curve    what was measured on the way: shares of the steps, accuracies
    done     steps of the epoch that has begun; ``total``, the sum of their losses
    began    the generator's state when that epoch began: what is random in it follows from this
    between  called before each step, when all of the above agrees with the weights

    Raises ValueError where pictures are varied one by one or stream, and there is no feed for it.
    """

    def __init__(
        self,
        twin: ArchSpec,
        recipe: Recipe,
        data: Data,
        split: Split,
        seed: int,
        *,
        network: nn.Module | None = None,
        micro_batches: int = 1,
        graph: Graph | None = None,
        feed: Feed | None = None,
        among: Processes = ALONE,
    ) -> None:
        self.twin, self.recipe, self.data, self.split = twin, recipe, data, split
        if feed is None and (recipe.one_by_one or split.files is not None):
            raise ValueError("pictures come one by one: give a feed (training.loop.train.trainer)")
        self._feed, self.among = feed, among
        self._mixer: Mixer | None = None
        self.micro_batches, self.side = micro_batches, twin.resolution
        # Order and augmentation are drawn apart from the weights, and on the CPU, so that paired
        # seeds see the same images in the same order whatever the network and the device.
        self.generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        if network is None:
            network = build(twin)
            if recipe.zero_init:
                zero_starts(network)
        device = split.labels.device
        if among.pipeline:
            network = own_stage(network, twin, among)
        # Pieces are put on the device: there may be no room for the whole.
        network = network.to("cpu" if among.sharded else device)
        self.network = quicken(network.to(memory_format=torch.channels_last))
        if recipe.freeze:
            freeze(self.network)
        if recipe.recompute:
            recompute(self.network)
        if among.count > 1:
            torch.manual_seed(seed + _APART * (1 + among.rank))  # dropout of its own
            if recipe.sync_bn:
                self.network = synchronise(self.network, device)
        self.averaged = copy.deepcopy(self.network) if recipe.ema else self.network
        if among.sharded:
            for one in {self.network, self.averaged}:
                shard(one, device, among)
        self._forward = self.network
        self._line = None
        if among.schedule is not None:
            part = partial(self._loss, share=1 / micro_batches)
            self._line = Line(
                self.network, twin, among, device, micro_batches, part, among.schedule
            )
        elif among.count > 1 and not among.sharded:
            self._forward = DistributedDataParallel(self.network)
        # Where a number in Python would be read too early, or once and for all.
        fixed = device.type == "cuda" or graph is not None
        self._rate = torch.zeros((), device=device) if fixed else None
        self.optimizer = optimizer_of(self.network, recipe, self._rate, graph is not None)
        self._mirrors = recipe.mirrors(data.flip)
        self._labels = split.labels.cpu() if recipe.balance else None
        self.batch = recipe.batch_of(len(split))
        self.step, self.steps = 0, recipe.steps(len(split))
        self.losses: list[float] = []
        self.curve: list[tuple[float, float]] = []
        self.done, self.total = 0, torch.zeros((), device=device)
        self.began = self.generator.get_state()
        self.between: Callable[[], None] = _nothing
        self._steps = Steps(self._update, graph)
        self._dropout = twin.dropout
        self._enter(0)

    @property
    def micro_batch(self) -> int:
        """Images that go through the network at once, in each process."""
        return micro_batch(-(-self.batch // self.among.parts), self.micro_batches)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.split.labels.device

    @property
    def graph(self) -> str | None:
        """Whether steps were captured, as a record tells it; None without a graph."""
        return self._steps.note

    @property
    def measured(self) -> Network:
        """What the network, or the average of its weights, says of pictures; in a pipeline its
        stages together, called in every process alike."""
        return self.averaged if self._line is None else self._line.passing(self.averaged)

    def whole(self) -> nn.Module:
        """The network that was trained. Where several processes have its parts, it is put together
        in the first, on the CPU; the others get their own part. Every process must ask."""
        among = self.among
        if not (among.pipeline or among.sharded):
            return self.averaged
        every = {}
        for name, one in self.averaged.state_dict().items():
            whole = full(one)
            if among.is_first or among.pipeline:
                every[name] = whole.cpu()
        if among.pipeline:
            every = among.united(every)
        if not among.is_first:
            return self.averaged
        found = build(self.twin)
        found.load_state_dict(every)
        return found

    def epoch(self, ends: Callable[[int], bool] | None = None) -> float:
        """One pass over the images in a fresh order, or until ``ends`` of the steps
        done is true; the mean loss. Of an epoch that had begun, what is left of it."""
        self.to_learn()
        self._enter(self.recipe.phase(len(self.losses)))
        self.began = self.generator.get_state()
        every = self._drawn()[self.done :, :, self.among.part(self.batch)]
        rates = islice(self._rates(), self.done, None)
        for drawn, rate, images in zip(every, rates, self._fed(every), strict=True):
            self.between()
            self._set(rate)
            self.total += self._steps(drawn) if images is None else self._update(drawn, images)
            self.step += 1
            self.done += 1
            if ends is not None and ends(self.step):
                break
        self.losses.append(self.among.summed(self.total).item() / self.done)
        self.done, self.total = 0, torch.zeros_like(self.total)
        return self.losses[-1]

    def to_learn(self) -> None:
        """Put the network into the mode in which it learns; what is frozen stays as it is used."""
        self.network.train(not self.recipe.freeze)
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.train()

    def _enter(self, phase: int) -> None:
        """Learn as in that phase of the recipe; an epoch is in one."""
        recipe, self._phase = self.recipe.in_phase(phase), phase
        self.seen = recipe.side_in(phase, self.side)
        self._mixer = Mixer(recipe, len(self.data.classes)) if recipe.mixes else None
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = recipe.dropout_in(phase, self._dropout)

    def _drawn(self) -> Tensor:
        """What is random in an epoch, on the device: as ``augment.draw``."""
        recipe, order = self.recipe, None
        if self._labels is not None:
            order = balanced_order(self._labels, len(self.data.classes), self.generator)
        drawn = draw(
            self.generator,
            len(self.split),
            self.batch,
            reach=round(recipe.shift * self.split.images.shape[-1]),
            flip=self._mirrors[0],
            hole_side=self.seen if recipe.cutout else None,
            vertical=self._mirrors[1],
            zoom=recipe.zoom > 0,
            colours=recipe.jitter > 0,
            seeds=recipe.one_by_one or recipe.mixes,
            order=order,
        )
        return drawn if is_eager(recipe, self._feed) else _sent(drawn, self.split.labels.device)

    def _fed(self, drawn: Tensor) -> Iterable[Tensor | None]:
        """The pictures of each step, where they do not lie on the device."""
        if self._feed is None or not self.among.sees_pictures:
            return repeat(None, len(drawn))
        return self._feed.batches(drawn, self._phase)

    def _rates(self) -> Sequence[float] | Tensor:
        """The learning rates of an epoch's steps."""
        first = self.step - self.done
        steps = range(first, first + len(self.split) // self.batch)
        peak = self.recipe.rate()
        rates = [peak * schedule(step / self.steps, self.recipe) for step in steps]
        return rates if self._rate is None else _sent(torch.tensor(rates), self._rate.device)

    def _set(self, rate: float | Tensor) -> None:
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].copy_(torch.as_tensor(rate * group["scale"]))
            else:
                group["lr"] = rate * group["scale"]

    def _update(self, drawn: Tensor, pictures: Tensor | None = None) -> Tensor:
        """One step, on the device from its beginning to its end; the loss of this process's part
        of the batch, as its part of the whole one's.

        In a graph all of this is done again by the device alone: of what changes from step to step
        nothing may come from Python but the first step, which is never captured.
        """
        images, labels = self._batch(drawn, pictures)
        if self._line is None:
            total = self._accumulated(images, labels)
        else:
            total = self._line.gradients(images, labels)
        if self.recipe.clip is not None:
            self._clip(self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.averaged is not self.network:
            average(self.averaged, self.network, self._decay())
        return total

    def _accumulated(self, images: Tensor, labels: Tensor) -> Tensor:
        """Add the gradients of this process's part of a batch; its part of the loss."""
        total = torch.zeros((), device=labels.device)
        parts = zip(
            torch.tensor_split(images, self.micro_batches),
            torch.tensor_split(labels, self.micro_batches),
            strict=True,
        )
        for number, (some, of) in enumerate(parts, 1):
            with self._alone(number < self.micro_batches):
                total += self._gradients(some, of, len(of) / self.batch)
        return total

    def _clip(self, most: float) -> None:
        """Shrink the whole gradient to that norm, whichever processes have its parts."""
        weights = list(self.network.parameters())
        if not self.among.pipeline:
            nn.utils.clip_grad_norm_(weights, most)
            return
        own = nn.utils.get_total_norm([one.grad for one in weights if one.grad is not None])
        norm = self.among.summed(own.square()).sqrt()
        nn.utils.clip_grads_with_norm_(weights, most, norm)

    def _decay(self) -> float:
        """Of the average, which begins with the weights after the first step."""
        recipe, step = self.recipe, self.step
        most = (1 + step) / (10 + step) if recipe.ema_warmup else 1.0
        return min(recipe.ema, most) if step else 0.0

    def _batch(self, drawn: Tensor, pictures: Tensor | None) -> tuple[Tensor, Tensor]:
        """What goes into the network, and the labels, or of mixed pictures the classes' shares.

        Where only other processes see the pictures, theirs is a shape without content.
        """
        labels = self.split.labels
        seed = int(drawn[FIELDS.index("seed"), 0]) if self._mixer else 0
        of = dict(zip(FIELDS, drawn.to(labels.device), strict=True))
        if self.among.sees_pictures:
            x = self._varied(of, pictures)
        else:
            shape = drawn.shape[-1], self.data.channels, self.seen, self.seen
            x = torch.empty(shape, device="meta")
        labels = labels[of["picture"]]
        return (x, labels) if self._mixer is None else self._mixer(x, labels, seed)

    def _varied(self, of: dict[str, Tensor], pictures: Tensor | None) -> Tensor:
        """The pictures of a batch by what was drawn for each, float (B, C, side, side)."""
        recipe, labels = self.recipe, self.split.labels
        if pictures is None:
            pictures = self.split.images[of["picture"]]
        images = translate(pictures.to(labels.device), of["down"], of["right"])
        for wanted, name, axis in zip(
            self._mirrors, ("mirrored", "upside_down"), (3, 2), strict=True
        ):
            images = mirror(images, of[name], axis) if wanted else images
        x = to_float(images, self.seen, self.data.mean, self.data.std, channels_last=True)
        if recipe.zoom:
            x = zoomed(x, of, recipe.zoom)
        if recipe.jitter:
            x = recoloured(x, of, recipe.jitter)
        if recipe.cutout:
            x = cutout(x, of["row"], of["column"], recipe.cutout)
        return x

    def _gradients(self, images: Tensor, labels: Tensor, share: float) -> Tensor:
        """Add the gradients of a micro-batch that is this share of its batch; its part of the
        loss."""
        with autocast(images.device):
            logits = self._forward(images)
        loss = self._loss(logits.float(), labels, share)
        # Of several processes' gradients the mean is taken, where their sum is meant.
        (loss if self.among.count == 1 else self.among.count * loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _loss(self, logits: Tensor, labels: Tensor, share: float) -> Tensor:
        smoothing = self.recipe.label_smoothing
        return share * F.cross_entropy(logits, labels, label_smoothing=smoothing)

    def _alone(self, more: bool) -> AbstractContextManager[object]:
        """A block in which no other process's gradients are added, where ``more`` come."""
        if more and isinstance(self._forward, DistributedDataParallel):
            return self._forward.no_sync()
        return nullcontext()


def is_eager(recipe: Recipe, feed: Feed | None) -> bool:
    """Whether Python has a part in every step, which then cannot be captured."""
    return feed is not None or recipe.mixes or recipe.ema_warmup or recipe.phases > 1


def _nothing() -> None:
    pass


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """On the device; to a GPU by a copy that nobody waits for."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
