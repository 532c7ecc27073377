"""Run directories: who may open which, what is stored, what is read."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from tests.support.trials_helpers import SETTINGS, Toy, objective, propose, stamped, toy_run
from trials.loop import run_trials
from trials.record import trial_seed
from trials.store.header import read_header
from trials.store.journal import cut_torn_tail
from trials.store.study import Proposal, Run, read_run, stored_settings
from trials.workers.pool import InProcess


def advance(run: Run, trials: int) -> None:
    run_trials(run, propose, InProcess(stamped), objective, trials)


def test_trials_do_not_import_torch() -> None:
    code = (
        "import sys, trials.loop, trials.workers.pool, trials.store.study, trials.progress\n"
        "sys.exit(any(name.split('.')[0] in ('torch', 'pandas') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_run_is_stored_and_read(tmp_path: Path) -> None:
    run_dir = tmp_path / "runs" / "one"
    with toy_run(run_dir) as run:
        advance(run, 3)
        written = run.finished()
    view = read_run(run_dir, from_json=Toy.from_json)
    assert view.finished() == written
    assert view.settings == SETTINGS
    assert view.seed == 7
    first = written[0]
    assert (first.number, first.state, first.attrs) == (0, "complete", {"note": "n"})
    assert first.spec.depth == first.params["depth"]
    assert first.cost == {"macs": first.params["depth"] * 10}
    assert first.seed == trial_seed(7, 0)
    assert first.evaluation is not None
    assert first.values == (first.evaluation.accuracy,)
    assert (first.failure, first.retried) == (None, None)
    header = json.loads((run_dir / "run.json").read_text())
    assert header["settings"] == SETTINGS
    assert header["versions"]["optuna"] == optuna.__version__


def test_plain_optuna_reads_the_study(tmp_path: Path) -> None:
    with toy_run(tmp_path / "one") as run:
        advance(run, 2)
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "one" / "journal.log"))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.load_study(study_name="one", storage=storage)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 2
    assert {"spec", "seed", "cost", "evaluation"} <= set(study.trials[0].user_attrs)


def test_a_view_follows_the_driver(tmp_path: Path) -> None:
    with toy_run(tmp_path) as run:
        advance(run, 1)
        view = read_run(tmp_path, from_json=Toy.from_json)
        assert len(view.finished()) == 1
        advance(run, 3)
        assert [record.number for record in view.finished()] == [0, 1, 2]


def test_a_run_in_memory() -> None:
    with toy_run(None) as run:
        advance(run, 3)
        assert len(run.finished()) == 3
    with pytest.raises(ValueError, match="in memory"):
        toy_run(None, resume=True)


def test_creating_needs_a_free_directory(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()  # not a run: no matter
    toy_run(tmp_path).close()
    with pytest.raises(ValueError, match="--resume"):
        toy_run(tmp_path)
    toy_run(tmp_path, resume=True).close()
    (tmp_path / "run.json").unlink()
    with pytest.raises(ValueError, match="journal without"):
        toy_run(tmp_path)


def test_resuming_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no run"):
        toy_run(tmp_path / "typo", resume=True)
    assert not (tmp_path / "typo").exists()
    with pytest.raises(ValueError, match="holds no run"):
        read_run(tmp_path, from_json=Toy.from_json)


def test_resuming_needs_the_same_search(tmp_path: Path) -> None:
    toy_run(tmp_path).close()
    for key, value in (("space", "vast"), ("seed", 8), ("kind", "other")):
        with pytest.raises(ValueError, match=f"another search: its {key} is .*, not {value!r}"):
            toy_run(tmp_path, resume=True, settings={**SETTINGS, key: value})
    with toy_run(tmp_path, resume=True, settings={**SETTINGS, "trials": 99}) as run:
        assert run.settings["trials"] == 99
    assert read_header(tmp_path).settings["trials"] == 99


def test_of_objects_the_digest_is_named(tmp_path: Path) -> None:
    """Resumed on other pictures, a run says so in one line, whatever else differs with them."""
    pictures = {"name": "cats", "digest": "0a1b", "classes": [str(i) for i in range(1000)]}
    toy_run(tmp_path, settings={**SETTINGS, "data": pictures, "source": "/a"}).close()
    others = {**pictures, "digest": "ffff", "classes": ["0", "1"]}
    with pytest.raises(ValueError, match="its data digest is '0a1b', not 'ffff'; repeat"):
        toy_run(tmp_path, resume=True, settings={**SETTINGS, "data": others, "source": "/a"})
    moved = {**SETTINGS, "data": pictures, "source": "/b", "later": None}
    toy_run(tmp_path, resume=True, settings=moved).close()
    with pytest.raises(ValueError, match="another search: its later is None, not 'asked for'"):
        toy_run(tmp_path, resume=True, settings={**moved, "later": "asked for"})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seed": 1}, "kind"),
        ({"kind": "x"}, "seed"),
        ({"kind": "x", "seed": True}, "seed"),
        ({"kind": "x", "seed": 1, "y": object()}, "JSON"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        toy_run(tmp_path, settings=settings)


def test_a_directory_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot use"):
        toy_run(tmp_path / "file")


def test_one_driver_at_a_time(tmp_path: Path) -> None:
    with toy_run(tmp_path), pytest.raises(ValueError, match=f"pid {os.getpid()}") as caught:
        toy_run(tmp_path, resume=True)
    assert "\n" not in str(caught.value)
    toy_run(tmp_path, resume=True).close()


def test_a_failed_opening_lets_go(tmp_path: Path) -> None:
    toy_run(tmp_path).close()
    with pytest.raises(ValueError, match="another search"):
        toy_run(tmp_path, resume=True, settings={**SETTINGS, "seed": 8})
    with (tmp_path / "run.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_reserved_attributes_are_refused() -> None:
    with toy_run(None) as run, pytest.raises(ValueError, match="cost"):
        run.begin(run.ask(), Proposal(Toy(1, 1.0), attrs={"cost": 1}))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b"", 0),
        (b'{"a":1', 0),
        (b'{"a":1}\n', 8),
        (b'{"a":1}\n{"b"', 8),
        (b'{"a":1}\n{"b":2}\n', 16),
        (b'{"a":1}\n\0\0\0\0', 8),
        (b'{"a":1}\n\0\0\0"}\n', 8),
        (b'{"a":1}\n\n', 8),
        (b'{"a":1}\n\0\0\0\n{"b":2}\n', 8),
        (b'{"a":1}\n\0\0\0\n{"b":2}\n\0\0\n', 8),
        (b'\0\n{"user_attr":{"evaluation":1}}\n{"b"', 33),
    ],
)
def test_torn_tails_are_cut(text: bytes, kept: int, tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.write_bytes(text)
    assert cut_torn_tail(path) == len(text) - kept
    assert path.read_bytes() == text[:kept]


def test_damage_in_the_middle_is_said(tmp_path: Path) -> None:
    with toy_run(tmp_path) as run:
        advance(run, 1)
    path = tmp_path / "journal.log"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:10] + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"journal\.log is damaged"):
        toy_run(tmp_path, resume=True)


def test_stale_locks_of_other_tools_do_not_delay(tmp_path: Path) -> None:
    toy_run(tmp_path).close()
    (tmp_path / "journal.log.lock").touch()
    begun = time.monotonic()
    with toy_run(tmp_path, resume=True) as run:
        advance(run, 1)
    assert time.monotonic() - begun < 10  # Optuna waits 30 s for a stale lock


def test_a_killed_creation_is_resumed(tmp_path: Path) -> None:
    toy_run(tmp_path).close()
    (tmp_path / "journal.log").unlink()  # killed after run.json was written
    with pytest.raises(ValueError, match="does not exist"):
        read_run(tmp_path, from_json=Toy.from_json)
    (tmp_path / "journal.log").touch()
    with pytest.raises(ValueError, match="no study yet"):
        read_run(tmp_path, from_json=Toy.from_json)
    with toy_run(tmp_path, resume=True) as run:
        advance(run, 1)


def test_a_study_in_a_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    with toy_run(tmp_path / "a", storage=url) as run:
        advance(run, 2)
    assert not (tmp_path / "a" / "journal.log").exists()
    assert len(read_run(tmp_path / "a", from_json=Toy.from_json).finished()) == 2
    with pytest.raises(ValueError, match="already holds a study 'a'"):
        toy_run(tmp_path / "elsewhere" / "a", storage=url)
    with pytest.raises(ValueError, match="storage is"):
        toy_run(tmp_path / "a", resume=True)
    with toy_run(tmp_path / "a", storage=url, resume=True) as run:
        advance(run, 3)
        assert [record.number for record in run.finished()] == [0, 1, 2]


def test_passwords_are_not_kept(tmp_path: Path) -> None:
    from trials.store.study import _public_url, _readable_url

    url = "postgresql://me:secret@host/db"
    stored = _public_url(url)
    assert stored == "postgresql://me:***@host/db"
    with pytest.raises(ValueError, match="password"):
        _readable_url(stored, None)
    assert _readable_url(stored, url) == url
    with pytest.raises(ValueError, match="not in"):
        _readable_url(stored, "postgresql://me:secret@host/other")
    with pytest.raises(ValueError, match="not a storage URL"):
        toy_run(tmp_path / "x", storage="nonsense")


def test_drivers_share_a_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    with (
        toy_run(tmp_path / "here" / "s", storage=url, join=True) as one,
        toy_run(tmp_path / "there" / "s", storage=url, join=True) as two,
        toy_run(tmp_path / "there" / "s", storage=url, join=True) as three,
    ):
        advance(one, 2)
        advance(two, 4)
        assert two.interrupted() == []
        assert len(three.finished()) == 4
        with pytest.raises(ValueError, match="driven by another"):
            toy_run(tmp_path / "here" / "s", storage=url, resume=True)
        with pytest.raises(ValueError, match="another search"):
            other = {**SETTINGS, "space": "vast"}
            toy_run(tmp_path / "third" / "s", storage=url, join=True, settings=other)
    with pytest.raises(ValueError, match="--storage"):
        toy_run(tmp_path / "x", join=True)


def test_parts_of_runs_in_one_storage_are_told_apart_by_their_studies_names(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    for run in ("a", "b"):
        settings = {**SETTINGS, "space": run}
        place = tmp_path / run / "part"
        toy_run(place, storage=url, settings=settings, study=f"{run}/part").close()
        toy_run(place, storage=url, settings=settings, study=f"{run}/part", resume=True).close()
    assert sorted(optuna.get_all_study_names(url)) == ["a/part", "b/part"]
    for run in ("a", "b"):
        elsewhere = tmp_path / "there" / run / "part"
        assert stored_settings(elsewhere, url, f"{run}/part")["space"] == run
        assert stored_settings(elsewhere, url) == {}
        assert read_run(tmp_path / run / "part", from_json=Toy.from_json).settings == {
            **SETTINGS, "space": run,
        }  # fmt: skip


def test_a_trial_put_back_keeps_its_number(tmp_path: Path) -> None:
    for storage in (None, f"sqlite:///{tmp_path}/study.db"):
        with toy_run(tmp_path / str(bool(storage)), storage=storage) as run:
            trial = run.ask()
            depth = trial.suggest_int("depth", 1, 9)
            run.put_back(trial)
            assert run.started() == 0
            assert run.interrupted() == []
            again = run.ask()
            assert again.number == 0
            assert again.suggest_int("depth", 1, 9) == depth
