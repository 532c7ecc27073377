"""``python -m training segment``: a segmenter on a network, trained on masks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from training.commands.detect import trained
from training.scenes.options import made

ABOUT = (
    """Train a segmenter on any network; mean intersection over union is on pictures held out."""
)
COMMAND = "training segment"
_DATA = (
    "a folder with images/ and masks/, PNG files of class indices by the same names, and train/ "
    "and val/ in them or above where they exist; or outlines in COCO's format; see "
    "docs/training.md"
)  # fmt: skip


def options() -> argparse.ArgumentParser:
    """The command's options."""
    return made(COMMAND, ABOUT, ("lraspp", "deeplab"), _DATA)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, then write the segmenter and what was measured."""
    trained(options(), COMMAND, argv)
