"""What a training leaves in its directory, and what is said of it.

``evaluation.json`` has, beside what ``training.loop`` measures, names in place of numbers: in its
details ``class_accuracy`` by class, ``class_training`` (training pictures of each class),
``skipped`` (path and reason of what could not be read), and of each of the ``mistakes`` its
``picture`` (its path, or its number in the source). ``mistakes/N.png`` is the N-th of them as the
network saw it, so that the page can be drawn again without the pictures.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from models.deploy.preprocessing import WEIGHTS
from models.spec import ArchSpec
from training.data import Data, part
from training.loop.feeds.feed import batches_of
from training.predict import expected_by
from training.transfer.parent import weights_of
from trials.record import Evaluation

MISTAKES = "mistakes"
_LARGEST = 160  # pixels a side of a mistake's picture


def told(found: Evaluation, data: Data) -> Evaluation:
    """``found`` with the names of the data in its details."""
    own = found.details
    shares = {
        name: right / of if of else None
        for name, right, of in zip(
            data.classes, own["class_correct"], own["class_images"], strict=True
        )
    }
    mistakes = [{**one, "picture": data.test_names[one["place"]]} for one in own["mistakes"]]
    named = {
        "class_accuracy": shares,
        "class_training": [counts["train"] for counts in data.counts().values()],
        "skipped": [list(pair) for pair in data.skipped],
        "mistakes": mistakes,
    }
    return replace(found, details={**own, **named})


def write(out: Path, spec: ArchSpec, network: nn.Module, data: Data, found: Evaluation) -> None:
    """The network, what it expects of a picture, and what it came to; ``found`` as ``told``."""
    expects = expected_by(data, spec.resolution)
    (out / "spec.json").write_text(spec.to_json() + "\n", "utf-8")
    facts = json.dumps(found.to_dict(), indent=1)
    (out / "evaluation.json").write_text(facts + "\n", "utf-8")
    _pictures(out / MISTAKES, data, [one["place"] for one in found.details["mistakes"]])
    expects.write(out)
    # Last, at once or not at all: where they are, the training is done.
    partial = out / f"{WEIGHTS}.part"
    save_file(weights_of(network), partial)
    partial.replace(out / WEIGHTS)


def _pictures(folder: Path, data: Data, places: list[int]) -> None:
    """Write the test pictures at these places, numbered from 0."""
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was cut off here
    if places:
        folder.mkdir()
    for number, place in enumerate(places):
        ((images, _),) = batches_of(part(data.test, slice(place, place + 1)), 1)
        _picture(images[0]).save(folder / f"{number}.png")


def _picture(pixels: Tensor) -> Image.Image:
    """Of uint8 (1 or 3, side, side), made smaller where it is larger than a page needs."""
    grey = len(pixels) == 1
    array = pixels.cpu().numpy()
    image = Image.fromarray(array[0] if grey else array.transpose(1, 2, 0))
    image.thumbnail((_LARGEST, _LARGEST))
    return image
