"""``python -m training detect``: a detector on a network, trained on boxes, or outlines too."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from training.scenes.options import made

ABOUT = """Train a detector on any network; COCO's average precision is on pictures held out."""
COMMAND = "training detect"
_DATA = (
    "a folder of pictures with boxes in COCO's format: images/ and "
    "annotations/instances_train.json, with instances_val.json where that exists, else a share is "
    "held out; mask-rcnn takes outlines too; see docs/training.md"
)  # fmt: skip


def options() -> argparse.ArgumentParser:
    """The command's options."""
    return made(COMMAND, ABOUT, ("ssdlite", "faster-rcnn", "mask-rcnn"), _DATA)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, then write the detector and what was measured."""
    trained(options(), COMMAND, argv)


def trained(
    known: argparse.ArgumentParser, command: str, argv: Sequence[str] | None = None
) -> None:
    """Train as the arguments of a ``command`` on scenes say; ``known`` is its parser."""
    args = known.parse_args(argv)
    if not args.resume and (args.spec is None or args.data is None):
        raise ValueError("--spec and --data are needed: a network and a folder, or --resume")
    from training.commands.scenes import go  # takes seconds to load, which --help need not

    go(args, known, command)
