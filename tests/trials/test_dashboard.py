"""Optuna Dashboard shows a run's study: named objectives, multipliers, the one that was chosen."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks.support import postgres
from models.spec import ArchSpec
from nas.search import search
from scaling_search.search import search as scaling_search
from tests.nas.test_samplers import tiny
from tests.support.surface import baseline, evaluate

pytest.importorskip("optuna_dashboard", reason="needs optuna-dashboard, of the extra dev")

LACKING = postgres.INITDB is None or not importlib.util.find_spec("psycopg")
STORAGES = [
    "journal",
    "sqlite",
    pytest.param(
        "postgres",
        marks=[
            pytest.mark.postgres,
            pytest.mark.skipif(LACKING, reason="no PostgreSQL, or psycopg"),
        ],
    ),
]


@pytest.fixture(params=STORAGES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | None]:
    """Of a storage of its own; None for the journal, which is the run directory's."""
    if request.param == "journal":
        yield None
    elif request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'study.db'}"
    else:
        with postgres.server() as server:
            yield postgres.empty_database(server)


def opened(url: str | None, run_dir: Path) -> BaseStorage:
    """As a user gives it to the dashboard."""
    if url is None:
        return JournalStorage(JournalFileBackend(str(run_dir / "journal.log")))
    return RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"))


def shown(storage: BaseStorage) -> tuple[Callable[[str], Any], list[dict[str, Any]]]:
    """What asks the dashboard for a path, and its list of studies."""
    from optuna_dashboard import wsgi

    app = wsgi(storage)

    def ask(path: str) -> Any:
        told: list[str] = []
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "",
            "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.url_scheme": "http",
        }  # fmt: skip
        answered = app(environ, lambda status, headers, *_: told.append(status))
        body = b"".join(answered)
        getattr(answered, "close", lambda: None)()
        assert told == ["200 OK"], (path, told, body[:300])
        return json.loads(body) if path.startswith("/api") else body.decode()

    return ask, ask("/api/studies")["study_summaries"]


def closed(storage: BaseStorage) -> None:
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def of(trial: dict[str, Any], kind: str) -> dict[str, str]:
    """Parameters or user attributes of a trial as the dashboard has them."""
    key = "name" if kind == "params" else "key"
    value = "param_external_value" if kind == "params" else "value"
    return {one[key]: one[value] for one in trial[kind]}


def accuracy(spec: ArchSpec, seed: int) -> float:
    return 0.2 + (int(spec.key[:6], 16) % 500) / 1000


@pytest.mark.parametrize("aim", ["reward", "front"])
def test_a_network_search(aim: str, url: str | None, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = search(tiny(), accuracy, 1e12, 5, "random", aim, low=0, run_dir=run, storage=url)
    storage = opened(url, run)
    ask, studies = shown(storage)
    (study,) = studies
    assert study["study_name"] == "run"
    assert "<html" in ask("/dashboard")
    detail = ask(f"/api/studies/{study['study_id']}")
    names = {"reward": ["reward"], "front": ["accuracy", "cost"]}[aim]
    assert detail["objective_names"] == names
    assert [len(trial["values"]) for trial in detail["trials"]] == [len(names)] * 5
    assert of(detail["trials"][0], "params").keys() == tiny().choices.keys()
    answer = storage.get_study_user_attrs(study["study_id"])
    assert any(found.best.spec.name in str(value) for value in answer.values())
    closed(storage)


def test_a_scaling_search_shows_its_multipliers(url: str | None, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = scaling_search(baseline(), evaluate, 2.0, 6, run_dir=run, storage=url, phis=(0.0,))
    storage = opened(url, run)
    ask, studies = shown(storage)
    (study,) = studies
    detail = ask(f"/api/studies/{study['study_id']}")
    assert detail["objective_names"] == ["accuracy"]
    nominal = {tuple(point.nominal) for point in found.grid.points}
    for trial in detail["trials"]:
        params = of(trial, "params")
        assert params.keys() == {"alpha", "beta", "gamma", "repeat"}
        told = (float(params[name]) for name in ("alpha", "beta", "gamma"))
        assert any(one == pytest.approx(other) for one in [tuple(told)] for other in nominal)
        assert "realised" in of(trial, "user_attrs")
    closed(storage)
    again = scaling_search(
        baseline(), evaluate, 2.0, 8, run_dir=run, storage=url, phis=(0.0,), resume=True
    )
    whole = scaling_search(baseline(), evaluate, 2.0, 8, phis=(0.0,))
    assert again.to_dict() == whole.to_dict()  # no digit of a multiplier was lost
