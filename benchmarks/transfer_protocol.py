"""The paper's transfer learning (EfficientNet, arXiv:1905.11946, section 5.3 and table 5).

    python -m benchmarks.transfer_protocol --data flowers102 --spec efficientnet-lite0
    python -m benchmarks.transfer_protocol --data cifar10 --spec efficientnet-b0 --init FILE
    python -m benchmarks.transfer_protocol --data ~/cifar10 --published cifar10

A network with ImageNet's weights is fine-tuned on a data set's own training part, and measured once
on its own test part; with --freeze its classifier alone is. CIFAR, Flowers and Pets are
torchvision's, downloaded once; Flowers' training and validation parts are one, as in the paper's
sizes. A folder of one's own is divided as docs/folders.md says; --published says which data set it
is a copy of. Published numbers are for another
recipe and other weights, at a network's own resolution: they stand beside, and are no target.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.command import count, parser, path, place, program
from common.command import run as run_command
from training.__main__ import main as train
from training.pictures.cache import cache_folder
from training.recipe.named import NAMED

# Of torchvision's data sets: which of its splits are learned from, and which measured on.
PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "flowers102": {"train": ("train", "val"), "test": ("test",)},
    "pets": {"train": ("trainval",), "test": ("test",)},
}
# Where torchvision looks for what it would download, below the cache.
FILES = {
    "flowers102": ("flowers-102", ("102flowers.tgz", "imagelabels.mat", "setid.mat")),
    "pets": ("oxford-iiit-pet", ("images.tar.gz", "annotations.tar.gz")),
}
# Top-1 by table 5, as far as its numbers could be looked up where this was written.
PUBLISHED = {
    "cifar10": {"efficientnet-b0": 98.1, "efficientnet-b7": 98.9},
    "cifar100": {"efficientnet-b0": 88.1, "efficientnet-b7": 91.7},
    "flowers102": {"efficientnet-b7": 98.8},
}


def main(argv: Sequence[str] | None = None) -> None:
    """One training a seed, and a table of what came out."""
    args = options().parse_args(argv)
    source = folder_of(args.data, cache_folder()) if args.data in PARTS else args.data
    found = [_accuracy(args, source, seed) for seed in range(args.seeds)]
    print(table(args, found))


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.transfer_protocol", __doc__ or "")
    made.add_argument("--data", type=place, required=True, help="cifar10, cifar100, flowers102, "
                      "pets or a folder")  # fmt: skip
    made.add_argument("--published", choices=tuple(PUBLISHED), help="whose published numbers stand "
                      "beside; default: those of --data")  # fmt: skip
    made.add_argument("--spec", type=place, default="efficientnet-lite0")
    made.add_argument("--init", type=place, default="pretrained", help="as of python -m training")
    made.add_argument("--freeze", action="store_true", help="the classifier alone learns")
    made.add_argument("--recipe", choices=tuple(NAMED), default="finetune")
    made.add_argument("--epochs", type=count, help="default: the recipe's")
    made.add_argument("--resolution", type=count, help="pixels; default: the spec's own")
    made.add_argument("--seeds", type=count, default=1)
    made.add_argument("--device", default="auto")
    made.add_argument("--out", type=path, default=Path("runs/transfer"))
    return made


def folder_of(name: str, cache: Path) -> str:
    """A data set of torchvision's as a folder of links, ``train`` and ``test`` with a folder a
    class, downloaded where it is not there yet.

    Raises ValueError with the remedy where it cannot be had.
    """
    from torchvision import datasets

    kind = datasets.Flowers102 if name == "flowers102" else datasets.OxfordIIITPet
    parts = PARTS[name]
    root = cache / f"{name}-links"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for part, splits in parts.items():
            for split in splits:
                _link(kind(str(cache), split=split, download=True), root / part)
    except (OSError, RuntimeError) as error:
        folder, files = FILES[name]
        raise ValueError(
            f"cannot get {name} ({error}): with no network, put {', '.join(files)} in "
            f"{str(cache / folder)!r}, or give a folder that holds one folder of pictures per class"
        ) from error
    return str(root)


def _link(dataset: Any, root: Path) -> None:
    files = getattr(dataset, "_image_files", None) or dataset._images  # it tells nobody else
    for file, label in zip(files, dataset._labels, strict=True):
        folder = root / f"{int(label):03d}"
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / Path(file).name
        if not os.path.lexists(link):
            link.symlink_to(Path(file).resolve())


def _accuracy(args: argparse.Namespace, source: str, seed: int) -> float:
    """On the test part; a training that is finished is not done again."""
    out = args.out / f"{Path(source).name}-{Path(args.spec).name}-{seed}{'-frozen' * args.freeze}"
    done = out / "evaluation.json"
    if not (out / "weights.safetensors").is_file():
        given = [
            "--spec",
            args.spec,
            "--init",
            args.init,
            "--data",
            source,
            "--recipe",
            args.recipe,
        ]
        for name in ("epochs", "resolution"):
            if (value := getattr(args, name)) is not None:
                given += [f"--{name}", str(value)]
        given += ["--freeze"] * args.freeze
        given += ["--seed", str(seed), "--device", args.device, "--out", str(out)]
        print(f"{program('training')} {' '.join(given)}", file=sys.stderr)
        train(given)
    return float(json.loads(done.read_text())["details"]["plain_accuracy"])


def table(args: argparse.Namespace, found: Sequence[float]) -> str:
    """Markdown: the accuracies in percent, and the published ones."""
    percent = [100 * one for one in found]
    spread = f" ± {statistics.stdev(percent):.1f}" if len(percent) > 1 else ""
    what = "classifier alone" if args.freeze else args.recipe
    mean = statistics.fmean(percent)
    lines = [
        f"| {args.data} | top-1 |",
        "|---|---|",
        f"| {args.spec}, {what}, {len(percent)} seed(s) | {mean:.1f}{spread} |",
    ]
    published = PUBLISHED.get(args.published or args.data, {})
    lines += [f"| {name}, published | {value} |" for name, value in published.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
