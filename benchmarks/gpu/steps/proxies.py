"""Proxy trainings: how many an hour, by which way, and what the card could do."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.adapter import SEEDS, Jobs, Training, candidates
from benchmarks.gpu.step import Place
from benchmarks.gpu.steps.fidelity import pool_of
from benchmarks.support.plain import plain
from models.build import build
from models.cost import cost
from models.spec import ArchSpec
from training.evaluator import ByName
from training.loop.train import train
from training.recipe import Recipe
from trials.record import Evaluation
from trials.workers.pool import ProcessPool

TABLE = "trainings of one pass over the pictures, bf16, channels last"
_WAYS = ("graphs", "eager")
_TOP = 15  # kernels that are named


def measure(place: Place) -> None:
    """Ceilings, one training at a time by each way, several at once, where the time goes."""
    scale, page = place.scale, place.page
    source = ByName(str(place.pictures), 32)
    data = source.data()
    specs = candidates(scale.candidates)
    bench = _Bench(place, specs, scale.recipe, len(data.train))
    page.part("ceilings", lambda: _ceilings(place), most=40)
    page.part("plain loop", bench.plain)
    for way in _WAYS:
        training = Training(source, scale.recipe, scale.device, way == "graphs")

        def alone(training: Training = training, way: str = way) -> None:
            # cuDNN compiles and chooses at a network's first steps: that is a cost of its own.
            page.fact(
                f"{way}: seconds of a network's first training", _seconds(training, specs[0], 0)
            )
            bench.row(
                f"this project, {way}", [_seconds(training, specs[0], seed) for seed in (1, 2)]
            )

        page.part(way, alone, most=60)
    page.part("several processes", lambda: _processes(bench, source, ""), most=90)
    page.part("by kernel", lambda: _by_kernel(place, specs[0], source), most=30)
    page.part("threads and streams", lambda: _threads(bench, source), most=30, least=10)
    page.part("torch.compile", lambda: _compiled(bench, source), most=60, least=20)
    page.part("processes under MPS", lambda: _under_mps(bench, source), most=60, least=20)


class _Bench:
    """Rows of one table, beside the plain loop."""

    def __init__(self, place: Place, specs: list[ArchSpec], recipe: Recipe, pictures: int) -> None:
        self.place, self.specs, self.recipe = place, specs, recipe
        self.images = recipe.epochs * min(recipe.images or pictures, pictures)
        twins = [recipe.network(spec, 10, 3) for spec in specs]
        self.macs = [cost(twin).macs for twin in twins]
        self._plain: float | None = None

    def plain(self) -> None:
        """The loop that the others are compared with."""
        scale, data = self.place.scale, ByName(str(self.place.pictures), 32).data()
        seconds = []
        for spec in self.specs:
            begun = time.perf_counter()
            plain(spec, scale.recipe, data, 0, scale.device, scale.loaders)
            seconds.append(time.perf_counter() - begun)
        self.row("plain loop", seconds)

    def row(self, way: str, seconds: list[float]) -> None:
        """``seconds`` are each candidate's; where several run at once, its share of them."""
        each = statistics.mean(seconds)
        self._plain = self._plain or each
        work = sum(2 * 3 * macs * self.images for macs in self.macs) / len(self.macs)
        peak = self.place.page.content["facts"].get("matrix product, TFLOP/s")
        self.place.page.row(
            TABLE,
            way=way,
            candidates_an_hour=3600 / each,
            seconds_each=each,
            images_a_second=self.images / each,
            times_the_plain_loop=self._plain / each,
            of_the_matrix_ceiling=f"{100 * work / each / 1e12 / peak:.2f} %" if peak else "",
        )


def _seconds(training: Training, spec: ArchSpec, seed: int) -> float:
    start = time.perf_counter()
    found = training(spec, seed)
    if "graph" in found.details:
        print(spec.name, "graph:", found.details["graph"], flush=True)
    return time.perf_counter() - start


def _processes(bench: _Bench, source: ByName, label: str) -> None:
    """Each count of trainings in flight at once, on workers that are warm."""
    place = bench.place
    jobs = Jobs(
        (
            Training(source, bench.recipe, place.scale.device),
            Training(source, replace(bench.recipe, images=512, held_out=256), place.scale.device),
        )
    )
    with pool_of(place, jobs, max(place.scale.at_once)) as pool:
        _round(pool, bench.specs[:1] * max(place.scale.at_once), SEEDS)
        for count in place.scale.at_once:
            specs = [bench.specs[i % len(bench.specs)] for i in range(2 * count)]
            begun = time.perf_counter()
            for half in (specs[:count], specs[count:]):
                _round(pool, half, 0)
            each = (time.perf_counter() - begun) / len(specs)
            bench.row(f"{count} processes{label}", [each])


def _round(pool: ProcessPool, specs: list[ArchSpec], seed: int) -> None:
    """All at once, until the last has ended."""
    for number, spec in enumerate(specs):
        pool.submit(number, spec, seed)
    for _ in specs:
        _, outcome = pool.next()
        if not isinstance(outcome, Evaluation):
            raise RuntimeError(f"a training failed: {outcome}")


def _threads(bench: _Bench, source: ByName) -> None:
    """Trainings in threads of this process, each on a stream of its own."""
    place = bench.place
    training = Training(source, bench.recipe, place.scale.device, False)
    count = max(place.scale.at_once[:3])
    specs = [bench.specs[i % len(bench.specs)] for i in range(count)]

    def one(spec: ArchSpec) -> None:
        if place.scale.device == "cuda":
            with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
                training(spec, 0)
        else:
            training(spec, 0)

    begun = time.perf_counter()
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(one, specs))
    bench.row(f"{count} threads and streams", [(time.perf_counter() - begun) / count])


def _compiled(bench: _Bench, source: ByName) -> None:
    """The first candidate alone, compiled; the seconds of compiling apart."""
    place, spec, data = bench.place, bench.specs[0], source.data()
    twin = bench.recipe.network(spec, len(data.classes), data.channels)
    network = torch.compile(build(twin), backend=place.scale.compiler)
    short = replace(bench.recipe, images=512, held_out=256)
    begun = time.perf_counter()
    train(spec, short, data, 0, place.scale.device, network=network)  # type: ignore[arg-type]
    place.page.fact("torch.compile, seconds for one network", time.perf_counter() - begun)
    begun = time.perf_counter()
    train(spec, bench.recipe, data, 0, place.scale.device, network=network)  # type: ignore[arg-type]
    bench.row("torch.compile, without compiling", [time.perf_counter() - begun])


def _under_mps(bench: _Bench, source: ByName) -> None:
    """Processes that share one context of the device, by NVIDIA's multi-process service."""
    place = bench.place
    daemon = shutil.which("nvidia-cuda-mps-control")
    if daemon is None:
        place.page.say("processes under MPS: nvidia-cuda-mps-control is not installed")
        return
    folder = place.work / "mps"
    folder.mkdir()
    names = {name: str(folder) for name in ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")}
    subprocess.run([daemon, "-d"], env=os.environ | names, check=True, timeout=10)
    os.environ |= names
    try:
        _processes(bench, source, " under MPS")
    finally:
        subprocess.run([daemon], input="quit\n", text=True, env=os.environ, timeout=10, check=False)
        for name in names:
            del os.environ[name]


def _ceilings(place: Place) -> None:
    device, page = place.scale.device, place.page
    side, kind = place.scale.matrix, torch.bfloat16 if device == "cuda" else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    page.fact("matrix product, TFLOP/s", 2 * side**3 / _fastest(lambda: a @ b, device) / 1e12)
    one = torch.randn(place.scale.copied // 4, device=device)
    other = torch.empty_like(one)
    seconds = _fastest(lambda: other.copy_(one), device)
    page.fact("copy, bytes read and written, TB/s", 2 * place.scale.copied / seconds / 1e12)


def _fastest(work: Callable[[], object], device: str, repeats: int = 10) -> float:
    def once() -> float:
        _wait(device)
        begun = time.perf_counter()
        work()
        _wait(device)
        return time.perf_counter() - begun

    return min(once() for _ in range(repeats))


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _by_kernel(place: Place, spec: ArchSpec, source: ByName) -> None:
    """Shares of the device's busy time, and how busy it was, in a short eager training."""
    device = place.scale.device
    recipe = replace(place.scale.recipe, images=20 * place.scale.recipe.batch, held_out=256)
    training = Training(source, recipe, device, False)
    training(spec, 0)
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
    begun = time.perf_counter()
    with profile(activities=kinds) as seen:
        training(spec, 1)
    wall = time.perf_counter() - begun
    key = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    events = [e for e in seen.key_averages() if device != "cuda" or e.device_type.name == "CUDA"]
    events.sort(key=lambda event: -getattr(event, key))
    busy = sum(getattr(event, key) for event in events) / 1e6
    place.page.fact("device busy, of the wall time of a profiled eager training", busy / wall)
    for event in events[:_TOP]:
        place.page.row(
            "by kernel",
            kernel=event.key[:90],
            calls=event.count,
            of_busy=f"{getattr(event, key) / 1e4 / busy:.1f} %",
        )
    text = seen.key_averages().table(sort_by=key, row_limit=60, max_name_column_width=100)
    (place.page.out / "kernels.txt").write_text(text)
