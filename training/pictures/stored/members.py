"""A file inside a tar archive, by a path of its own: ``DIR/0001.tar@OFFSET+LENGTH:NAME``.

Archives that are not compressed hold files as they are, so that any of them can be read alone,
whatever comes before it. Whoever opens a picture may give such a path in place of a file's.
"""

from __future__ import annotations

import io
import os
import re
from typing import BinaryIO, NamedTuple

_MEMBER = re.compile(r"(?s)(.+\.tar)@(\d+)\+(\d+):.*")


class Member(NamedTuple):
    """Where a file lies: its archive, and its bytes in it."""

    archive: str
    offset: int
    length: int


def path_of(archive: str, offset: int, length: int, name: str) -> str:
    """What the other functions of this module take."""
    return f"{archive}@{offset}+{length}:{name}"


def member(path: str) -> Member | None:
    """What ``path_of`` was given; None for the path of an ordinary file."""
    found = _MEMBER.fullmatch(path)
    if found is None or os.path.lexists(path):
        return None
    return Member(found[1], int(found[2]), int(found[3]))


def opened(path: str) -> BinaryIO:
    """The file, or the member of an archive, for reading. Raises OSError as ``open`` does, and
    where the archive has become shorter."""
    found = readable(path)
    return open(found, "rb") if isinstance(found, str) else found


def readable(path: str) -> str | io.BytesIO:
    """What Pillow opens: the path of a file, or the bytes of a member. Raises OSError as
    ``opened`` does for a member."""
    found = member(path)
    if found is None:
        return path
    with open(found.archive, "rb") as archive:
        archive.seek(found.offset)
        content = archive.read(found.length)
    if len(content) < found.length:
        raise OSError("its archive has become shorter")
    return io.BytesIO(content)


def length(path: str) -> int:
    """Bytes. Raises OSError where there is no such file or archive."""
    found = member(path)
    if found is None:
        return os.path.getsize(path)
    os.stat(found.archive)
    return found.length
