"""Memory: the estimate, what is free, micro-batches in its place, failures where nothing fits."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benchmarks.timing.memory import measure, noise, status
from common import host_memory as machine
from common.host_memory import free_host_bytes, is_out_of_memory
from models.build import build
from models.cost import cost
from models.families import family
from models.memory import training_bytes
from models.spec import ArchSpec, StageSpec, Stem
from nas.search import search
from nas.space import space
from tests.support.command import assert_refused, in_process
from tests.support.trials_helpers import Toy, memory_facts
from training.__main__ import main as train_command
from training.data import Data, load
from training.evaluator import ByName, Evaluator
from training.loop import memory
from training.loop.train import first, train
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


def free(monkeypatch: pytest.MonkeyPatch, bytes_: float) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: int(bytes_))


def need(spec: ArchSpec, batch: int, whole: int) -> float:
    """Free bytes at which ``batch`` images of batches of ``whole`` just fit."""
    price = cost(spec)
    inputs = 12 * whole * spec.in_channels * spec.resolution**2
    return (training_bytes(price.params, price.activations, batch) + inputs) / 0.9 + 1


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


# ---------------------------------------------------------------- what is free


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
    ("files", "expected"),
    [
        (MEMINFO, 800 * 1024),
        ({}, None),
        ({"proc/meminfo": "MemAvailable:\nrubbish"}, None),
        # Version 2: a container's root; its cached files count as free.
        ({**MEMINFO, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "5000\n",
          "sys/fs/cgroup/memory.current": "3000\n",
          "sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 500\n"}, 2500),
        # No limit of its own, but its parent's.
        ({**MEMINFO, "proc/self/cgroup": "0::/slice/unit\n",
          "sys/fs/cgroup/slice/unit/memory.max": "max\n",
          "sys/fs/cgroup/slice/unit/memory.current": "10\n",
          "sys/fs/cgroup/slice/memory.max": "4096\n",
          "sys/fs/cgroup/slice/memory.current": "96\n"}, 4000),
        # Version 1, and over its limit.
        ({**MEMINFO, "proc/self/cgroup": V1,
          "sys/fs/cgroup/memory/job/a/memory.limit_in_bytes": "7000\n",
          "sys/fs/cgroup/memory/job/a/memory.usage_in_bytes": "6000\n",
          "sys/fs/cgroup/memory/job/a/memory.stat": "total_inactive_file 9\n"}, 1009),
        ({**MEMINFO, "proc/self/cgroup": V1,
          "sys/fs/cgroup/memory/memory.limit_in_bytes": "10\n",
          "sys/fs/cgroup/memory/memory.usage_in_bytes": "90\n"}, 0),
    ],
    ids=["no group", "nothing known", "rubbish", "v2", "v2 parent", "v1", "v1 over"],
)  # fmt: skip
def test_free_main_memory(
    files: dict[str, str], expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_ROOT", tree(tmp_path, files))
    assert free_host_bytes() == expected


def test_free_memory_of_this_machine() -> None:
    everything = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = free_host_bytes()
    assert found is not None
    assert 0 < found <= everything


def test_workers_share_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_host_bytes", lambda: 12_000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8_000, 20_000))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    assert memory.free_bytes(CPU) == 12_000
    for name, value in share_variables(on_host=4, on_device=2).items():
        monkeypatch.setenv(name, value)
    assert memory.free_bytes(CPU) == 3_000
    assert memory.free_bytes(torch.device("cuda")) == 4_000
    assert memory.free_bytes(torch.device("mps")) is None


def test_workers_know_their_number_and_die_first() -> None:
    with ProcessPool(memory_facts, 3, devices=["cpu", "cpu"]) as pool:
        pool.submit(0, Toy(1, 1.0), 0)  # type: ignore[arg-type]
        _, found = pool.next()
    assert isinstance(found, Evaluation), found
    assert found.details == {"workers": [3, 2], "score": 1000}


# ---------------------------------------------------------------- micro-batches


@given(st.integers(1, 300), st.floats(0, 400))
def test_a_batch_is_halved_until_it_fits(batch: int, images: float) -> None:
    """``images`` is what the memory holds; everything the plan may answer follows from it."""
    recipe, room = Recipe(batch=batch), need(TINY, 0, batch)
    each = training_bytes(0, cost(TINY).activations, 1) / 0.9
    with pytest.MonkeyPatch.context() as patch:
        free(patch, room + images * each)
        try:
            count = memory.micro_batches(TINY, recipe, 1000, CPU)
        except MemoryError as error:
            assert "choose a smaller network" in str(error)
            assert images < 2 * memory.SMALLEST
            return
    sizes = [len(part) for part in torch.tensor_split(torch.zeros(batch), count)]
    assert max(sizes) == memory.micro_batch(batch, count) <= images + 0.01
    assert count == 1 or (count & (count - 1) == 0 and min(sizes) >= memory.SMALLEST)
    assert count == 1 or memory.micro_batch(batch, count // 2) > images - 0.01


def test_where_nothing_is_known_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: None)
    assert memory.micro_batches(TINY, QUICK, 1000, CPU) == 1


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(("batch", "parts"), [(32, 2), (32, 16), (33, 4)])
def test_accumulated_gradients_are_those_of_the_whole_batch(
    digits: Data, optimizer: str, batch: int, parts: int
) -> None:
    recipe = replace(QUICK, batch=batch, optimizer=optimizer, lr=0.02, epochs=1, cutout=0.2)
    split = first(digits.train, recipe.images)
    whole, cut = (Trainer(LAYERS, recipe, digits, split, 0, parts=n) for n in (1, parts))
    assert cut.epoch() == pytest.approx(whole.epoch(), rel=1e-4)
    assert cut.step == whole.step == 200 // batch
    for one, other in zip(whole.network.parameters(), cut.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_a_limit_halves_the_batch_and_nothing_else(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(TINY, QUICK, digits, 0, "cpu")
    free(monkeypatch, need(TINY, 8, whole=32))
    cut = train(TINY, QUICK, digits, 0, "cpu")
    assert (whole.details["micro_batch"], cut.details["micro_batch"]) == (32, 8)
    for name in ("steps", "images", "side", "data"):
        assert cut.details[name] == whole.details[name]
    assert cut.recipe == whole.recipe
    assert cut.loss != whole.loss  # batch norm's statistics are each micro-batch's


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
def test_running_out_begins_again_with_half(
    digits: Data, monkeypatch: pytest.MonkeyPatch, error: Exception, after: int
) -> None:
    """Whenever it happened, the result is that of a training which knew from the start."""
    epochs: list[int] = []

    def note(epoch: int, _: float) -> None:
        epochs.append(epoch)

    def fresh() -> nn.Module:
        torch.manual_seed(0)
        return build(TINY)

    start = Hungry(fresh(), 8, after, error)
    hungry = train(TINY, QUICK, digits, 0, "cpu", network=start, on_epoch=note)
    free(monkeypatch, need(TINY, 8, whole=32))
    known = train(TINY, QUICK, digits, 0, "cpu", network=fresh())
    assert hungry.details == known.details
    assert hungry.details["micro_batch"] == 8
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
    free(monkeypatch, need(TINY, 16, whole=32))
    known = train(TINY, QUICK, digits, 0, "cpu")
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
    free(monkeypatch, need(TINY, 1, whole=32))
    failure = a_plan(Evaluator(ByName("digits"), QUICK, "cpu"))
    assert failure.kind == "out of memory"
    assert "training 2 images of tiny at once takes about" in failure.reason


def test_the_search_goes_on_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second trial finds no memory, nor does its second chance; the others do."""
    plenty, asked = 1 << 40, iter([1 << 40, 0, 0])
    monkeypatch.setattr(memory, "free_bytes", lambda _: next(asked, plenty))
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
    free(monkeypatch, 1000)
    given = ("--spec", "mobilenet-v2", "--data", "digits", "--resolution", 32, "--out", tmp_path)
    done = in_process(train_command, given, capsys)
    assert_refused(done, "choose a smaller network or resolution")
