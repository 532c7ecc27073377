"""``python -m training latency NETWORK``: how long it takes for a batch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from common.command import count, parser, place
from common.units import format_size
from models.choose import choose
from models.cost import cost

REPEATS = 50  # as training.stopwatch has it, which takes seconds to load; a test compares


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("training latency", "How long one network takes for a batch of images.")
    made.add_argument("spec", type=place, help="a spec file, a run directory or a family's name")
    made.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    made.add_argument("--batch", type=count, default=1, help="images at once")
    made.add_argument("--repeats", type=count, default=REPEATS, help="passes that are timed")
    made.add_argument("--resolution", type=count, help="pixels; default: the network's own")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Measure one network and print one line."""
    args = options().parse_args(argv)
    import torch

    from training.device import choose_device
    from training.stopwatch import latency

    spec = choose(args.spec)
    spec = replace(spec, resolution=args.resolution or spec.resolution)
    device = choose_device(args.device)
    macs = cost(spec).macs
    found = latency(spec, device, args.batch, repeats=args.repeats)
    threads = f" ({torch.get_num_threads()} threads)" if device.type == "cpu" else ""
    print(
        f"{spec.name}: median {_ms(found.median)} ms, quartiles {_ms(found.low)} to "
        f"{_ms(found.high)} ms, {found.n} passes; batch {args.batch}, {spec.resolution} pixels, "
        f"{device}{threads}; {format_size(macs)} FLOPs an image"
    )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.4g}"
