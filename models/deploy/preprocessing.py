"""What a trained network expects of a picture, and what its outputs mean: ``preprocessing.json``.

A network is of no use without these: fed with pictures that are normalised in another way, one of
100 % accuracy is no better than chance.

    classes   names of the outputs, in their order
    mean      of each channel, of pixels in 0 to 1: pixels are normalised by (pixel - mean) / std
    std       standard deviation of each channel, likewise
    side      pixels of the square that goes in
    channels  "RGB" (three, in this order) or "L" (one, grey)
    resize    how a picture becomes that square; "shorter side to side, central square" is the only
              rule: the shorter side is resized to ``side``, with antialiasing, and the central
              square kept
    scales    of pictures of more than 8 bits, the values that become black and white, linearly:
              of "whole" numbers, of "real" (floating-point) ones; {} where none was trained on
    schema    1
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from models.spec import ArchSpec

FILE_NAME = "preprocessing.json"
WEIGHTS = "weights.safetensors"  # beside it
SCHEMA = 1
RESIZE = "shorter side to side, central square"
_CHANNELS = {"RGB": 3, "L": 1}


@dataclass(frozen=True)
class Preprocessing:
    """As the module says. Raises ValueError, naming the value, for what no training wrote."""

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    side: int
    channels: str = "RGB"
    resize: str = RESIZE
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        for name in ("classes", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        count = _CHANNELS.get(self.channels)
        if count is None:
            raise ValueError(f"channels {self.channels!r:.60} must be RGB or L")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != count or not all(_is_number(value) for value in values):
                raise ValueError(f"{name} {values!r:.80} must be {count} numbers, one a channel")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std {self.std} must be above 0")
        if not self.classes or not all(isinstance(name, str) for name in self.classes):
            raise ValueError(f"classes {self.classes!r:.80} must be names")
        if not isinstance(self.scales, Mapping) or not set(self.scales) <= {"whole", "real"}:
            raise ValueError(f"scales {self.scales!r:.80} must be of whole and real values")
        object.__setattr__(self, "scales", {k: tuple(pair) for k, pair in self.scales.items()})
        for pair in self.scales.values():
            if len(pair) != 2 or not all(map(_is_number, pair)) or pair[0] >= pair[1]:
                raise ValueError(f"a scale {pair!r:.60} must be of black and of white, above it")
        if type(self.side) is not int or self.side < 1:
            raise ValueError(f"side {self.side!r:.60} must be a whole number of pixels")
        if self.resize != RESIZE or self.schema != SCHEMA:
            raise ValueError(
                f"resize {self.resize!r:.60}, schema {self.schema!r:.20}: this version knows "
                f"{RESIZE!r} and {SCHEMA} alone, use the one that wrote it"
            )

    def check(self, spec: ArchSpec) -> None:
        """Raises ValueError where this is of another network than ``spec``."""
        mine = (self.side, len(self.mean), len(self.classes))
        theirs = (spec.resolution, spec.in_channels, spec.classes)
        if mine != theirs:
            raise ValueError(
                f"the preprocessing is of {mine} pixels, channels and classes, the network of "
                f"{theirs}: give the directory as a training has written it"
            )

    def to_json(self) -> str:
        """What ``from_json`` reads back."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Preprocessing:
        """Raises ValueError for anything that ``to_json`` did not write."""
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"no {FILE_NAME} of a training: {error}") from None

    def write(self, directory: Path) -> Path:
        """``DIRECTORY/preprocessing.json``."""
        path = directory / FILE_NAME
        path.write_text(self.to_json() + "\n", "utf-8", "surrogatepass")
        return path


def read_preprocessing(directory: Path) -> Preprocessing:
    """What a training directory holds. Raises ValueError where there is none, or another thing."""
    path = directory / FILE_NAME
    if not path.is_file():
        raise ValueError(f"{directory} holds no {FILE_NAME}: give a run of python -m training")
    return Preprocessing.from_json(path.read_text("utf-8", "surrogatepass"))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
