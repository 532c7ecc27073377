"""Proxy trainings: how many an hour, by which way, and what the card could do."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from unittest import mock

from torch import nn

from benchmarks.gpu.adapter import SEEDS, Jobs, Training, candidates
from benchmarks.gpu.step import Place
from benchmarks.gpu.ways.at_once import (
    pool_of,
    seconds_in_threads,
    seconds_of,
    shared_by_service,
)
from benchmarks.gpu.ways.ceilings import Ceilings, Work, measured, median_seconds, work
from benchmarks.gpu.ways.compiled import Compiled
from benchmarks.gpu.ways.kernels import kernels
from benchmarks.gpu.ways.together import images_a_second
from benchmarks.support.plain import plain
from models.families import family
from models.spec import ArchSpec
from training.data import Data
from training.evaluator import ByName

TABLE = "trainings of one pass over the pictures, bf16, channels last"
_WAYS = ("graphs", "eager")
_CUDNN = "graphs, all convolutions by cuDNN"
_TOP = 15  # kernels that are named
_FEW = {"images": 512, "held_out": 256}  # pictures of a training that only prepares


def measure(place: Place) -> None:
    """Ceilings, one training at a time by each way, several at once, where the time goes."""
    page, bench = place.page, Bench(place)
    page.part("ceilings", bench.measure_ceilings, most=40)
    page.part("plain loop", bench.plain)
    page.part("graphs", partial(_alone, bench, "graphs"), most=60)
    page.part("several processes", lambda: _processes(bench, ""), most=90)
    page.part("processes under MPS", lambda: _under_mps(bench), most=60, least=20)
    page.part("by kernel", lambda: _by_kernel(bench), most=45)
    for way in ("eager", _CUDNN):
        page.part(way, partial(_alone, bench, way), most=60)
    page.part("threads and streams", lambda: _threads(bench), most=30, least=10)
    page.part("torch.compile", lambda: _compiled(bench), most=75, least=20)
    page.part("vectorised", lambda: _vectorised(bench), most=30)


class Bench:
    """Rows of one table, beside the plain loop and the roofline."""

    def __init__(self, place: Place) -> None:
        self.place, self.page, self.recipe = place, place.page, place.scale.recipe
        self.device = place.scale.device
        self.source = ByName(str(place.pictures), 32)
        self.data: Data = self.source.data()
        self.specs = candidates(place.scale.candidates)
        self.images = self.recipe.epochs * _at_most(self.recipe.images, len(self.data.train))
        self._ceilings: Ceilings | None = None
        self._plain: float | None = None

    def measure_ceilings(self) -> None:
        """Of the device; and what the candidates ask of it."""
        scale = self.place.scale
        self._ceilings = found = measured(self.device, scale.matrix, scale.copied)
        self.page.fact("matrix product, TFLOP/s", found.operations / 1e12)
        self.page.fact("copy, bytes read and written, TB/s", found.bytes / 1e12)
        asked = [self._work(spec) for spec in self.specs]
        binding = ", ".join(sorted({one.binding(found) for one in asked}))
        least = statistics.mean(one.seconds(found) for one in asked)
        self.page.fact("roofline of a candidate, seconds", least)
        self.page.fact("what binds it", binding)

    def _work(self, spec: ArchSpec) -> Work:
        trained = _at_most(self.recipe.images, len(self.data.train))
        judged = _at_most(self.recipe.held_out, len(self.data.validation))
        return work(spec, self.recipe, len(self.data.classes), trained, judged)

    def training(self, graph: bool | None = None) -> Training:
        """As a search trains, or with a graph or without."""
        return Training(self.source, self.recipe, self.device, graph)

    def plain(self) -> None:
        """The loop that the others are compared with."""
        loaders, start = self.place.scale.loaders, time.perf_counter()
        for spec in self.specs:
            plain(spec, self.recipe, self.data, 0, self.device, loaders)
        self.row("plain loop", self.specs, time.perf_counter() - start)

    def row(self, way: str, specs: list[ArchSpec], seconds: float) -> None:
        """``specs`` have been trained in so many seconds in all."""
        each = seconds / len(specs)
        if way == "plain loop":
            self._plain = each
        least = [self._work(spec).seconds(self._ceilings) for spec in specs if self._ceilings]
        self.page.row(
            TABLE,
            way=way,
            candidates_an_hour=3600 / each,
            seconds_each=each,
            images_a_second=self.images / each,
            times_the_plain_loop=self._plain / each if self._plain else "",
            of_the_roofline=f"{100 * sum(least) / seconds:.1f} %" if least else "",
        )


def _at_most(count: int | None, there: int) -> int:
    return there if count is None else min(count, there)


def _alone(bench: Bench, way: str) -> None:
    """One after the other; what a network's first training takes longer is a cost of its own."""
    training, first = bench.training(way != "eager"), []
    with mock.patch("training.loop.trainer.quicken", _as_is) if way == _CUDNN else nullcontext():
        for spec in bench.specs:
            first.append(_seconds(training, spec, 0))
            bench.page.fact(f"{way}: seconds of the networks' first trainings", str(first))
        seconds = [_seconds(training, spec, 1) for spec in bench.specs]
    bench.row(f"this project, {way}", bench.specs, sum(seconds))


def _as_is(network: nn.Module) -> nn.Module:
    return network


def _seconds(training: Training, spec: ArchSpec, seed: int) -> float:
    start = time.perf_counter()
    found = training(spec, seed)
    if "graph" in found.details:
        print(spec.name, "graph:", found.details["graph"], flush=True)
    return round(time.perf_counter() - start, 2)


def _processes(bench: Bench, label: str) -> None:
    """Each count of trainings in flight at once, on workers that are warm."""
    counts = bench.place.scale.at_once
    few = replace(bench.training(), recipe=replace(bench.recipe, **_FEW))  # type: ignore[arg-type]
    with pool_of(Jobs((bench.training(), few)), max(counts), bench.device) as pool:
        seconds_of(pool, [(bench.specs[0], SEEDS)] * max(counts), max(counts))
        for count in counts:
            specs = [bench.specs[i % len(bench.specs)] for i in range(max(2, 2 * count))]
            bench.row(
                f"{count} processes{label}", specs, seconds_of(pool, [(s, 0) for s in specs], count)
            )


def _under_mps(bench: Bench) -> None:
    with shared_by_service(bench.place.work / "proxies-mps") as there:
        if there:
            _processes(bench, " under MPS")
        else:
            bench.page.say("processes under MPS: there is none here that works")


def _threads(bench: Bench) -> None:
    """Trainings in threads of this process, each on a stream of its own."""
    count = max(bench.place.scale.at_once)
    specs = [bench.specs[i % len(bench.specs)] for i in range(count)]
    jobs = [(spec, 0) for spec in specs]
    seconds = seconds_in_threads(bench.training(False), jobs, bench.device)
    bench.row(f"{count} threads and streams", specs, seconds)


def _compiled(bench: Bench) -> None:
    """One network in a process that may be killed; its compiling apart."""
    scale = bench.place.scale
    spec = family(scale.compiled) if scale.compiled else bench.specs[0]
    evaluate = Compiled(bench.source, bench.recipe, bench.device, scale.compiler)
    with pool_of(evaluate, 1, bench.device) as pool:
        first = seconds_of(pool, [(spec, 0)], 1)
        again = seconds_of(pool, [(spec, 1)], 1)
    bench.page.fact("torch.compile, seconds for one network", first - again)
    bench.row("torch.compile, without compiling", [spec], again)


def _vectorised(bench: Bench) -> None:
    """Networks of equal shapes in one step, beside one alone by the same code."""
    recipe, data = bench.recipe, bench.data
    twin = recipe.network(bench.specs[0], len(data.classes), data.channels)
    for count in (1, max(bench.place.scale.at_once)):
        rate = images_a_second(twin, count, recipe.batch, bench.device, 2.0)
        bench.page.row("vectorised steps, random pictures", networks=count, images_a_second=rate)


def _by_kernel(bench: Bench) -> None:
    """Of a few eager steps; beside them what a step takes by each way, and a training but for its
    steps: a step's time is that of a longer training less a shorter one's."""
    count, spec = bench.place.scale.profiled, bench.specs[0]

    def steps(number: int, way: str) -> Callable[[], object]:
        short = replace(bench.recipe, images=number * bench.recipe.batch, held_out=64)
        training = replace(bench.training(way == "graphs"), recipe=short)
        return lambda: training(spec, 1)

    found = kernels(steps(count, "eager"), bench.device, bench.page.out / "kernels.txt")
    busy = sum(one.seconds for one in found)
    for one in found[:_TOP]:
        share = f"{one.seconds / busy:.1%}"
        bench.page.row("by kernel", kernel=one.name, calls=one.calls, of_busy=share)
    for way in _WAYS:
        shorter, longer = (
            median_seconds(bench.device, steps(n, way), 2) for n in (count, 5 * count)
        )
        step = (longer - shorter) / (4 * count)
        bench.page.row(
            "steps",
            way=way,
            a_step_ms=1e3 * step,
            its_kernels_ms=1e3 * busy / count,
            beside_the_steps_s=shorter - count * step,
        )
