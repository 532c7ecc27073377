"""Parquet files of pictures, as Hugging Face ``datasets`` writes them, unpacked into tar shards.

Rows of a parquet file are compressed together and cannot be read alone; in a tar archive they can.
It is written to the cache once, as large as the pictures' own files. This takes pyarrow (extra
``shards``).
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from training.pictures.cache import ABOUT
from training.pictures.stored.index import LABEL, key

PICTURES, LABELS = (
    ("image", "img", "picture", "jpg", "png"),
    ("label", "labels", "fine_label", LABEL),
)
_ROWS = 64  # at once


def unpacked(file: str, cache: Path) -> str:
    """The path of the archive with the rows of ``file``, which is written where it is not there.

    Raises ValueError, naming it, where it cannot be read, has no pictures or no classes.
    """
    path = cache / f"{key(file)}.tar"
    if path.exists():
        return str(path)
    if find_spec("pyarrow") is None:
        raise ValueError(f"{file} takes pyarrow: pip install 'evenscale[shards]'")
    cache.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=cache, prefix=path.stem, suffix=".part")
    os.close(handle)
    try:
        with tarfile.open(partial, "w", pax_headers={ABOUT: file}) as archive:
            for number, (picture, label) in enumerate(_rows(file)):
                kind = "png" if picture.startswith(b"\x89PNG") else "jpg"
                for ending, content in ((kind, picture), (LABEL, label.encode())):
                    entry = tarfile.TarInfo(f"{Path(file).stem}-{number:08d}.{ending}")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
        os.replace(partial, path)
    except BaseException:  # an interrupt too must not leave gigabytes behind
        os.unlink(partial)
        raise
    return str(path)


def _rows(file: str) -> Iterator[tuple[bytes, str]]:
    """The bytes of each picture and the name of its class."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        table = ParquetFile(file)
        columns = (
            _column(file, table.schema_arrow, PICTURES),
            _column(file, table.schema_arrow, LABELS),
        )
        names = _names(table.schema_arrow.metadata or {}, columns[1])
        for batch in table.iter_batches(_ROWS, columns=list(columns)):
            for row in batch.to_pylist():
                yield _picture(file, row[columns[0]]), _label(file, row[columns[1]], names)
    except (ArrowException, OSError) as error:
        raise ValueError(
            f"{file} cannot be read ({error!r:.200}): replace it, or take it out"
        ) from None


def _column(file: str, schema: Any, known: Sequence[str]) -> str:
    found = [name for name in known if name in schema.names]
    if not found:
        raise ValueError(
            f"{file} has the columns {', '.join(schema.names)[:120]}, and none of "
            f"{', '.join(known)}: rename the one that is meant"
        )
    return found[0]


def _names(metadata: dict[bytes, bytes], column: str) -> list[str] | None:
    """What Hugging Face notes of the classes; None where it does not."""
    try:
        told = json.loads(metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in told]


def _picture(file: str, value: object) -> bytes:
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise ValueError(
            f"a picture in {file} is {type(content).__name__} and no bytes of a picture's file: "
            "write the dataset with its pictures inside"
        )
    return content


def _label(file: str, value: object, names: list[str] | None) -> str:
    if isinstance(value, int) and names is not None and 0 <= value < len(names):
        return names[value]
    if not isinstance(value, int | str) or (names is not None and isinstance(value, int)):
        raise ValueError(f"a label in {file} is {value!r:.60}: classes are whole numbers or names")
    return str(value)
