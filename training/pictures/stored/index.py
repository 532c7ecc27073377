"""What is in a tar shard of WebDataset's form: pictures, and each one's class.

A sample is the files whose names agree up to their first dot: ``0001.jpg`` and ``0001.cls``, a text
file with the number or the name of its class. An index, which takes reading through the archive, is
kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from training.pictures import cache as store
from training.pictures.images import EXTENSIONS

LABEL = "cls"
_MOST = 1024  # bytes of a label
_TENSORS = ("places", "texts")


class Sample(NamedTuple):
    """A picture in an archive: its name and its bytes' place in it, and its class."""

    name: str
    offset: int
    length: int
    label: str


def samples(shard: str, cache: Path) -> list[Sample]:
    """Every sample of the archive, in its order.

    Raises ValueError, naming it, where it cannot be read or a picture in it has no class.
    """
    path = cache / f"{key(shard)}.index.safetensors"
    stored = store.fetch(path, _TENSORS)
    if stored is not None:
        tensors, _ = stored
        texts = json.loads(tensors["texts"].numpy().tobytes())
        pairs = zip(texts, tensors["places"].tolist(), strict=True)
        return [Sample(name, at, length, label) for (name, label), (at, length) in pairs]
    found = _read(shard)
    texts = json.dumps([(one.name, one.label) for one in found]).encode()
    tensors = {
        "places": torch.tensor([(one.offset, one.length) for one in found]).long().reshape(-1, 2),
        "texts": torch.from_numpy(np.frombuffer(texts, np.uint8).copy()),
    }
    store.store(path, tensors, {"skipped": "", "scales": "", store.ROOT: shard})
    return found


def key(shard: str) -> str:
    """What an index depends on."""
    status = os.stat(shard)
    said = f"{os.path.realpath(shard)} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _read(shard: str) -> list[Sample]:
    pictures: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, str] = {}
    try:
        with tarfile.open(shard, "r:") as archive:
            for entry in archive:
                folder, name = os.path.split(entry.name)
                stem, _, kind = name.partition(".")
                if not entry.isfile() or not stem:  # hidden files among them
                    continue
                at = f"{folder}/{stem}"
                if kind.lower() == LABEL and (file := archive.extractfile(entry)) is not None:
                    labels[at] = file.read(_MOST).decode("utf-8").strip()
                elif os.path.splitext(name)[1].lower() in EXTENSIONS:
                    if at in pictures:
                        raise ValueError(f"{pictures[at].name} and {entry.name} are one sample")
                    pictures[at] = entry
    except (OSError, ValueError, tarfile.TarError) as error:
        raise ValueError(
            f"{shard} cannot be read as tar shard of pictures ({error}): mend it or take it out"
        ) from None
    if lonely := [one.name for at, one in pictures.items() if not labels.get(at)]:
        raise ValueError(
            f"{lonely[0]!r:.120} in {shard} has no class: add a file of the same name that ends "
            f"in .{LABEL} to the archive"
        )
    return [Sample(one.name, one.offset_data, one.size, labels[at]) for at, one in pictures.items()]
