"""One training loop, for short proxy runs and full ones alike."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.build import build
from models.spec import ArchSpec
from training.augment import augment, cutout, to_float
from training.data import Data, Split
from training.depthwise import quicken
from training.recipe import Recipe
from trials.record import Evaluation

EVALUATION_BATCH = 500

OnEpoch = Callable[[int, float], None]


def choose_device(name: str = "auto") -> torch.device:
    """``auto``: CUDA, else Apple's MPS, else the CPU; or the device of that name.

    Raises ValueError for a name that torch does not know or this machine does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(f"device {name!r} is not to be had here: try auto or cpu") from None
    return device


def train(
    spec: ArchSpec,
    recipe: Recipe,
    data: Data,
    seed: int,
    device: torch.device | str = "auto",
    *,
    network: nn.Module | None = None,
    on_epoch: OnEpoch | None = None,
) -> Evaluation:
    """Train ``spec`` from scratch and measure its accuracy on the validation split.

    Weights, order and augmentation derive from ``seed``: on one device and one version of torch
    the same seed gives the same accuracy. ``network`` is trained in place of a fresh one where
    given; ``on_epoch`` receives each epoch's number and loss.

    Raises FloatingPointError where the loss is no longer finite, ValueError where the data are too
    few for one batch norm step.
    """
    run = _Run(spec, recipe, data, seed, device, network)
    return _train(run, "validation", on_epoch)


def final(
    spec: ArchSpec,
    recipe: Recipe,
    data: Data,
    seed: int,
    device: torch.device | str = "auto",
    *,
    network: nn.Module | None = None,
    on_epoch: OnEpoch | None = None,
) -> tuple[nn.Module, Evaluation]:
    """``train``, measured on the test split, with the trained network.

    For the one training that nothing is chosen by. Raises ValueError where there is no test split.
    """
    if not len(data.test):
        raise ValueError(f"{data.name} has no test split: load it with a share of test pictures")
    run = _Run(spec, recipe, data, seed, device, network)
    found = _train(run, "test", on_epoch)
    return run.averaged, found


def _train(run: _Run, held_out: str, on_epoch: OnEpoch | None) -> Evaluation:
    start, recipe = time.perf_counter(), run.recipe
    losses = []
    for epoch in range(recipe.epochs):
        losses.append(run.epoch())
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss is {losses[-1]} after {epoch + 1} epochs: diverged")
        if on_epoch:
            on_epoch(epoch, losses[-1])
    split = run.data.test if held_out == "test" else first(run.data.validation, recipe.held_out)
    accuracy, loss = evaluate(run.averaged, split, run.side, run.data)
    if not math.isfinite(loss):
        raise FloatingPointError(f"the {held_out} loss is {loss}: diverged")
    return Evaluation(
        accuracy=accuracy,
        loss=loss,
        seed=run.seed,
        recipe=recipe.key,
        seconds=time.perf_counter() - start,
        device=_describe(run.device),
        versions={"torch": torch.__version__, "python": platform.python_version()},
        details={
            "losses": [round(value, 4) for value in losses],
            "images": len(run.split),
            "steps": run.step,
            "side": run.side,
            "held_out": held_out,
            "data": run.data.digest,
        },
    )


@torch.no_grad()
def evaluate(network: nn.Module, split: Split, side: int, data: Data) -> tuple[float, float]:
    """Accuracy in [0, 1] and mean cross-entropy of ``network`` on ``split`` at ``side`` pixels."""
    network.eval()
    correct = torch.zeros((), device=split.labels.device)
    loss = torch.zeros((), device=split.labels.device)
    for images, labels in zip(
        torch.split(split.images, EVALUATION_BATCH),
        torch.split(split.labels, EVALUATION_BATCH),
        strict=True,
    ):
        x = to_float(images, side, data.mean, data.std, channels_last=True)
        with _autocast(x.device):
            logits = network(x).float()
        correct += (logits.argmax(1) == labels).sum()
        loss += F.cross_entropy(logits, labels, reduction="sum")
    return correct.item() / len(split), loss.item() / len(split)


class _Run:
    """What one training carries from step to step."""

    def __init__(
        self, spec: ArchSpec, recipe: Recipe, data: Data, seed: int, device: torch.device | str,
        network: nn.Module | None,
    ) -> None:  # fmt: skip
        self.device = choose_device(device) if isinstance(device, str) else device
        self.recipe, self.data, self.seed = recipe, data.to(self.device), seed
        self.split = first(self.data.train, recipe.images)
        if len(self.split) < 2:
            raise ValueError(f"{len(self.split)} training images: batch norm needs at least 2")
        twin = recipe.network(spec, len(data.classes), data.channels)
        self.side = twin.resolution
        # Order and augmentation are drawn apart from the weights, and on the CPU, so that paired
        # seeds see the same images in the same order whatever the network and the device.
        self.generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        if network is None:
            network = build(twin)
            if recipe.zero_init:
                zero_starts(network)
        network = network.to(self.device).to(memory_format=torch.channels_last)
        self.network = quicken(network)
        self.averaged: nn.Module = self.network
        if recipe.ema:
            self.averaged = AveragedModel(
                self.network,
                multi_avg_fn=get_ema_multi_avg_fn(recipe.ema),  # type: ignore[no-untyped-call]
                use_buffers=True,
            )
        self.optimizer = _optimizer(self.network, recipe)
        self.batch = min(recipe.batch, len(self.split))
        self.step, self.steps = 0, recipe.epochs * (len(self.split) // self.batch)

    def epoch(self) -> float:
        """One pass over the images in a fresh order; the mean loss."""
        self.network.train()
        total = torch.zeros((), device=self.split.labels.device)
        count = 0
        for images, labels in self._batches():
            total += self._update(images, labels)
            count += 1
        return total.item() / count

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        recipe, data = self.recipe, self.data
        order = torch.randperm(len(self.split), generator=self.generator)
        order = order[: len(order) // self.batch * self.batch].to(self.split.labels.device)
        for rows in torch.split(order, self.batch):
            images = augment(
                self.split.images[rows], self.generator, shift=recipe.shift, flip=data.flip
            )
            x = to_float(images, self.side, data.mean, data.std, channels_last=True)
            if recipe.cutout:
                x = cutout(x, self.generator, recipe.cutout)
            yield x, self.split.labels[rows]

    def _update(self, images: Tensor, labels: Tensor) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate() * schedule(self.step / self.steps, self.recipe.warmup)
        with _autocast(images.device):
            logits = self.network(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        if isinstance(self.averaged, AveragedModel):
            self.averaged.update_parameters(self.network)
        return loss.detach()


def first(split: Split, count: int | None) -> Split:
    """The first ``count`` images, a stratified sample as ``load`` orders them; None: all."""
    return Split(split.images[:count], split.labels[:count])


def schedule(progress: float, warmup: float) -> float:
    """Share of the peak rate at ``progress`` in [0, 1]: a linear climb, then half a cosine to 0."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def zero_starts(network: nn.Module) -> None:
    """Start the classifier, and every residual branch that ends in a batch norm, at 0.

    The first steps of a short training are then not spent on unlearning random logits and
    branches (Goyal et al. 2017, arXiv:1706.02677, section 5.1).
    """
    for module in network.modules():
        body = getattr(module, "body", None)
        if isinstance(body, nn.Sequential) and hasattr(module, "shortcut") and len(body):
            last = body[-1]
            if isinstance(last, nn.BatchNorm2d):
                nn.init.zeros_(last.weight)
    classifier = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    nn.init.zeros_(classifier.weight)


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Weight decay on convolution and linear weights only, not on norms and biases."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    fused = decayed[0].device.type in ("cpu", "cuda")
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, recipe.rate(), momentum=recipe.momentum, nesterov=True, fused=fused
        )
    return torch.optim.AdamW(groups, recipe.rate(), betas=(recipe.momentum, 0.99), fused=fused)


def _autocast(device: torch.device) -> torch.autocast:
    """bf16 on CUDA; elsewhere full precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"{device.type} ({threads} thread{'s' * (threads > 1)})"
