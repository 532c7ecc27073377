"""The demo's two commands on the device: seconds from the first to the last."""

from __future__ import annotations

import time

from benchmarks.gpu.step import Place
from benchmarks.gpu.steps.searches import run

_IMAGES = ("--proxy-images", "1000")


def measure(place: Place) -> None:
    """As ``make demo``, but for the device; in a rehearsal fewer trials, on made-up pictures."""
    start, work = time.perf_counter(), place.work
    trials = ("3", "4") if place.rehearsed else ("16", "20")
    # As on digits, which inherit nothing.
    quick = ("--proxy-images", "40", "--proxy-epochs", "1", "--init", "scratch")
    few = quick if place.rehearsed else _IMAGES
    data = str(place.pictures) if place.rehearsed else "mnist"
    device = ("--device", place.scale.device, "--data", data)
    nas, scaling = work / "demo-nas", work / "demo-scaling"
    shared = (*few, *device)
    first = ["--budget", "400M", "--trials", trials[0], *shared, "--out", nas]
    run(place, "nas.search", first, nas, None, max(5.0, place.page.left()))
    then = ["--target-flops", "2x", "--baseline", nas, "--trials", trials[1], *shared]
    then += ["--out", scaling]
    run(place, "scaling_search", then, scaling, None, max(5.0, place.page.left()))
    place.page.fact("both commands, seconds", time.perf_counter() - start)
