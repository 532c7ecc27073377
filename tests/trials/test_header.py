"""run.json: whole for every reader while drivers join, and not written where nothing changes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.trials_helpers import SETTINGS, toy_run
from tests.trials.test_kill import fork
from trials.store import disk
from trials.store.header import Header, new_header, read_header, write_header


def header(trials: int) -> Header:
    """The more trials, the longer: a short text over a long one would be torn."""
    settings = {**SETTINGS, "trials": trials, "padding": "x" * 1000 * trials}
    return new_header(settings, ["maximize"], "s", None)


def test_a_writer_that_is_overtaken_still_writes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one writes from beginning to end while the first is about to put its file there."""
    sync, told = os.fsync, []

    def overtaken(descriptor: int) -> None:
        if not told:
            told.append(descriptor)
            write_header(tmp_path, header(2))
            assert read_header(tmp_path) == header(2)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", overtaken)
    write_header(tmp_path, header(1))
    assert read_header(tmp_path) == header(1)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_threads_write_while_others_read(tmp_path: Path) -> None:
    texts = [header(trials) for trials in (1, 5, 9)]
    write_header(tmp_path, texts[0])
    begin = threading.Barrier(6)

    def write(mine: Header) -> None:
        begin.wait()
        for _ in range(20):
            write_header(tmp_path, mine)

    def read() -> None:
        begin.wait()
        for _ in range(100):
            assert read_header(tmp_path) in texts

    with ThreadPoolExecutor(6) as pool:
        begun = [pool.submit(write, text) for text in texts] + [pool.submit(read) for _ in texts]
        for one in begun:
            one.result()
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_processes_join_at_once(tmp_path: Path) -> None:
    run_dir, url = tmp_path / "s", f"sqlite:///{tmp_path}/study.db?timeout=60"
    toy_run(run_dir, storage=url, join=True).close()  # SQLite's tables can be made by one only
    (run_dir / "run.json").unlink()
    gate = (tmp_path / "gate").open("w")
    fcntl.flock(gate, fcntl.LOCK_EX)

    def join(number: int) -> None:
        with (tmp_path / "gate").open() as closed:
            fcntl.flock(closed, fcntl.LOCK_SH)
        for trials in range(10 * number, 10 * number + 3):
            settings = {**SETTINGS, "trials": trials}
            with toy_run(run_dir, storage=url, join=True, settings=settings) as run:
                assert run.settings == settings

    children = [fork(partial(join, number)) for number in range(4)]
    fcntl.flock(gate, fcntl.LOCK_UN)
    gate.close()
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert read_header(run_dir).settings["trials"] in [10 * number + 2 for number in range(4)]
    assert sorted(path.name for path in run_dir.iterdir()) == ["run.json", "run.lock"]


def test_what_changes_nothing_is_not_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    for options in ({}, {"storage": url, "join": True}):
        run_dir = tmp_path / str(bool(options))
        toy_run(run_dir, **options).close()
        before = (run_dir / "run.json").stat()
        for _ in range(2):
            toy_run(run_dir, **(options or {"resume": True})).close()
        after = (run_dir / "run.json").stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        more = {**options, "resume": True, "settings": {**SETTINGS, "trials": 13}}
        toy_run(run_dir, **more).close()
        assert read_header(run_dir).settings["trials"] == 13


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_failure_leaves_the_old_one_and_nothing_else(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_header(tmp_path, header(1))

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os if moment == "fsync" else Path, moment, fail)
    with pytest.raises(OSError, match="No space left"):
        write_header(tmp_path, header(2))
    assert read_header(tmp_path) == header(1)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_file_then_name_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        said.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        said.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    disk.replace_text(tmp_path / "text", "new")
    assert said == ["file", "name", "directory"]


@pytest.mark.parametrize(("code", "passes"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_file_systems_that_sync_no_directory(
    code: int, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    if passes:
        disk.sync_directory(tmp_path)
    else:
        with pytest.raises(OSError, match="Input/output"):
            disk.sync_directory(tmp_path)


def test_a_group_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_header(tmp_path, header(1))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run.json").stat().st_mode) == 0o640
    assert json.loads((tmp_path / "run.json").read_text())["schema"] == 1
