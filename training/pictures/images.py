"""Decode picture files of any kind into small square RGB arrays.

Every picture becomes 8-bit RGB: its largest central square, resized with antialiasing, upright as
its EXIF orientation says. Grey pictures get three equal channels, 16-bit ones are scaled to 8 bits,
transparent ones are laid on white, CMYK is converted, and of an animation the first frame counts.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from common.host_memory import free_host_bytes, gigabytes

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
_BLOCK = 64  # pictures per task: enough to make the cost of a task vanish

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


@dataclass(frozen=True, eq=False)
class Pictures:
    """Decoded pictures.

    images: uint8 (N, C, size, size); rows of unreadable pictures are zero.
    sides: int32 (N,), the shorter side of each original in pixels; 0 marks an unreadable picture.
    skipped: (path, reason) of each unreadable picture, in order.
    """

    images: torch.Tensor
    sides: torch.Tensor
    skipped: tuple[tuple[str, str], ...] = ()


def read(root: str, paths: Sequence[str], size: int, progress: bool = True) -> Pictures:
    """Decode the files `paths` (relative to `root`) to `size` x `size` pixels, on a few threads.

    An unreadable file is reported in `skipped`. Raises ValueError where the result cannot fit in
    the memory that is free.
    """
    _check_memory(len(paths), size)
    images = np.zeros((len(paths), 3, size, size), np.uint8)
    sides = np.zeros(len(paths), np.int32)

    def decode_block(start: int) -> list[tuple[str, str]]:
        skipped = []
        for row in range(start, min(start + _BLOCK, len(paths))):
            try:
                images[row], sides[row] = decode(os.path.join(root, paths[row]), size)
            except ValueError as error:
                skipped.append((paths[row], str(error)))
        return skipped

    skipped: list[tuple[str, str]] = []
    bar = tqdm(
        total=len(paths),
        desc="reading pictures",
        delay=1,
        disable=not progress,
        mininterval=0.1 if sys.stderr.isatty() else 10,  # a log gets a line now and then
    )
    # Pillow releases the interpreter lock while it decodes and resizes, so threads are enough.
    pool = ThreadPoolExecutor(min(8, torch.get_num_threads()))
    with bar, _pillow_silent():
        try:
            for block in pool.map(decode_block, range(0, len(paths), _BLOCK)):
                skipped += block
                bar.update(min(_BLOCK, len(paths) - bar.n))
        finally:  # an interrupt must not wait for the pictures still queued
            pool.shutdown(cancel_futures=True)
    return Pictures(torch.from_numpy(images), torch.from_numpy(sides), tuple(skipped))


def decode(path: str, size: int) -> tuple[Pixels, int]:
    """One picture as uint8 (3, size, size), and the shorter side of its original in pixels.

    Raises ValueError with a one-line reason where the file cannot be read.
    """
    try:
        _check_length(os.path.getsize(path))
        with Image.open(path, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width}x{height} is over the limit of {MAX_PIXELS:,} pixels")
            with _turn(width * height):
                square = _square(image, size)
    except Exception as error:  # on damaged files the decoders raise nearly any kind
        raise ValueError(_reason(error)) from error
    return np.asarray(square).transpose(2, 0, 1), min(width, height)


def shorter_side(path: str) -> int:
    """The shorter side in pixels by the file's header alone; 0 where the file is no picture."""
    try:
        with _pillow_silent(), Image.open(path, formats=_FORMATS) as image:
            return min(image.size)
    except Exception:  # as above: whatever a decoder raises, this is no picture
        return 0


@contextmanager
def _pillow_silent() -> Iterator[None]:
    """What Pillow would warn of (odd EXIF, oversized pictures) is handled or reported here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _check_memory(count: int, size: int) -> None:
    need, free = count * 3 * size * size, free_host_bytes()
    if free is not None and need > free:  # where unknown, the allocation itself has to fail
        raise ValueError(
            f"{count:,} pictures at {size}x{size} take {gigabytes(need)} and {gigabytes(free)} of "
            "memory is free: give a smaller size, or fewer images"
        )


def _check_length(length: int) -> None:
    if length == 0:
        raise ValueError("empty file")
    if length > _MAX_BYTES:
        raise ValueError(f"{length:,} bytes are over the limit of {_MAX_BYTES:,}")


def _turn(pixels: int) -> AbstractContextManager[object]:
    return _giants_take_turns if pixels > _GIANT else nullcontext()


def _square(image: Image.Image, size: int) -> Image.Image:
    """The central square of an opened picture, upright, as RGB of `size` x `size`."""
    # JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the work; twice the size keeps it sharp.
    image.draft(None, (2 * size, 2 * size))
    image.load()
    (width, height), side = image.size, min(image.size)
    left, top = (width - side) / 2, (height - side) / 2
    square = _eight_bits(image).resize(
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
    return square


def _eight_bits(image: Image.Image) -> Image.Image:
    """The same picture in mode RGB, or RGBA where it may be transparent."""
    if image.mode[0] in "IF":
        image = _from_deep_grey(image)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits in mode L; Pillow's own conversion would clip it at 255.

    Integers are taken as 16-bit, floating-point numbers as 0 to 1, or as 0 to 255 where any is
    above 1.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    if image.mode[0] == "I":
        values /= 257
    elif values.max() <= 1:
        values *= 255
    return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))


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
