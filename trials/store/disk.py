"""Files that are there whole or not at all, after a power cut too."""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Put `text` where `path` was; on the disk when this returns.

    Whoever reads meanwhile gets the old text or the new one. Several may write at once, from
    several machines too: the last one's text stands.
    """
    # Not tempfile's: only its owner may read such a file, and a run directory may be a group's.
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with partial.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Bring the names in a directory to the disk, where its file system can."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # what some network file systems say
            raise
    finally:
        os.close(descriptor)
