"""Pictures kept beside a run as networks see them, for its page, which is drawn without them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from training.data import Data, Split, part
from training.loop.feeds.feed import batches_of

SAMPLES = "samples"
MOST = 12
"""Classes of which a sample is kept."""
_LARGEST = 160  # pixels a side


def keep_samples(run_dir: Path, data: Data) -> None:
    """Write the first training picture of each class, of the first ``MOST``, into ``samples``,
    numbered as the classes are."""
    labels = data.train.labels.tolist()
    keep_pictures(
        run_dir / SAMPLES,
        data.train,
        [labels.index(number) for number in range(min(MOST, len(data.classes)))],
    )


def keep_pictures(folder: Path, split: Split, places: Sequence[int]) -> None:
    """Write the pictures at these places of the split, numbered from 0, in place of what the folder
    had."""
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was cut off here
    if places:
        folder.mkdir()
    for number, place in enumerate(places):
        ((images, _),) = batches_of(part(split, slice(place, place + 1)), 1)
        _picture(images[0]).save(folder / f"{number}.png")


def _picture(pixels: Tensor) -> Image.Image:
    """Of uint8 (1 or 3, side, side), made smaller where it is larger than a page needs."""
    grey = len(pixels) == 1
    array = pixels.cpu().numpy()
    image = Image.fromarray(array[0] if grey else array.transpose(1, 2, 0))
    image.thumbnail((_LARGEST, _LARGEST))
    return image
