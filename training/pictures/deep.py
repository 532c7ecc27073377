"""Grey and colour of more than 8 bits: which value is white is said by no file, but by all of them.

A 16-bit file may hold values up to 255, 1023, 4095 or 65535, and a floating-point one any range.
Scaled each by its own extremes, dark pictures would become bright; taken for what the format could
hold, a 12-bit camera's pictures turn nearly black. So there is one scale for all files of a data
set that hold whole numbers, and one for all that hold floating-point numbers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from io import BytesIO
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

Kind = Literal["whole", "real"]
KINDS: tuple[Kind, ...] = ("whole", "real")
Values = npt.NDArray[np.float32]

_DEPTHS = (8, 10, 12, 14, 16)  # bits that sensors and converters deliver
# What Pillow calls the order of a 16-bit colour's bytes; it keeps the high one, and the low one
# where it is told the other order.
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


class Scale(NamedTuple):
    """The values that become black and white."""

    black: float
    white: float


FULL = Scale(0, 65535)


class Scales(NamedTuple):
    """The scale of a data set's whole numbers, and of its floating-point ones; None without any."""

    whole: Scale | None = None
    real: Scale | None = None


NO_SCALES = Scales()


def kind(image: ImageFile.ImageFile) -> Kind | None:
    """What an opened picture that is not loaded yet holds; None where 8 bits hold it."""
    if image.mode[0] == "F":
        return "real"
    return "whole" if image.mode[0] == "I" or _raw_mode(image) else None


def values(image: ImageFile.ImageFile) -> Values:
    """The values of a picture of some `kind`: grey (H, W), or colour (H, W, 3).

    Where they are colours, `image` is left loaded, with the high byte of each.
    """
    raw = _raw_mode(image)
    if raw is None:
        return np.asarray(image, np.float32)
    # What was opened from memory has no name, but its bytes at hand until it is loaded.
    again = image.filename or BytesIO(cast(BytesIO, image.fp).getvalue())
    with Image.open(again, formats=[image.format or ""]) as low:
        other = raw[:-1] + _OTHER_ORDER[raw[-1]]
        low.tile = [tile._replace(args=_renamed(tile.args, raw, other)) for tile in low.tile]
        found: Values = np.asarray(image)[..., :3] * np.float32(256)
        found += np.asarray(low)[..., :3]
        return found


def to_bytes(found: Values, scale: Scale) -> npt.NDArray[np.uint8]:
    """The same values from 0 (black and below, or no number) to 255 (white and above)."""
    found = np.nan_to_num(found, nan=scale.black)
    found = (found - np.float32(scale.black)) * np.float32(255 / (scale.white - scale.black))
    return np.rint(found).clip(0, 255).astype(np.uint8)


def extremes(found: Values) -> tuple[float, float]:
    """The least and the greatest of the values that are numbers; 0 and 0 where none is."""
    finite = found[np.isfinite(found)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def scale(of: Kind, ranges: Iterable[tuple[float, float]]) -> Scale:
    """The scale that holds all values of pictures with these `extremes`.

    White is the first that is no less than the greatest value: of whole numbers the most that 8,
    10, 12, 14 or 16 bits hold; of floating-point ones 1, a power of two up to 64, or one of those
    same. Above 65535 it is a power of two. Black is 0, or where values are below it the power of
    two that they do not pass.
    """
    least, greatest = (
        pick(each) for pick, each in zip((min, max), zip(*ranges, strict=True), strict=True)
    )
    black = -_power(-least) if least < 0 else 0.0
    if of == "real" and greatest <= 64:
        return Scale(black, max(1.0, _power(greatest)))
    whites = (float(2**bits - 1) for bits in _DEPTHS if 2**bits - 1 >= greatest)
    return Scale(black, next(whites, _power(greatest)))


def _power(value: float) -> float:
    """The least power of two that is no less than `value`."""
    return 2.0 ** math.ceil(math.log2(value)) if value > 0 else 0.0


def _raw_mode(image: ImageFile.ImageFile) -> str | None:
    """How the file of an opened colour picture stores 16 bits; None where it does not."""
    if image.mode not in ("RGB", "RGBA") or not image.tile:
        return None
    args = image.tile[0].args
    raw = args if isinstance(args, str) else args[0] if args else None
    known = isinstance(raw, str) and raw[:-1] in ("RGB;16", "RGBA;16") and raw[-1] in _OTHER_ORDER
    return raw if known else None


def _renamed(args: Any, old: str, new: str) -> Any:
    if isinstance(args, tuple):
        return tuple(new if item == old else item for item in args)
    return new if args == old else args
