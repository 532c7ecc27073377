"""A PostgreSQL server of one's own, for as long as a block lasts."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
INITDB = shutil.which("initdb", path=_PROGRAMS and str(_PROGRAMS.parent))
"""Where PostgreSQL's programs are; None where it is not installed."""


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server that listens on a socket in its own folder; no database's name yet.

    Raises ValueError where PostgreSQL is not installed.
    """
    if INITDB is None:
        raise ValueError("PostgreSQL is not installed: there is no initdb")
    control = str(Path(INITDB).with_name("pg_ctl"))
    with tempfile.TemporaryDirectory(prefix="evenscale-postgres-") as folder:
        data, log = f"{folder}/data", f"{folder}/log"
        _as_server([INITDB, "-D", data, "-A", "trust", "-U", "me", "-E", "UTF8", "-N"], folder)
        options = f"-F -c listen_addresses= -k {folder}"
        _as_server([control, "-D", data, "-l", log, "-w", "-o", options, "start"], folder)
        try:
            yield f"postgresql://me@/NAME?host={folder}"
        finally:
            _as_server([control, "-D", data, "-w", "-m", "immediate", "stop"], folder)


def empty_database(server: str) -> str:
    """The URL of a new database on it, as a user writes it."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server.replace("NAME", "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("NAME", name)


def _as_server(command: list[str], folder: str) -> None:
    """Run one of the server's programs, which refuse to be run by root."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = None if os.geteuid() else "postgres" if "postgres" in names else "nobody"
    if user is not None:
        shutil.chown(folder, user)
    subprocess.run(command, check=True, cwd=folder, user=user, stdout=subprocess.DEVNULL)
