"""Decode picture files of any kind into small square RGB arrays.

Every picture becomes 8-bit RGB: its largest central square, resized with antialiasing, upright as
its EXIF orientation says. Grey pictures get three equal channels, more than 8 bits are scaled to 8,
transparent ones are laid on white, CMYK is converted, and of an animation the first frame counts.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import IntFlag
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from training.pictures import deep
from training.pictures.deep import NO_SCALES, Scales
from training.pictures.stored import members

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 2**26
"""Pictures above this (67 megapixels, more than full-frame cameras take) count as unreadable."""

# The formats that are recognised by their first bytes and decoded by Pillow alone. Left out on
# purpose: EPS and WMF start other programs, and TGA matches nearly any bytes.
Image.init()
_FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
    if name in Image.OPEN
)
EXTENSIONS = frozenset(
    {suffix for suffix, name in Image.EXTENSION.items() if name in _FORMATS} | {".heic", ".heif"}
)
"""Names that promise a picture: a file so named that cannot be read is reported, not ignored."""

_MAX_BYTES = 8 * MAX_PIXELS  # what the largest picture takes uncompressed at 16-bit RGBA
_FLAT = 8  # grey levels: a picture in which no channel varies by so many is hardly one

# Several decoded giants at once would take gigabytes, so those above 16 megapixels take turns.
_GIANT = 2**24
_giants_take_turns = threading.Lock()

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Doubt(IntFlag):
    """What is odd about a picture that could be decoded."""

    FLAT = 1
    CLIPPED = 2
    OWN_SCALE = 4


DOUBTS = {
    Doubt.FLAT: "nearly one colour",
    Doubt.CLIPPED: "values beyond the scale of the others",
    Doubt.OWN_SCALE: "more than 8 bits, which hardly any other has: scaled by its own values",
}
"""In words, as they follow a file's name."""


class Header(NamedTuple):
    """What a picture says of itself: its shorter side in pixels, and how it is more than 8 bits."""

    side: int
    deep: deep.Kind | None


class Decoded(NamedTuple):
    """A picture as uint8 (3, size, size), and the shorter side of its original in pixels."""

    pixels: Pixels
    side: int
    doubt: Doubt


def decode(path: str, size: int, scales: Scales = NO_SCALES) -> Decoded:
    """One picture, a file or a member of an archive (``stored.members``).

    Those of more than 8 bits are seen by `scales`, or where it has none by their own values. Raises
    ValueError with a one-line reason where the file cannot be read.
    """
    with _opened(path) as image:
        side = min(image.size)
        square, doubt = _square(image, size, scales)
    pixels = np.asarray(square).transpose(2, 0, 1)
    if (pixels.max((1, 2)) - pixels.min((1, 2))).max() < _FLAT:
        doubt |= Doubt.FLAT
    return Decoded(pixels, side, doubt)


def extremes(path: str) -> tuple[float, float] | None:
    """The least and the greatest value in a file of more than 8 bits; None where it is unreadable.

    Values that are no finite numbers are passed over.
    """
    try:
        with pillow_silent(), _opened(path) as image:
            return deep.extremes(deep.values(image))
    except ValueError:
        return None


def header(path: str) -> Header | None:
    """What a picture says of itself before it is decoded; None where the file is no picture."""
    try:
        with pillow_silent(), Image.open(members.readable(path), formats=_FORMATS) as image:
            return Header(min(image.size), deep.kind(image))
    except Exception:  # on damaged files the decoders raise nearly any kind
        return None


@contextmanager
def pillow_silent() -> Iterator[None]:
    """What Pillow would warn of (odd EXIF, oversized pictures) is handled or reported here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextmanager
def _opened(path: str) -> Iterator[ImageFile.ImageFile]:
    """A picture to be decoded; whatever is raised meanwhile becomes a ValueError of one line."""
    try:
        _check_length(members.length(path))
        with Image.open(members.readable(path), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width}x{height} is over the limit of {MAX_PIXELS:,} pixels")
            with _turn(width * height):
                yield image
    except Exception as error:  # as above
        raise ValueError(_reason(error)) from error


def _check_length(length: int) -> None:
    if length == 0:
        raise ValueError("empty file")
    if length > _MAX_BYTES:
        raise ValueError(f"{length:,} bytes are over the limit of {_MAX_BYTES:,}")


def _turn(pixels: int) -> AbstractContextManager[object]:
    return _giants_take_turns if pixels > _GIANT else nullcontext()


def _square(image: ImageFile.ImageFile, size: int, scales: Scales) -> tuple[Image.Image, Doubt]:
    """The central square of an opened picture, upright, as RGB of `size` x `size`."""
    # JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the work; twice the size keeps it sharp.
    image.draft(None, (2 * size, 2 * size))
    whole, doubt = _eight_bits(image, scales)
    (width, height), side = image.size, min(image.size)
    left, top = (width - side) / 2, (height - side) / 2
    square = whole.resize(
        (size, size),
        Image.Resampling.BILINEAR,  # in Pillow antialiased wherever it shrinks
        box=(left, top, left + side, top + side),
        reducing_gap=3.0,
    )
    # A central square stays one when turned, so turning the small one is enough.
    turn = _UPRIGHT.get(_orientation(image))
    if turn is not None:
        square = square.transpose(turn)
    if square.mode == "RGBA":
        white = Image.new("RGBA", square.size, "white")
        square = Image.alpha_composite(white, square).convert("RGB")
    return square, doubt


def _eight_bits(image: ImageFile.ImageFile, scales: Scales) -> tuple[Image.Image, Doubt]:
    """The same picture in mode RGB, or RGBA where it may be transparent; and what is odd of it."""
    kind = deep.kind(image)
    found, doubt = _scaled(image, kind, scales) if kind else (image, Doubt(0))
    found.load()
    mode = "RGBA" if found.has_transparency_data else "RGB"
    return (found if found.mode == mode else found.convert(mode)), doubt


def _scaled(
    image: ImageFile.ImageFile, kind: deep.Kind, scales: Scales
) -> tuple[Image.Image, Doubt]:
    """A picture of more than 8 bits with 8; Pillow's own conversion would clip grey at 255."""
    scale = getattr(scales, kind)
    colour = image.mode in ("RGB", "RGBA")
    if colour and scale == deep.FULL:
        return image, Doubt(0)  # its high bytes, which are what Pillow loads
    found = deep.values(image)
    extremes = deep.extremes(found)
    doubt = Doubt(0) if scale else Doubt.OWN_SCALE
    scale = scale or deep.scale(kind, [extremes])
    if extremes[0] < scale.black or extremes[1] > scale.white:
        doubt |= Doubt.CLIPPED
    small = Image.fromarray(deep.to_bytes(found, scale))
    if image.mode == "RGBA":
        small.putalpha(image.getchannel("A"))
    return small, doubt


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that loading has left to do, 1 to 8."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged EXIF data is no reason to lose the picture
        return 1


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture in a known format"
    text = (getattr(error, "strerror", None) or str(error)).partition("\n")[0][:200]
    plain = isinstance(error, OSError | ValueError) and text
    return text if plain else f"{type(error).__name__}: {text}"
