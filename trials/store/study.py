"""Open a run directory and the Optuna study in it: create, resume, join, read.

A directory holds run.json (which search this is), journal.log (the study) and run.lock (one
driver at a time). With `storage` the study lives in that database instead.
"""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage, get_storage
from sqlalchemy.engine import make_url

from trials.store.drivers import Driver
from trials.store.header import (
    FILE_NAME,
    Direction,
    Header,
    check_free,
    check_same_search,
    header_from_dict,
    new_header,
    read_header,
    write_header,
)
from trials.store.journal import open_journal, read_journal
from trials.store.lock import DirectoryLock
from trials.store.run import Run
from trials.store.view import Proposal, Record, RunView

if TYPE_CHECKING:
    from models.spec import ArchSpec

__all__ = [
    "Proposal", "Record", "Run", "RunView", "header_of", "not_dead", "open_run", "read_run",
    "stored_settings",
]  # fmt: skip

JOURNAL_NAME = "journal.log"
_TRIES = 5  # at opening a database that other drivers are just filling with tables
_ATTR = "run"  # the study's own copy of run.json, for databases that several directories share


def open_run(
    run_dir: Path | None,
    settings: dict[str, Any],
    directions: Sequence[Direction],
    *,
    from_json: Callable[[str], ArchSpec],
    resume: bool = False,
    storage: str | None = None,
    join: bool = False,
    study: str | None = None,
) -> Run:
    """Create a run, or with `resume` go on with one; `run_dir` None keeps it in memory.

    `settings` (JSON, with "kind" and "seed") say which search this is: all of them must agree on
    resuming, but for `trials.store.header.MAY_CHANGE`, which are stored anew.
    `directions` are "maximize" or "minimize", one per value. `storage` is an Optuna URL
    (sqlite:///…, postgresql://…), its study named `study`, or like the directory: a part of a
    greater run says which run it is a part of. `join` creates or joins a study in it that several
    drivers share. Without it the driver is taken to be the only one.

    Raises ValueError, with the remedy, where the directory is driven by another process, holds
    a run (without `resume`), holds none (with it), or belongs to another search.
    """
    if run_dir is None and (storage is not None or resume or join):
        raise ValueError("a run in memory cannot be resumed or shared: give a run directory")
    if join and storage is None:
        raise ValueError("a run directory has one driver: to share the study, give a --storage URL")
    name = study or ("memory" if run_dir is None else run_dir.resolve().name)
    header = new_header(settings, directions, name, _public_url(storage))
    with ExitStack() as undo:
        if run_dir is not None:
            if resume:
                read_header(run_dir)  # a mistyped path must not leave a directory behind
            undo.callback(_hold(run_dir, shared=join).release)
            header = _settle_directory(run_dir, header, resume or join)
        own = _study(run_dir, header, storage, resume=resume or join)
        if storage is not None:
            _settle_study(own, header)
        driver = Driver(own) if join else None
        return Run(own, header, run_dir, from_json, release=undo.pop_all().close, driver=driver)


def read_run(
    run_dir: Path, *, from_json: Callable[[str], ArchSpec], storage: str | None = None
) -> RunView:
    """Look at a run, finished or being driven: takes no lock and writes nothing.

    `storage` need only be given where the run's database URL has a password, which run.json
    does not keep, and where the run has no directory here, as for `header_of`. Raises ValueError
    where there is no run or no study in it yet.
    """
    header = header_of(run_dir, storage)
    if header.storage is None:
        backend: BaseStorage = read_journal(run_dir / JOURNAL_NAME)
    else:
        backend = _database(_readable_url(header.storage, storage))
    try:
        study = optuna.load_study(study_name=header.name, storage=backend)
    except KeyError:
        raise ValueError(f"{run_dir} holds no study yet: its search is just starting") from None
    return RunView(study, header, run_dir, from_json)


@contextmanager
def not_dead(run_dir: Path) -> Iterator[None]:
    """A block that leaves no new directory behind where it fails before the first trial."""
    new = not run_dir.exists()
    try:
        yield
    except Exception:
        if new and not _has_trials(run_dir):
            shutil.rmtree(run_dir, ignore_errors=True)
        raise


def _has_trials(run_dir: Path) -> bool:
    if not (run_dir / JOURNAL_NAME).exists():
        return (run_dir / FILE_NAME).exists()  # its study is in a database
    study = optuna.load_study(
        study_name=read_header(run_dir).name, storage=read_journal(run_dir / JOURNAL_NAME)
    )
    return bool(study.get_trials(deepcopy=False))


def stored_settings(
    run_dir: Path, storage: str | None = None, study: str | None = None
) -> dict[str, Any]:
    """The settings of the run in `run_dir`, or of a study in `storage`, of that name or else the
    directory's, that another directory began; {} where there is none yet. Writes nothing.

    Raises ValueError for a damaged header and a storage that cannot be opened.
    """
    if (run_dir / FILE_NAME).exists():
        return read_header(run_dir).settings
    if storage is None:
        return {}
    name = study or run_dir.resolve().name
    try:
        found = optuna.load_study(study_name=name, storage=_database(storage))
    except KeyError:
        return {}
    stored = found.user_attrs.get(_ATTR)
    where = f"study {name!r} in {_public_url(storage)}"
    return {} if stored is None else header_from_dict(stored, where).settings


def header_of(run_dir: Path, storage: str | None = None) -> Header:
    """What the run in `run_dir` is; where there is no such directory, the study in `storage` of its
    name, which another machine's directory has.

    Raises ValueError where there is neither.
    """
    if storage is None or run_dir.exists():
        return read_header(run_dir)
    where = f"study {run_dir.name!r} in {_public_url(storage)}"
    try:
        found = optuna.load_study(study_name=run_dir.name, storage=_database(storage))
    except KeyError:
        raise ValueError(f"{run_dir} is no directory, and there is no {where}") from None
    return header_from_dict(found.user_attrs.get(_ATTR), where)


def _hold(run_dir: Path, *, shared: bool) -> DirectoryLock:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        return DirectoryLock(run_dir, shared=shared)
    except OSError as error:
        raise ValueError(f"cannot use {run_dir} as a run directory: {error}") from error


def _settle_directory(run_dir: Path, new: Header, resume: bool) -> Header:
    """Check run.json against what is asked for, and write it where that changes it."""
    exists = (run_dir / FILE_NAME).exists()
    if not resume:
        check_free(run_dir)
    if not exists and (run_dir / JOURNAL_NAME).exists():
        raise ValueError(f"{run_dir} holds a journal without {FILE_NAME}: choose another --out")
    old = read_header(run_dir) if exists else None
    header = new if old is None else check_same_search(old, new, str(run_dir))
    if header != old:
        write_header(run_dir, header)
    return header


def _settle_study(study: optuna.Study, header: Header) -> None:
    """The same check against the study's own copy: another directory may have created it."""
    stored = study.user_attrs.get(_ATTR)
    if stored is None:
        study.set_user_attr(_ATTR, header.to_dict())
        return
    where = f"study {header.name!r} in {header.storage}"
    check_same_search(header_from_dict(stored, where), header, where)


def _study(
    run_dir: Path | None, header: Header, storage: str | None, *, resume: bool
) -> optuna.Study:
    if storage is not None:
        backend = _database(storage)
        if not resume and header.name in optuna.get_all_study_names(backend):
            raise ValueError(
                f"{header.storage} already holds a study {header.name!r}: "
                "pass --resume or --join, or another --out"
            )
    elif run_dir is not None:
        backend = open_journal(run_dir / JOURNAL_NAME)
    else:
        backend = InMemoryStorage()
    with _quiet():
        return optuna.create_study(
            storage=backend,
            study_name=header.name,
            directions=header.directions,
            load_if_exists=True,  # a run killed between run.json and its study has none yet
        )


def _database(url: str, tries: int = _TRIES) -> BaseStorage:
    try:
        # Firewalls cut connections that are idle during a training: each is tried before its use.
        storage = RDBStorage(_with_driver(url), engine_kwargs={"pool_pre_ping": True})
    except Exception as error:  # drivers and SQLAlchemy raise what they like
        # Of drivers that meet an empty database at one moment, one makes each of its tables.
        if tries > 1 and "already exists" in str(error):
            return _database(url, tries - 1)
        raise ValueError(f"cannot open storage {_public_url(url)}: {_told(error)}") from error
    weakref.finalize(storage, storage.engine.dispose)  # Optuna leaves the connections open
    return get_storage(storage)


def _told(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, ImportError) and "psycopg" in str(error):
        return f"{error}: pip install 'evenscale[postgres]'"
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _with_driver(url: str) -> str:
    """A plain postgresql:// URL means the driver of the extra "postgres" in any SQLAlchemy."""
    parsed = make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


def _public_url(url: str | None) -> str | None:
    """The URL fit to be stored: no password, and a SQLite path that holds in any directory."""
    if url is None:
        return None
    try:
        parsed = make_url(url)
    except Exception as error:
        raise ValueError(f"{url!r} is not a storage URL such as sqlite:///study.db") from error
    if parsed.drivername.startswith("sqlite") and parsed.database:
        parsed = parsed.set(database=os.path.abspath(parsed.database))
    return parsed.render_as_string(hide_password=True)


def _readable_url(stored: str, given: str | None) -> str:
    if given is not None and _public_url(given) != stored:
        raise ValueError(f"the run's study is in {stored}, not in {_public_url(given)}")
    if given is None and make_url(stored).password is not None:
        raise ValueError(f"the run's study is in {stored}: give --storage with the password")
    return given or stored


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna announces each new study on stderr; a command line announces its own."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
