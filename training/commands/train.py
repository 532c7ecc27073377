"""``python -m training``: train one network properly, and measure it on the test split."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from tqdm import tqdm

from common.command import count, file_name, parser
from common.units import format_size
from models.choose import choose
from models.cost import cost
from models.pretrained import initialised, read_weights
from training.data import load
from training.loop.train import final
from training.recipe import Recipe


def main(argv: Sequence[str] | None = None) -> None:
    """Train, then write the spec, the weights and what was measured."""
    made = parser("training", "Train one network; accuracy is on the test split.")
    made.add_argument("--spec", required=True, help="a spec file, a run directory or a family name")
    made.add_argument("--data", default="mnist", help="as for nas.search")
    made.add_argument(
        "--init", default="random",
        help="weights to start from: random; pretrained, torchvision's for ImageNet (--spec is "
        "then one of its families, whose 1000 classes give way to the data's); or a safetensors "
        "file with this project's names or torchvision's. Other than random, the learning rate "
        "is a tenth",
    )  # fmt: skip
    made.add_argument("--epochs", type=count, default=30)
    made.add_argument("--batch", type=count, default=128)
    made.add_argument("--resolution", type=count, help="pixels; default: the spec's own")
    made.add_argument("--device", default="auto")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--out", type=Path, help="default: runs/train-SPEC-DATA")
    args = made.parse_args(argv)
    spec = choose(args.spec)
    weights = None if args.init == "random" else read_weights(args.init, spec.name)
    side = args.resolution or spec.resolution
    data = load(args.data, size=side, seed=args.seed)
    spec = replace(spec, resolution=side, classes=len(data.classes), in_channels=data.channels)
    recipe = Recipe(epochs=args.epochs, batch=args.batch)
    start = None
    if weights is not None:
        torch.manual_seed(args.seed)
        start = initialised(spec, weights)
        # A rate for random weights would first undo what these have learned.
        recipe = replace(recipe, lr=recipe.lr / 10)
    out = args.out or Path("runs") / file_name(f"train-{spec.name}-{data.name}")
    out.mkdir(parents=True, exist_ok=True)
    print(f"{spec.name}: {format_size(cost(spec).macs)} FLOPs at {side} pixels", file=sys.stderr)
    with tqdm(total=args.epochs, unit="epoch", file=sys.stderr) as bar:

        def show(epoch: int, loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.4f}")
            bar.update(epoch + 1 - bar.n)

        network, found = final(spec, recipe, data, args.seed, args.device, network=start,
                               on_epoch=show)  # fmt: skip
    save_file({k: v.contiguous() for k, v in network.state_dict().items()},
              out / "weights.safetensors")  # fmt: skip
    (out / "spec.json").write_text(spec.to_json() + "\n")
    (out / "evaluation.json").write_text(json.dumps(found.to_dict(), indent=1) + "\n")
    print(f"test accuracy {found.accuracy:.4f} after {args.epochs} epochs, "
          f"{found.seconds / 60:.1f} minutes: {out}")  # fmt: skip
