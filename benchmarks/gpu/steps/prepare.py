"""Where everything runs, and the pictures unpacked and decoded once."""

from __future__ import annotations

import csv
import gzip
import os
import platform
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.gpu.adapter import macro_spec
from benchmarks.gpu.step import Place
from models.cost import cost
from training.evaluator import ByName

CIFAR, MACRO, ACCEL = "cifar10.tar.xz", "nas_bench_macro_dev.csv.gz", "accel_nasbench_dev.csv.gz"


def measure(place: Place) -> None:
    """Facts on the machine; the folder of pictures."""
    page = place.page
    page.fact("python", platform.python_version())
    page.fact("torch", torch.__version__)
    page.fact("processor cores", len(os.sched_getaffinity(0)))
    if place.scale.device == "cuda":
        page.fact("device", torch.cuda.get_device_name())
        page.fact("device memory, GiB", torch.cuda.get_device_properties(0).total_memory / 2**30)
        page.part("nvidia-smi", lambda: page.fact("driver", _driver()))
    start = time.perf_counter()
    if place.rehearsed:
        _paint(place.work / "pictures" / "made-up")
        _tables(place.work / "tables")
    else:
        _unpack(place.bundle / CIFAR, place.work / "pictures")
    unpacked = time.perf_counter()
    data = ByName(str(place.pictures), 32).data()
    page.fact("seconds to unpack", unpacked - start)
    page.fact("seconds to list and decode", time.perf_counter() - unpacked)
    page.fact("pictures to train on, to judge by", f"{len(data.train)}, {len(data.validation)}")


def _driver() -> str:
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout.strip()


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir()
    # Of sixty thousand small files tar makes half a minute less than Python's tarfile.
    subprocess.run(["tar", "-xJf", str(archive), "-C", str(folder)], check=True)


def _paint(folder: Path, each: int = 60) -> None:
    """Pictures of three brightnesses."""
    rng = np.random.default_rng(0)
    for level in range(3):
        (folder / f"class {level}").mkdir(parents=True)
        for number in range(each):
            pixels = (60 + 60 * level + rng.integers(-30, 30, (32, 32, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"class {level}" / f"{number}.png")


def _tables(folder: Path) -> None:
    """Tables of the two forms, whose accuracies are made up."""
    folder.mkdir()
    macro = ["00000000", "10000000", "20010010", "11111111", "22222222", "12012012"]
    with gzip.open(folder / MACRO, "wt") as file:
        lines = csv.writer(file)
        lines.writerow(["architecture", "cifar10_top1_percent", "macs", "params"])
        for i, text in enumerate(macro):
            price = cost(macro_spec(text))
            lines.writerow([text, 60 + i, price.macs, price.params])
    with gzip.open(folder / ACCEL, "wt") as file:
        lines = csv.writer(file)
        lines.writerow(["architecture", "imagenet_top1_percent"])
        for i in range(12):
            lines.writerow(["-".join(f"e4k3l{1 + (i + j) % 2}se0" for j in range(7)), 60 + i])
