"""Where a parent's weights come from, a family, a run or a file, and how they are kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from torch import Tensor

from common.paths import expanded
from models.choose import find
from models.deploy.preprocessing import WEIGHTS, read_preprocessing
from models.pretrained import (
    initialised,
    pretrained_state,
    published_moments,
    read_described,
    read_safetensors,
)
from models.reference.providers import IMAGENET
from models.spec import ArchSpec
from training.transfer.parent import Moments, Parent, weights_of

BASELINE = "baseline.safetensors"


def open_parent(text: str, spec: ArchSpec | None = None) -> Parent:
    """The network of that name with its weights.

    ``text`` is a family whose ImageNet weights can be had, such as ``efficientnet-lite0``; the
    directory of a training, or of a search that ended with weights; a file that
    ``training.transfer.parent.keep`` wrote; or with a ``spec`` any safetensors file of its weights,
    of any number of classes, which are then taken to be for pictures that are normalised by
    ImageNet's moments. Raises ValueError where there are no weights.
    """
    place = Path(expanded(text))
    if place.is_file() or place.suffix == ".safetensors":
        weights, facts = read_described(str(place))
        if spec is not None and "spec" not in facts:
            return _bare(place, spec, weights)
        return _told(place, weights, facts)
    if not place.is_dir():
        own, network = initialised(find(text).spec, pretrained_state(text))
        return Parent(text, own, weights_of(network), Moments(*published_moments(text)))
    if (place / BASELINE).is_file():
        return read_parent(place / BASELINE)
    if not (place / WEIGHTS).is_file():
        raise ValueError(
            f"{text!r:.200} holds no weights ({BASELINE} of a search, {WEIGHTS} of a training): "
            "give a directory that has them, or a family such as efficientnet-lite0"
        )
    expects, weights = read_preprocessing(place), read_safetensors(str(place / WEIGHTS))
    moments = Moments(expects.mean, expects.std)
    return Parent(place.resolve().name, find(text).spec, weights, moments)


def _bare(path: Path, spec: ArchSpec, weights: dict[str, Tensor]) -> Parent:
    """Weights alone, for ``spec`` but for its classes and channels."""
    print(
        f"weights: {path} does not say how its pictures were normalised: as ImageNet's are, it is "
        "taken",
        file=sys.stderr,
    )
    own, network = initialised(spec, weights)
    mean, deviation = (one[: own.in_channels] for one in IMAGENET)
    return Parent(path.stem, own, weights_of(network), Moments(mean, deviation))


def read_parent(path: Path) -> Parent:
    """The inverse of ``training.transfer.parent.keep``. Raises ValueError for any other file."""
    return _told(path, *read_described(str(path)))


def _told(path: Path, weights: dict[str, Tensor], facts: dict[str, str]) -> Parent:
    """The parent that a file describes."""
    try:
        moments = Moments(*(tuple(map(float, one)) for one in json.loads(facts["moments"])))
        spec = ArchSpec.from_json(facts["spec"])
        own = "own" in facts
        return Parent(facts["name"], spec, weights, moments, facts["source"], own)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} does not say which network its weights are of ({error}): give a file that a "
            "search wrote, a training's directory, or a family such as efficientnet-lite0"
        ) from None
