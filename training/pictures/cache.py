"""Decoded pictures on disk: safetensors files that may be deleted at any time.

A file is written beside its place and moved there, so that neither a killed process nor two at once
leave half a file; its checksum is verified on reading; and a disk that cannot be written loses the
cache but not the run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from common.plain import printable
from training.pictures.deep import Scale, Scales
from training.pictures.reading import Pictures

SUFFIXES = ".safetensors", ".tar", ".part"  # of whole files, the last of those being written
ABOUT = "comment"  # among the headers of an archive: the file that it was made from
ROOT = "root"  # among a file's texts: the folder whose pictures it has
_TENSORS = ("images", "sides", "doubts")
_log = logging.getLogger(__name__)


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """`cache`, else the environment's EVENSCALE_CACHE, else ~/.cache/evenscale."""
    chosen = cache or os.environ.get("EVENSCALE_CACHE") or "~/.cache/evenscale"
    return Path(os.path.expanduser(chosen))


def fingerprint(*parts: torch.Tensor | str) -> str:
    """SHA-256 in hexadecimal of texts and of CPU tensors, their shapes and types included."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(f"text {len(data)} ".encode() + data)
        else:
            digest.update(f"tensor {part.dtype} {tuple(part.shape)} ".encode())
            digest.update(part.contiguous().numpy().data)
    return digest.hexdigest()


def load(path: Path) -> Pictures | None:
    """The pictures stored at `path`; None where there are none, or only damaged ones."""
    stored = fetch(path, _TENSORS)
    if stored is None:
        return None
    tensors, told = stored
    skipped = tuple((name, reason) for name, reason in json.loads(told["skipped"]))
    scales = Scales(*(each and Scale(*each) for each in json.loads(told["scales"])))
    return Pictures(**tensors, skipped=skipped, scales=scales)


def save(path: Path, pictures: Pictures, root: str) -> None:
    """Store `pictures` from the folder `root` at `path`, at once or not at all; a failure is only
    logged."""
    told = {"skipped": json.dumps(pictures.skipped), "scales": json.dumps(pictures.scales)}
    told |= {ROOT: printable(root)}
    store(path, {name: getattr(pictures, name) for name in _TENSORS}, told)


def kept(folder: Path) -> list[tuple[Path, str]]:
    """Every file in the cache and the folder whose pictures it has, "" where it does not say."""
    files = (path for path in folder.glob("*") if path.suffix in SUFFIXES and path.is_file())
    return [(path, _root(path)) for path in sorted(files)]


def _root(path: Path) -> str:
    try:
        if path.suffix == ".tar":
            with tarfile.open(path) as archive:
                return archive.pax_headers.get(ABOUT, "")
        with safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get(ROOT, ""))
    except (OSError, SafetensorError, tarfile.TarError):
        return ""


def fetch(
    path: Path, names: Sequence[str]
) -> tuple[dict[str, torch.Tensor], dict[str, str]] | None:
    """The tensors of these names and the texts that ``store`` put at `path`; None as `load`."""
    if not path.exists():
        return None
    try:
        # Mapped, not read: the pages belong to the file and are shared between processes.
        with safe_open(path, framework="pt") as file:
            told = file.metadata()
            tensors = {name: file.get_tensor(name) for name in names}
        if told["checksum"] != _checksum(tensors, told["skipped"], told["scales"]):
            raise ValueError("its checksum is wrong")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        _log.warning("cache file %s is damaged (%s): reading the pictures again", path, error)
        return None
    return tensors, told


def store(path: Path, tensors: dict[str, torch.Tensor], told: dict[str, str]) -> None:
    """Put tensors and texts, ``skipped`` and ``scales``, at `path`; as `save`."""
    told = {**told, "checksum": _checksum(tensors, told["skipped"], told["scales"])}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, tensors, told)
    except (OSError, SafetensorError) as error:
        _log.warning("cannot keep the decoded pictures in %s (%s)", path.parent, error)


def _checksum(tensors: dict[str, torch.Tensor], *texts: str) -> str:
    return fingerprint(*tensors.values(), *texts)


def _replace(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    os.close(handle)
    try:
        save_file(tensors, partial, metadata)
        os.replace(partial, path)
    except BaseException:  # an interrupt too must not leave gigabytes behind
        os.unlink(partial)
        raise
