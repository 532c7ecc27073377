"""MLflow's runs: one for each training, in an experiment for the group."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

_NAME = "evenscale.training"  # the tag by which a training is known again


class MLflow:
    """At a tracking URI, as ``training.options.logs.entry.Log`` says.

    Raises ImportError without the library, and its own errors where nothing answers at the URI.
    """

    def __init__(self, place: str, group: str) -> None:
        with _quiet():
            from mlflow import MlflowClient

            self.name = f"mlflow:{place}"
            self._client = MlflowClient(tracking_uri=place)
            found = self._client.get_experiment_by_name(group)
            self._experiment = (
                self._client.create_experiment(group) if found is None else found.experiment_id
            )
            self._open = {}
            self.there: set[str] = set()
            for run in self._runs():
                name = run.data.tags.get(_NAME, "")
                if run.info.status == "RUNNING":
                    self._open[name] = run.info.run_id
                else:
                    self.there.add(name)

    def entry(self, name: str) -> _Entry:
        """The training of that name."""
        with _quiet():
            if name not in self._open:
                run = self._client.create_run(self._experiment, run_name=name, tags={_NAME: name})
                self._open[name] = run.info.run_id
        return _Entry(self._client, self._open[name])

    def _runs(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], page_token=token)
            yield from page
            if not (token := page.token):
                return


class _Entry:
    def __init__(self, client: Any, run: str) -> None:
        self._client, self._run = client, run

    def at(self, epoch: int, numbers: Mapping[str, float]) -> None:
        with _quiet():
            for name, value in numbers.items():
                self._client.log_metric(self._run, name, value, step=epoch)

    def end(
        self, facts: Mapping[str, Any], numbers: Mapping[str, float], failure: str | None = None
    ) -> None:
        with _quiet():
            for name, fact in facts.items():
                self._client.log_param(self._run, name, fact)
            for name, value in numbers.items():
                self._client.log_metric(self._run, name, value)
            if failure is not None:
                self._client.set_tag(self._run, "failure", failure)
            state = "FINISHED" if failure is None else "FAILED"
            self._client.set_terminated(self._run, state)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A block in which neither the library's warnings nor its news reach the screen."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
