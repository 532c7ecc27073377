"""Memory: the estimate, what there is, micro-batches decided by it, failures where nothing fits."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmarks.support.live import expected
from benchmarks.timing.memory import measure, noise, status
from common import host_memory as machine
from common.host_memory import free_host_bytes, is_out_of_memory, total_host_bytes
from models.build import build
from models.cost import cost
from models.families import family
from models.memory import step_bytes, training_bytes
from models.spec import ArchSpec, StageSpec, Stem
from nas.search import search
from nas.space import space
from tests.support.command import assert_refused, in_process
from tests.support.strategies import specs
from tests.support.trials_helpers import Toy, memory_facts
from training.__main__ import main as train_command
from training.data import Data, load
from training.evaluator import ByName, Evaluator
from training.loop import memory
from training.loop.quick.layers import quicken
from training.loop.train import final, first, train
from training.loop.trainer import Trainer
from training.recipe import Recipe
from trials.record import Evaluation, Failure
from trials.workers.environment import share_variables
from trials.workers.pool import ProcessPool
from trials.workers.worker import attempt

CPU = torch.device("cpu")
TINY = ArchSpec(
    "tiny", Stem(8, stride=1), (StageSpec("mbconv", 2, 16, stride=2, expansion=3),),
    resolution=8, classes=10, in_channels=1,
)  # fmt: skip
# Layer norm sees one image at a time, so that micro-batches change nothing but rounding.
LAYERS = ArchSpec(
    "layers", Stem(8, 2, 2), (StageSpec("convnext", 2, 16, 3, expansion=2),),
    resolution=8, classes=10, in_channels=1, norm="layer", activation="gelu",
)  # fmt: skip
QUICK = Recipe(epochs=2, batch=32, lr=0.8, regularise=False, images=200)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", progress=False)


def there_is(monkeypatch: pytest.MonkeyPatch, bytes_: float) -> None:
    monkeypatch.setattr(memory, "total_bytes", lambda _: int(bytes_))


def need(spec: ArchSpec, batch: int, whole: int) -> float:
    """Bytes that ``batch`` images of batches of ``whole`` take by the estimate, and one more."""
    inputs = 12 * whole * spec.in_channels * spec.resolution**2
    return 1.35 * (step_bytes(spec, batch) + inputs) + 1


# ---------------------------------------------------------------- the estimate


def test_the_formula() -> None:
    assert training_bytes(10, 100, 32) == 4 * (3 * 10 + 4 * 32 * 100)
    assert training_bytes(10, 100, 32, copies=5) - training_bytes(10, 100, 32) == 4 * 2 * 10


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are read from /proc")
@pytest.mark.parametrize(
    ("name", "side", "batch"),
    [("efficientnet-b0", 128, 8), ("mobilenet-v1", 128, 16), ("convnext-t", 96, 8)],
)
def test_the_estimate_is_within_a_factor_of_two(name: str, side: int, batch: int) -> None:
    estimated, peak = measure(name, side, batch)
    assert 0.5 < estimated / peak < 2


def test_a_step_by_hand() -> None:
    """A convolution of the pictures, norm, ReLU in place; pool and classifier."""
    spec = ArchSpec("by hand", Stem(8, stride=1), (StageSpec("conv", 1, 4, kernel=1),),
                    resolution=8, classes=10, in_channels=1, activation="relu")  # fmt: skip
    pixels, stem, stage, weights = 64, 8 * 64, 4 * 64, cost(spec).params
    before, behind = 9 * 8 + 2 * 8, 8 * 4 + 2 * 4  # weights of the stem, and of the stage
    # At the stem's ReLU its convolution's output is kept and its own; two gradients are there.
    first = 3 * weights - before + 50 * (pixels + 2 * stem + 2 * stem)
    second = 3 * weights - before - behind + 50 * (pixels + 2 * stem + 2 * stage + 2 * stage)
    assert step_bytes(spec, 50) == 4 * max(first, second)


@pytest.mark.slow
@given(specs())
@settings(max_examples=15)
def test_a_step_s_peak_is_that_of_the_tensors_alive(spec: ArchSpec) -> None:
    """As torch makes them on the meta device, or more where the last maps are among the largest:
    the gradient that the pool gives them takes no memory. But for what grows with no batch."""
    if spec.norm == "layer":  # in place on a linear layer's view torch copies what ReLU overwrites
        spec = replace(spec, activation="gelu")
    spec = replace(spec, dropout=0.0, drop_path=0.0)
    large, small = (
        expected(lambda: quicken(build(spec)), spec.resolution, batch, spec.in_channels)
        for batch in (512, 256)
    )
    estimates = [step_bytes(spec, batch) for batch in (512, 256)]
    assert 0.97 <= (estimates[0] - estimates[1]) / (large - small) < 1.6


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["efficientnet-b0", "efficientnet-b3", "mobilenet-v2", "resnet-50", "convnext-t",
             "rexnet-1.0", "mnasnet-a1"],
)  # fmt: skip
@pytest.mark.parametrize("again", [False, True])
def test_a_step_of_a_family(name: str, again: bool) -> None:
    spec = replace(family(name), resolution=96, dropout=0.0, drop_path=0.0)

    def made() -> nn.Module:
        network = quicken(build(spec))
        return memory.recompute(network) if again else network

    estimate = step_bytes(spec, 16, recompute=again)
    assert estimate == pytest.approx(expected(made, 96, 16), rel=0.02)
    halves = step_bytes(spec, 16, map_bytes=2, recompute=again)
    assert estimate / 2 < halves < estimate


@pytest.mark.parametrize("changes", [{}, {"ema": 0.9, "optimizer": "adamw", "micro_batch": 16}])
def test_computing_again_changes_no_bit(digits: Data, changes: dict[str, Any]) -> None:
    """Dropout and stochastic depth draw the same numbers, running statistics move once."""
    spec = replace(TINY, dropout=0.3, drop_path=0.3)
    recipe = replace(Recipe(epochs=2, batch=32, images=200), **changes)
    found = [
        final(spec, replace(recipe, recompute=again), digits, 0, "cpu")[0].state_dict()
        for again in (False, True)
    ]
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name]), name


def test_a_stage_is_computed_again_once_however_often_a_training_begins(digits: Data) -> None:
    network = memory.recompute(memory.recompute(build(TINY))).train()
    calls = []
    network.stages[0][0].register_forward_hook(lambda *_: calls.append(1))
    network(torch.zeros(4, 1, 8, 8)).sum().backward()
    assert len(calls) == 2
    network.eval()(torch.zeros(4, 1, 8, 8))
    assert len(calls) == 3


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are read from /proc")
def test_computing_again_takes_less_as_estimated() -> None:
    (estimated, peak), (less, lower) = (
        measure("efficientnet-b0", 128, 16, again) for again in (False, True)
    )
    assert less < 0.6 * estimated
    assert lower < 0.75 * peak
    assert 0.5 < less / lower < 2


# ---------------------------------------------------------------- what there is


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal: 900 kB\nMemFree: 100 kB\nMemAvailable: 800 kB\n"}
V1 = "4:cpu,memory:/job/a\n1:name=systemd:/\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc and control groups")
@pytest.mark.parametrize(
    ("files", "free", "total"),
    [
        (MEMINFO, 800 * 1024, 900 * 1024),
        ({}, None, None),
        ({"proc/meminfo": "MemAvailable:\nrubbish"}, None, None),
        # Version 2: a container's root; its cached files count as free.
        ({**MEMINFO, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "5000\n",
          "sys/fs/cgroup/memory.current": "3000\n",
          "sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 500\n"}, 2500, 5000),
        # No limit of its own, but its parent's.
        ({**MEMINFO, "proc/self/cgroup": "0::/slice/unit\n",
          "sys/fs/cgroup/slice/unit/memory.max": "max\n",
          "sys/fs/cgroup/slice/unit/memory.current": "10\n",
          "sys/fs/cgroup/slice/memory.max": "4096\n",
          "sys/fs/cgroup/slice/memory.current": "96\n"}, 4000, 4096),
        # Version 1, and over its limit.
        ({**MEMINFO, "proc/self/cgroup": V1,
          "sys/fs/cgroup/memory/job/a/memory.limit_in_bytes": "7000\n",
          "sys/fs/cgroup/memory/job/a/memory.usage_in_bytes": "6000\n",
          "sys/fs/cgroup/memory/job/a/memory.stat": "total_inactive_file 9\n"}, 1009, 7000),
        ({**MEMINFO, "proc/self/cgroup": V1,
          "sys/fs/cgroup/memory/memory.limit_in_bytes": "10\n",
          "sys/fs/cgroup/memory/memory.usage_in_bytes": "90\n"}, 0, 10),
        # Version 1's way to say that there is no limit.
        ({**MEMINFO, "proc/self/cgroup": V1,
          "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
          "sys/fs/cgroup/memory/memory.usage_in_bytes": "90\n"}, 800 * 1024, 900 * 1024),
    ],
    ids=["no group", "nothing known", "rubbish", "v2", "v2 parent", "v1", "v1 over", "v1 none"],
)  # fmt: skip
def test_main_memory(
    files: dict[str, str],
    free: int | None,
    total: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_ROOT", tree(tmp_path, files))
    assert free_host_bytes() == free
    assert total_host_bytes() == total


def test_memory_of_this_machine() -> None:
    everything = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free, total = free_host_bytes(), total_host_bytes()
    assert free is not None
    assert total is not None
    assert 0 < free <= total <= everything


def test_memory_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, whatever is free at the moment."""
    monkeypatch.setattr(memory, "total_host_bytes", lambda: 12_000)
    card = SimpleNamespace(total_memory=20_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    assert memory.total_bytes(CPU) == 12_000
    assert memory.total_bytes(torch.device("cuda", 1)) == 20_000
    assert memory.total_bytes(torch.device("mps")) is None


def test_workers_know_their_number_and_die_first() -> None:
    with ProcessPool(memory_facts, 3, devices=["cpu", "cpu"]) as pool:
        pool.submit(0, Toy(1, 1.0), 0)  # type: ignore[arg-type]
        _, found = pool.next()
    assert isinstance(found, Evaluation), found
    assert found.details == {"workers": [3, 2], "score": 1000}


# ---------------------------------------------------------------- micro-batches


@given(st.integers(1, 300), st.integers(0, 400))
def test_a_batch_is_halved_until_it_fits(batch: int, images: int) -> None:
    """``images`` is what the memory holds; everything that may be decided follows from it."""
    recipe = Recipe(batch=batch)
    room = int(need(TINY, images, batch) / 0.8) + 1
    try:
        size = memory.decide([TINY], recipe, 1000, room)
    except MemoryError as error:
        assert "choose a smaller network" in str(error)
        assert images < 2 * memory.SMALLEST
        return
    count = memory.micro_batches(batch, size)
    sizes = [len(part) for part in torch.tensor_split(torch.zeros(batch), count)]
    assert max(sizes) <= (size or batch) <= images
    assert size != batch
    assert count == 1 or min(sizes) >= memory.SMALLEST
    assert size is None or 2 * size >= images - 1


@given(st.integers(1, 300), st.one_of(st.none(), st.integers(2, 400)))
def test_micro_batches_are_no_larger_than_asked_and_none_is_of_one_image(
    batch: int, most: int | None
) -> None:
    count = memory.micro_batches(batch, most)
    sizes = [len(part) for part in torch.tensor_split(torch.zeros(batch), count)]
    assert max(sizes) == memory.micro_batch(batch, count)
    assert min(sizes) >= min(memory.SMALLEST, batch)
    assert max(sizes) <= max(most or batch, 3)  # of three images, none but all can be taken


def test_the_largest_decides_and_what_cannot_be_trained_has_no_say() -> None:
    larger = replace(TINY, stages=(StageSpec("mbconv", 8, 16, stride=2, expansion=3),))
    huge = replace(TINY, resolution=2048)
    room = int(need(TINY, 32, 32) / 0.8) + 1
    assert memory.decide([TINY], QUICK, 1000, room) is None
    assert (size := memory.decide([larger], QUICK, 1000, room)) in (4, 8, 16)
    assert memory.decide([TINY, larger, TINY, huge], QUICK, 1000, room) == size
    with pytest.raises(MemoryError, match=r"training 2 images of tiny at once takes about .* GiB"):
        memory.decide([huge], QUICK, 1000, room)
    assert memory.decide([], QUICK, 1000, room) is None
    assert memory.decide([huge], QUICK, 1000, None) is None  # nothing is known
    assert memory.decide([huge], QUICK, 1000, 1 << 40) is None


def test_an_average_and_adamw_take_room_too() -> None:
    wide = replace(TINY, head=4096)
    for batch in (8, 32):
        room = int(need(wide, batch, 32) / 0.8) + 1
        plain = memory.decide([wide], QUICK, 1000, room)
        assert plain == (None if batch == 32 else batch)
        for more in (replace(QUICK, ema=0.9), replace(QUICK, optimizer="adamw")):
            found = memory.decide([wide], more, 1000, room)
            assert found is not None
            assert found < batch


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(("batch", "count"), [(32, 2), (32, 16), (33, 4)])
def test_accumulated_gradients_are_those_of_the_whole_batch(
    digits: Data, optimizer: str, batch: int, count: int
) -> None:
    recipe = replace(QUICK, batch=batch, optimizer=optimizer, lr=0.02, epochs=1, cutout=0.2)
    split = first(digits.train, recipe.images)
    whole, cut = (Trainer(LAYERS, recipe, digits, split, 0, micro_batches=n) for n in (1, count))
    assert cut.epoch() == pytest.approx(whole.epoch(), rel=1e-4)
    assert cut.step == whole.step == 200 // batch
    for one, other in zip(whole.network.parameters(), cut.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_a_micro_batch_cuts_the_batch_and_nothing_else(digits: Data) -> None:
    whole = train(TINY, QUICK, digits, 0, "cpu")
    cut = train(TINY, replace(QUICK, micro_batch=8), digits, 0, "cpu")
    assert (whole.details["micro_batch"], cut.details["micro_batch"]) == (32, 8)
    assert whole.details["divided"] == cut.details["divided"] == 0
    for name in ("steps", "images", "side", "data"):
        assert cut.details[name] == whole.details[name]
    assert cut.recipe != whole.recipe  # it is another training
    assert cut.loss != whole.loss  # batch norm's statistics are each micro-batch's


def test_memory_of_the_moment_decides_nothing(
    digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else runs on the machine must not change what a seed gives."""
    expected = train(TINY, QUICK, digits, 0, "cpu")
    little = int(need(TINY, 4, whole=32)) // 1024
    meminfo = f"MemTotal: 9999999 kB\nMemAvailable: {little} kB\n"
    monkeypatch.setattr(machine, "_ROOT", tree(tmp_path, {"proc/meminfo": meminfo}))
    found = train(TINY, QUICK, digits, 0, "cpu")
    assert (found.accuracy, found.loss) == (expected.accuracy, expected.loss)
    assert found.details == expected.details


class Hungry(nn.Module):
    """Runs out of memory on more than ``most`` images, but not before the call number ``after``."""

    def __init__(self, network: nn.Module, most: int, after: int, error: Exception) -> None:
        super().__init__()
        self.network, self.most, self.left, self.error = network, most, after, error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if len(x) > self.most and self.left < 0:
            raise self.error
        out: torch.Tensor = self.network(x)
        return out


HOST = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"
)
DEVICE = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("error", [HOST, DEVICE], ids=["host", "device"])
@pytest.mark.parametrize("after", [0, 3, 13])  # at once, in the first epoch, in the evaluation
def test_running_out_begins_again_with_half(digits: Data, error: Exception, after: int) -> None:
    """Whenever it happened, the result is that of a training which knew from the start."""
    epochs: list[int] = []

    def note(epoch: int, _: float) -> None:
        epochs.append(epoch)

    def fresh() -> nn.Module:
        torch.manual_seed(0)
        return build(TINY)

    start = Hungry(fresh(), 8, after, error)
    hungry = train(TINY, QUICK, digits, 0, "cpu", network=start, on_epoch=note)
    known = train(TINY, replace(QUICK, micro_batch=8), digits, 0, "cpu", network=fresh())
    assert hungry.details == known.details | {"divided": 2}
    assert hungry.details["micro_batch"] == 8
    assert hungry.recipe == QUICK.key  # the record says of itself that it is not quite that
    assert (hungry.accuracy, hungry.loss) == (known.accuracy, known.loss)
    assert epochs[-2:] == [0, 1]


def test_a_fresh_network_that_runs_out_begins_again(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            "training.loop.trainer.build", lambda spec: Hungry(build(spec), 16, 2, DEVICE)
        )
        found = train(TINY, QUICK, digits, 0, "cpu")
    known = train(TINY, replace(QUICK, micro_batch=16), digits, 0, "cpu")
    assert found.details == known.details | {"divided": 1}
    assert (found.accuracy, found.loss) == (known.accuracy, known.loss)


def test_when_nothing_fits_the_training_gives_up(digits: Data) -> None:
    with pytest.raises(MemoryError, match="tiny does not fit on cpu: CUDA out of memory") as raised:
        train(TINY, QUICK, digits, 0, "cpu", network=Hungry(build(TINY), 1, 0, DEVICE))
    assert raised.value.__cause__ is DEVICE


def test_other_errors_are_not_tried_again(digits: Data) -> None:
    start = Hungry(build(TINY), 0, 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        train(TINY, QUICK, digits, 0, "cpu", network=start)
    assert start.left == -1


def within(megabytes: int) -> Evaluation:
    """A training in a process that the system gives so much more memory and no more."""
    torch.set_num_threads(1)  # every thread takes address space, and machines differ in cores
    data = noise(512, 64)
    spec = replace(family("mobilenet-v1"), resolution=64)
    train(spec, Recipe(epochs=1, batch=2, images=2), data, 0, "cpu")  # loads what loads once
    limit = status("VmSize") + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return train(spec, Recipe(epochs=1, batch=256), data, 0, "cpu")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sizes are read from /proc")
def test_the_systems_own_refusal_halves_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole batch takes 1.2 GB; what is free on the machine says nothing of the limit.

    The limit is one of addresses. glibc would keep those of a failed attempt's buffers, in holes of
    its heap where oneDNN cannot put the code that it compiles; so it is told to return them.
    """
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = pool.submit(within, 800).result()
    assert found.details["micro_batch"] in (128, 64, 32)
    assert found.details["steps"] == 2


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("MPS backend out of memory (MPS allocated: 9 GB)", True),
        ("[Errno 12] Cannot allocate memory", True),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_what_counts_as_out_of_memory(text: str, expected: bool) -> None:
    assert is_out_of_memory(RuntimeError(text)) is expected


def a_petabyte(spec: ArchSpec, seed: int) -> float:
    return float(torch.empty(1 << 48).sum())


def a_plan(evaluate: Callable[[ArchSpec, int], Any]) -> Failure:
    outcome = attempt(evaluate, TINY, 0)
    assert isinstance(outcome, Failure)
    return outcome


def test_what_torch_really_raises_is_recognised() -> None:
    assert a_plan(a_petabyte).kind == "out of memory"


def test_a_candidate_that_cannot_fit_is_a_failure_of_its_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there_is(monkeypatch, need(TINY, 1, whole=32))
    failure = a_plan(Evaluator(ByName("digits"), QUICK, "cpu"))
    assert failure.kind == "out of memory"
    assert "training 2 images of tiny at once takes about" in failure.reason
    assert " on cpu, where there is " in failure.reason


def test_workers_share_what_there_is(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    there_is(monkeypatch, 2.5 * need(TINY, 2, whole=32))
    for name, value in share_variables(on_host=2, on_device=1).items():
        monkeypatch.setenv(name, value)
    train(TINY, QUICK, digits, 0, "cpu")
    for name, value in share_variables(on_host=3, on_device=1).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(MemoryError, match="fewer workers"):
        train(TINY, QUICK, digits, 0, "cpu")


def test_the_search_goes_on_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second trial finds no memory, nor does its second chance; the others do."""
    plenty, asked = 1 << 40, iter([1 << 40, 0, 0])
    monkeypatch.setattr(memory, "total_bytes", lambda _: next(asked, plenty))
    recipe = Recipe(resolution=8, drop_strides=3, images=64, held_out=64, epochs=1, batch=32)
    template = space("mnasnet").with_template(classes=10, in_channels=1)
    found = search(template, Evaluator(ByName("digits"), recipe, "cpu"), trials=4,
                   sampler="random")  # fmt: skip
    states = [record.state for record in found.trials]
    assert states == ["complete", "failed", "complete", "complete"]
    failed = found.trials[1]
    assert failed.failure is not None
    assert failed.retried is not None
    assert failed.failure.kind == failed.retried.kind == "out of memory"


def test_weights_of_terabytes_are_refused_before_they_are_made() -> None:
    huge = replace(TINY, stages=(StageSpec("conv", 500, 65536, 31),))
    with pytest.raises(MemoryError, match="choose a smaller network"):
        build(huge)
    with torch.device("meta"):
        assert sum(p.numel() for p in build(family("resnet-50")).parameters()) == 25_557_032


def test_the_command_says_it_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there_is(monkeypatch, 1000)
    given = ("--spec", "mobilenet-v2", "--data", "digits", "--resolution", 32, "--out", tmp_path)
    done = in_process(train_command, given, capsys)
    assert_refused(done, "choose a smaller network or resolution")
