"""The captured step, by a stand-in for CUDA's graphs; and that nothing in an epoch waits."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.spec import ArchSpec, StageSpec, Stem
from training.data import Data, load
from training.loop import graph as graphs
from training.loop.feeds.placed import placed
from training.loop.graph import FEWEST, SWITCH, WARM_UP, NotCaptured, Steps, is_wanted
from training.loop.optimizer import schedule
from training.loop.train import first, train, train_above
from training.loop.trainer import Trainer
from training.recipe import Recipe

TINY = ArchSpec(
    "tiny", Stem(8, stride=1), (StageSpec("mbconv", 2, 16, stride=2, expansion=3),),
    resolution=8, classes=10, in_channels=1,
)  # fmt: skip
QUICK = Recipe(epochs=2, batch=32, lr=0.8, regularise=False, images=200)
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class StandIn:
    """As a CUDA graph, on the CPU: capturing runs nothing, and replays read from and write to the
    tensors that were there at the capture, whatever Python holds by then."""

    def __init__(self, *_: object) -> None:
        self.calls: list[str] = []
        self.work: Callable[[], Tensor] | None = None

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        self.calls.append("warm-up")
        return work()

    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        self.calls.append("capture")
        self.work, self.out = work, torch.zeros(())
        return self.out

    def replay(self) -> None:
        self.calls.append("replay")
        assert self.work is not None
        self.out.copy_(self.work())


class Failing(StandIn):
    def capture(self, work: Callable[[], Tensor]) -> Tensor:
        super().capture(work)
        work()  # a capture that fails may have done part of the work
        raise RuntimeError("operation not permitted\nwhen stream is capturing")


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", progress=False)


@pytest.fixture
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings on the CPU have graphs where those on CUDA would."""
    monkeypatch.setattr(graphs, "is_wanted", lambda _, steps, asked: is_wanted(CUDA, steps, asked))
    monkeypatch.setattr(graphs, "CudaGraph", StandIn)


# ---------------------------------------------------------------- the step


def test_steps_are_warmed_up_captured_once_and_replayed() -> None:
    graph, seen = StandIn(), []

    def step(given: Tensor) -> Tensor:
        seen.append((given.data_ptr(), int(given)))
        return 2.0 * given

    steps = Steps(step, graph)
    given = [torch.tensor(float(i)) for i in range(6)]
    assert steps.note == "not captured: too few steps"
    assert [float(steps(one)) for one in given] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert graph.calls == ["warm-up"] * WARM_UP + ["capture"] + ["replay"] * 3
    assert steps.note == "captured"
    # Replays read one place, which is none of the inputs'.
    places = [place for place, _ in seen]
    assert len(set(places[WARM_UP:])) == 1
    assert places[WARM_UP] not in {one.data_ptr() for one in given}


def test_without_a_graph_a_step_is_itself() -> None:
    steps = Steps(lambda given: given + 1, None)
    assert [int(steps(torch.tensor(i))) for i in range(9)] == list(range(1, 10))
    assert steps.note is None


def test_a_failed_capture_says_why_in_one_line() -> None:
    steps = Steps(lambda given: given, Failing())
    for _ in range(WARM_UP):
        steps(torch.zeros(()))
    with pytest.raises(NotCaptured) as raised:
        steps(torch.zeros(()))
    assert str(raised.value) == "RuntimeError: operation not permitted"


@pytest.mark.parametrize(
    ("device", "steps", "asked", "switch", "expected"),
    [
        (CUDA, FEWEST, None, None, True),
        (CUDA, FEWEST - 1, None, None, False),
        (CUDA, 1, True, None, True),
        (CUDA, FEWEST, False, None, False),
        (CUDA, FEWEST, None, "0", False),
        (CUDA, 1, None, "1", True),
        (CUDA, 1, True, "0", True),  # what is said in words goes first
        (CPU, FEWEST, True, "1", False),
        (torch.device("mps"), FEWEST, None, None, False),
    ],
)
def test_when_a_training_is_captured(
    device: torch.device, steps: int, asked: bool | None, switch: str | None, expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv(SWITCH, raising=False)
    if switch is not None:
        monkeypatch.setenv(SWITCH, switch)
    assert is_wanted(device, steps, asked) is expected


# ---------------------------------------------------------------- trainings


@pytest.mark.usefixtures("on_the_cpu")
@pytest.mark.parametrize(
    "changes",
    [{}, {"ema": 0.9, "cutout": 0.3}, {"micro_batch": 8, "batch": 33}],
    ids=["plain", "average, cutout", "micro-batches"],
)
@pytest.mark.parametrize("flip", [False, True])
def test_a_replayed_training_is_the_training(
    digits: Data, changes: dict[str, Any], flip: bool
) -> None:
    """Bit for bit: SGD reads the same rate from a tensor as from a number."""
    recipe, data = replace(QUICK, **changes), replace(digits, flip=flip)
    eager = train(TINY, recipe, data, 0, "cpu", graph=False)
    replayed = train(TINY, recipe, data, 0, "cpu", graph=True)
    assert (replayed.accuracy, replayed.loss) == (eager.accuracy, eager.loss)
    assert eager.details["graph"] is None
    assert replayed.details == eager.details | {"graph": "captured"}


@pytest.mark.usefixtures("on_the_cpu")
def test_a_replayed_training_with_adamw(digits: Data) -> None:
    """Its rate is rounded to single precision, which steps carry on."""
    recipe = replace(QUICK, optimizer="adamw", lr=0.02)
    eager = train(TINY, recipe, digits, 0, "cpu", graph=False)
    replayed = train(TINY, recipe, digits, 0, "cpu", graph=True)
    assert replayed.details["losses"] == pytest.approx(eager.details["losses"], abs=2e-3)


@pytest.mark.usefixtures("on_the_cpu")
def test_rungs_are_measured_between_replays(digits: Data) -> None:
    bars = ((0.25, 0.0), (0.75, 0.0))
    eager = train_above(TINY, QUICK, digits, 0, bars, "cpu", graph=False)
    assert train_above(TINY, QUICK, digits, 0, bars, "cpu", graph=True).curve == eager.curve  # type: ignore[union-attr]


@pytest.mark.usefixtures("on_the_cpu")
def test_short_trainings_are_not_captured_unasked(digits: Data) -> None:
    assert train(TINY, QUICK, digits, 0, "cpu").details["graph"] is None
    asked = train(TINY, replace(QUICK, epochs=1, images=64), digits, 0, "cpu", graph=True)
    assert asked.details["graph"] == "not captured: too few steps"


@pytest.mark.usefixtures("on_the_cpu")
@pytest.mark.parametrize("given", [False, True])
def test_a_training_that_cannot_be_captured_goes_without(
    digits: Data, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.build import build

    def start() -> nn.Module | None:
        torch.manual_seed(0)
        return build(TINY) if given else None

    eager = train(TINY, QUICK, digits, 0, "cpu", network=start(), graph=False)
    monkeypatch.setattr(graphs, "CudaGraph", Failing)
    found = train(TINY, QUICK, digits, 0, "cpu", network=start(), graph=True)
    assert (found.accuracy, found.loss) == (eager.accuracy, eager.loss)
    why = "not captured: RuntimeError: operation not permitted"
    assert found.details == eager.details | {"graph": why}


def test_the_rate_is_one_tensor_that_follows_the_schedule(digits: Data) -> None:
    run = Trainer(TINY, QUICK, digits, first(digits.train, 200), 0, graph=StandIn())
    rates = [group["lr"] for group in run.optimizer.param_groups]
    assert rates[0] is rates[1]
    seen: list[float] = []
    for _ in range(QUICK.epochs):
        run.epoch(lambda _: bool(seen.append(float(rates[0]))))  # type: ignore[func-returns-value]
    assert all(group["lr"] is rates[0] for group in run.optimizer.param_groups)
    steps = QUICK.steps(200)
    expected = [QUICK.rate() * schedule(i / steps, QUICK) for i in range(steps)]
    assert seen == pytest.approx(expected, rel=1e-6)


# ---------------------------------------------------------------- waiting


class Waits(TorchDispatchMode):
    """Counts what makes the CPU wait for a device: reading a number, and copies between them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select"):
            self.found.append(name)
        if name == "_to_copy" and "device" in (kwargs or {}):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def waits() -> Iterator[list[str]]:
    with Waits() as seen:
        yield seen.found


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_step_reads_nothing_from_the_device(digits: Data, optimizer: str) -> None:
    recipe = replace(QUICK, optimizer=optimizer, cutout=0.2, ema=0.9, micro_batch=16)
    data = replace(digits, flip=True)
    run = Trainer(TINY, recipe, data, first(data.train, 200), 0, micro_batches=2, graph=StandIn())
    with waits() as found:
        float(torch.ones(1))
        assert found == ["_local_scalar_dense"]  # it does see one
        found.clear()
        run.epoch()
    assert found == ["_local_scalar_dense"], "the epoch's loss, once"


on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@on_a_gpu
def test_an_epoch_on_a_gpu_waits_for_its_loss_alone(digits: Data) -> None:
    data = placed(digits, CUDA)
    run = Trainer(TINY, replace(QUICK, cutout=0.2, ema=0.9), data, first(data.train, 200), 0)
    run.epoch()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            run.epoch()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert len([one for one in seen if "synchronizing CUDA operation" in str(one.message)]) == 1


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("changes", [{}, {"ema": 0.9, "cutout": 0.3}, {"micro_batch": 8}])
def test_a_captured_training_on_a_gpu(
    digits: Data, optimizer: str, changes: dict[str, Any]
) -> None:
    """The same steps but for rounding; what it learns is an eager training's."""
    lr = {"sgd": 0.8, "adamw": 0.02}[optimizer]
    recipe = replace(QUICK, optimizer=optimizer, lr=lr, images=None, **changes)
    eager, captured = (train(TINY, recipe, digits, 0, "cuda", graph=g) for g in (False, True))
    assert eager.details["graph"] is None
    assert captured.details["graph"] == "captured"
    assert captured.details["losses"] == pytest.approx(eager.details["losses"], rel=0.05)
    assert captured.accuracy == pytest.approx(eager.accuracy, abs=0.1)


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("graph", [False, True])
def test_a_deterministic_training_on_a_gpu_repeats_itself(digits: Data, graph: bool) -> None:
    one, two = (
        train(TINY, QUICK, digits, 0, "cuda", deterministic=True, graph=graph) for _ in range(2)
    )
    assert (one.accuracy, one.loss, one.details) == (two.accuracy, two.loss, two.details)


@pytest.mark.gpu
@on_a_gpu
def test_what_a_network_drops_differs_from_replay_to_replay() -> None:
    graph, ones = graphs.CudaGraph(CUDA), torch.ones(1000, device=CUDA)
    steps = Steps(lambda given: nn.functional.dropout(given, 0.5), graph)
    seen = [steps(ones).clone() for _ in range(WARM_UP + 3)]
    assert steps.note == "captured"
    assert not any(torch.equal(a, b) for a, b in itertools.pairwise(seen))
