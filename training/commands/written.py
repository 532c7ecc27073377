"""What a training leaves in its directory, and what is said of it.

``evaluation.json`` has, beside what ``training.loop`` measures, names in place of numbers: in its
details ``class_accuracy`` by class, ``class_training`` (training pictures of each class),
``skipped`` (path and reason of what could not be read), and of each of the ``mistakes`` its
``picture`` (its path, or its number in the source). ``mistakes/N.png`` is the N-th of them as the
network saw it, so that the page can be drawn again without the pictures.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from models.deploy.preprocessing import WEIGHTS
from models.spec import ArchSpec
from training.data import Data
from training.options.shown import keep_pictures
from training.predict import expected_by
from training.transfer.parent import weights_of
from trials.record import Evaluation

MISTAKES = "mistakes"


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
    places = [one["place"] for one in found.details["mistakes"]]
    keep_pictures(out / MISTAKES, data.test, places)
    expects.write(out)
    # Last, at once or not at all: where they are, the training is done.
    partial = out / f"{WEIGHTS}.part"
    save_file(weights_of(network), partial)
    partial.replace(out / WEIGHTS)
