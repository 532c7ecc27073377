"""Decoding: every kind of picture becomes the right pixels, and everything else a clear reason."""

from __future__ import annotations

import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.support.pictures import check_decoding
from training.pictures import images, reading

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quadrants(side: int = 32) -> Image.Image:
    """Four colours, so that every turn and mirroring shows."""
    picture = Image.new("RGB", (side, side), RED)
    half = side // 2
    picture.paste(GREEN, (half, 0, side, half))
    picture.paste(BLUE, (0, half, half, side))
    picture.paste(WHITE, (half, half, side, side))
    return picture


def save(picture: Image.Image, path: Path, **options: object) -> str:
    picture.save(path, **options)
    return str(path)


def decoded(path: str, size: int) -> np.ndarray:
    """As (size, size, 3), like a Pillow picture's array."""
    return images.decode(path, size)[0].transpose(1, 2, 0)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims any size while it holds almost nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "gif", "webp"])
def test_pixels_survive_in_lossless_formats(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(quadrants(), tmp_path / f"a.{suffix}", **options)
    array, side, _ = images.decode(path, 32)
    assert array.dtype == np.uint8
    assert array.shape == (3, 32, 32)
    assert side == 32
    np.testing.assert_array_equal(array.transpose(1, 2, 0), np.asarray(quadrants()))


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = save(quadrants(), tmp_path / "a.jpg", format="PNG")
    np.testing.assert_array_equal(decoded(path, 32), np.asarray(quadrants()))


def test_shorter_side_is_resized_and_the_central_square_cut(tmp_path: Path) -> None:
    wide = Image.new("RGB", (64, 16), BLUE)
    wide.paste(RED, (24, 0, 40, 16))
    tall = wide.transpose(Image.Transpose.ROTATE_90)
    expected = wide.resize((32, 8), Image.Resampling.BILINEAR).crop((12, 0, 20, 8))
    array, side, _ = images.decode(save(wide, tmp_path / "wide.png"), 8)
    assert side == 16
    np.testing.assert_array_equal(array.transpose(1, 2, 0), np.asarray(expected))
    turned = decoded(save(tall, tmp_path / "tall.png"), 8)
    np.testing.assert_array_equal(turned, np.rot90(np.asarray(expected)))


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    board = (np.indices((128, 128)).sum(0) % 2 * 255).astype(np.uint8)
    array = decoded(save(Image.fromarray(board), tmp_path / "board.png"), 16)
    assert abs(array.astype(int) - 127.5).max() < 8


def test_jpeg_is_decoded_small_and_right(tmp_path: Path) -> None:
    """JPEG's own shrinking must agree with decoding everything and shrinking then."""
    ramp = np.linspace(0, 255, 1200)
    picture = np.stack([np.tile(ramp, (900, 1)), np.tile(ramp[:900, None], (1, 1200))], 2)
    whole = Image.fromarray(np.concatenate([picture, picture[:, :, :1]], 2).astype(np.uint8))
    path = save(whole, tmp_path / "a.jpg", quality=95)
    expected = whole.resize((32, 32), Image.Resampling.BILINEAR, box=(150, 0, 1050, 900))
    difference = decoded(path, 32).astype(int) - np.asarray(expected)
    assert abs(difference).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "jpg"])
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"webp": {"lossless": True}, "jpg": {"quality": 95, "subsampling": 0}}.get(suffix, {})
    path = save(quadrants(), tmp_path / f"a.{suffix}", exif=exif, **options)
    with Image.open(path) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"), int)
    assert abs(decoded(path, 32) - upright).max() <= 1


def test_damaged_exif_does_not_lose_the_picture(tmp_path: Path) -> None:
    path = save(quadrants(), tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decoded(path, 32), np.asarray(quadrants()))


def grey_of(value: int) -> np.ndarray:
    return np.full((4, 4, 3), value, np.uint8)


DEEP = {
    "uint16.png": np.full((4, 4), 128 * 257, np.uint16),
    "uint16.tiff": np.full((4, 4), 128 * 257, np.uint16),
    "int32.tiff": np.full((4, 4), 128 * 257, np.int32),
    "unit.tiff": np.full((4, 4), 128 / 255, np.float32),
    "float.tiff": np.array([[255.0, 128, 128, 128]] * 4, np.float32),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_grey_is_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    path = save(Image.fromarray(DEEP[name]), tmp_path / name)
    np.testing.assert_array_equal(decoded(path, 4)[:, 1:], grey_of(128)[:, 1:])


def test_not_a_number_is_black(tmp_path: Path) -> None:
    path = save(Image.fromarray(np.full((4, 4), np.nan, np.float32)), tmp_path / "nan.tiff")
    np.testing.assert_array_equal(decoded(path, 4), grey_of(0))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "RGB"])
def test_grey_of_any_mode_gets_three_equal_channels(tmp_path: Path, mode: str) -> None:
    path = save(Image.new("L", (4, 4), 255).convert(mode), tmp_path / "a.png")
    np.testing.assert_array_equal(decoded(path, 4), grey_of(255))


def test_cmyk(tmp_path: Path) -> None:
    path = save(Image.new("RGB", (16, 16), RED).convert("CMYK"), tmp_path / "a.jpg", quality=95)
    assert abs(decoded(path, 8).astype(int) - RED).max() < 8


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    clear = save(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), tmp_path / "rgba.png")
    half = save(Image.new("LA", (8, 8), (0, 128)), tmp_path / "la.png")
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([*RED, *BLUE])
    keyed = save(palette, tmp_path / "palette.png", transparency=1)
    listed = save(palette, tmp_path / "bytes.png", transparency=bytes([255, 0]))
    colour = save(Image.new("RGB", (8, 8), BLUE), tmp_path / "key.png", transparency=BLUE)
    for path in (clear, keyed, listed, colour):
        np.testing.assert_array_equal(decoded(path, 4), np.full((4, 4, 3), 255))
    np.testing.assert_array_equal(decoded(half, 4), np.full((4, 4, 3), 127))


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    for suffix in ("gif", "png", "webp"):
        options = {"lossless": True} if suffix == "webp" else {}
        path = tmp_path / f"a.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(decoded(str(path), 4), np.full((4, 4, 3), RED))


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1)])
def test_tiny_pictures(tmp_path: Path, shape: tuple[int, int]) -> None:
    array, side, _ = images.decode(save(Image.new("RGB", shape, BLUE), tmp_path / "a.png"), 6)
    assert side == 1
    np.testing.assert_array_equal(array.transpose(1, 2, 0), np.full((6, 6, 3), BLUE))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"only text\n", "not a picture in a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture in a known format"),
        (png_header(9_000, 9_000), "over the limit of 67,108,864 pixels"),
        (png_header(60_000, 60_000), "exceeds limit"),
        (png_header(64, 64), "truncated"),
    ],
    ids=["empty", "text", "postscript", "large", "bomb", "short"],
)
def test_reasons(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        images.decode(str(path), 8)


def test_truncated_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for suffix in ("jpg", "png", "gif", "bmp", "webp", "tiff"):
        path = Path(save(Image.fromarray(noise), tmp_path / f"a.{suffix}"))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ValueError) as raised:
            images.decode(str(path), 8)
        assert str(raised.value)
        assert "\n" not in str(raised.value)


def test_missing_and_oversized_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="No such file"):
        images.decode(str(tmp_path / "gone.png"), 8)
    path = save(quadrants(), tmp_path / "a.png")
    monkeypatch.setattr(images, "_MAX_BYTES", 10)
    with pytest.raises(ValueError, match="over the limit of 10"):
        images.decode(path, 8)


def test_giants_are_decoded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_GIANT", 100)
    names = [f"{number}.png" for number in range(5)]
    for name in names:
        save(quadrants(), tmp_path / name)
    pictures = reading.read(str(tmp_path), names, 32, progress=False)
    assert pictures.sides.tolist() == [32] * 5


def test_read_keeps_order_and_names_what_it_skips(tmp_path: Path) -> None:
    names = [f"bild-ü-{number}.png" for number in range(150)]
    for number, name in enumerate(names):
        save(Image.new("RGB", (4 + number % 3, 9), (number, 0, 0)), tmp_path / name)
    (tmp_path / names[70]).write_bytes(b"")
    (tmp_path / names[130]).write_bytes(b"nonsense")
    pictures = reading.read(str(tmp_path), names, 4, progress=False)
    expected = [number * (number not in (70, 130)) for number in range(150)]
    assert pictures.images[:, 0, 2, 2].tolist() == expected
    assert [index for index, side in enumerate(pictures.sides.tolist()) if not side] == [70, 130]
    assert pictures.skipped == (
        (names[70], "empty file"),
        (names[130], "not a picture in a known format"),
    )


def test_more_than_the_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="smaller size, or fewer images"):
        reading.read(str(tmp_path), ["a.png"] * 10**6, 1024, progress=False)


def test_the_header_alone_is_read(tmp_path: Path) -> None:
    path = Path(save(Image.new("RGB", (40, 30)), tmp_path / "a", format="PNG"))
    assert images.header(str(path)) == (30, None)
    path.write_bytes(path.read_bytes()[:45])
    assert images.header(str(path)) == (30, None)
    path.write_text("text")
    assert images.header(str(path)) is None
    assert images.header(str(tmp_path / "gone")) is None


MAGIC = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*"]
MAGIC += [
    b"RIFF\x10\0\0\0WEBP",
    b"P6 3 3 255\n",
    b"\0\0\0\x1cftypavif",
    b"\0\0\0\x0cjP  \r\n\x87\n",
]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(MAGIC), st.binary(max_size=200))
def test_arbitrary_bytes(magic: bytes, rest: bytes) -> None:
    check_decoding(magic + rest, "a.jpg")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM"]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
    st.integers(0, 10**6),
)
def test_damaged_pictures(kind: str, changes: list[tuple[int, int]], cut: int) -> None:
    with tempfile.TemporaryFile() as file:
        quadrants(12).save(file, format=kind)
        file.seek(0)
        content = bytearray(file.read())
    for position, value in changes:
        content[position % len(content)] = value
    if cut % 2:
        del content[cut % len(content) :]
    check_decoding(bytes(content), "a.jpg")
