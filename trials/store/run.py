"""A run as its driver writes it, trial by trial."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from trials.record import Failure, Outcome, trial_seed
from trials.store.drivers import Driver
from trials.store.header import Header
from trials.store.optuna_trials import (
    Counted,
    Listed,
    Queue,
    redraw,
    set_attr,
    set_value_at,
    stored,
)
from trials.store.view import ANSWER, CHOSEN, OUTCOMES, RESERVED, Proposal, Record, RunView

if TYPE_CHECKING:
    from models.spec import ArchSpec


class Run(RunView):
    """A run to drive. Set `study.sampler` before asking; use as a context manager."""

    def __init__(
        self,
        study: optuna.Study,
        header: Header,
        run_dir: Path | None,
        from_json: Callable[[str], ArchSpec],
        *,
        release: Callable[[], None],
        driver: Driver | None,
    ) -> None:
        super().__init__(study, header, run_dir, from_json)
        self._release = release
        self._driver = driver
        self._looked = False  # for what others left unfinished
        self._queue: Queue = Counted(study) if driver is None else Listed(study)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the directory go; harmless when repeated."""
        if self._driver is not None:
            self._driver.close()
        self._release()

    @property
    def shared(self) -> bool:
        """Whether other drivers may work on the same study."""
        return self._driver is not None

    def started(self) -> int:
        """How many trials were ever begun: the next one's number."""
        return self._queue.started()

    def ask(self) -> optuna.Trial:
        """A new trial, or one that was put back."""
        trial = self._queue.ask()
        if self._driver is not None:
            trial.set_user_attr("driver", self._driver.name)
        return redraw(self.study, stored(self.study, trial.number)) if trial.params else trial

    def ask_again(self, number: int) -> optuna.Trial:
        """An interrupted trial without a spec, to be proposed anew under its own number."""
        return redraw(self.study, stored(self.study, number))

    def put_back(self, trial: optuna.Trial) -> None:
        """Return a trial for which there is no proposal; the next `ask` hands its number out."""
        self._queue.put_back(trial)

    def begin(self, trial: optuna.Trial, proposal: Proposal) -> Record:
        """Store a proposal. Raises ValueError for attributes named like the run's own."""
        clash = sorted(set(proposal.attrs) & set(RESERVED))
        if clash:
            raise ValueError(f"attributes {clash} are the run's own: choose other names")
        seed = proposal.seed
        seed = trial_seed(self.seed, trial.number) if seed is None else seed
        # The spec last: with it, a trial is ready to be trained by whoever resumes the run.
        for key, value in {
            **proposal.attrs,
            "seed": seed,
            "cost": proposal.cost,
            **({"bars": proposal.bars} if proposal.bars else {}),
            "spec": proposal.spec.to_json(),
        }.items():
            trial.set_user_attr(key, value)
        return self.record(stored(self.study, trial.number))

    def note_retry(self, number: int, failure: Failure) -> Record:
        """Store that this failure gets its second chance."""
        return self._note(number, "retried", failure)

    def note_outcome(self, number: int, outcome: Outcome) -> Record:
        """Store what a trial came to, before it is told: what is stored is never trained again."""
        return self._note(number, OUTCOMES[type(outcome)], outcome)

    def tell(self, number: int, values: Sequence[float] | None) -> Record:
        """Finish a trial: COMPLETE with `values` (one per direction), FAIL with None.

        Raises ValueError for NaN or a wrong number of values; the trial then stays unfinished.
        """
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        told = None if values is None else [float(value) for value in values]
        return self._tell(number, state, told)

    def tell_stopped(self, number: int, share: float, values: Sequence[float]) -> Record:
        """Finish a trial whose training was stopped at that share: PRUNED, with the values then.

        Optuna's own samplers learn from it; in a study of several values they do not, because
        Optuna keeps no intermediate ones there.
        """
        if len(values) == 1:
            with self.unless_finished(number):
                set_value_at(self.study, number, round(100 * share), float(values[0]))
        return self._tell(number, TrialState.PRUNED)

    def name_values(self, names: Sequence[str]) -> None:
        """Say what the study's values are, for Optuna's own tools: one name a direction."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self.study.set_metric_names(list(names))

    def name_answer(self, answer: dict[str, Any], chosen: str) -> None:
        """Keep in the study what the search has come to, JSON, in place of an earlier answer.

        ``chosen`` says it in a few words, where Optuna's own tools crown whatever trial came out
        highest.
        """
        self.study.set_user_attr(ANSWER, answer)
        self.study.set_user_attr(CHOSEN, chosen)

    def interrupted(self) -> list[FrozenTrial]:
        """Trials that were begun and not finished, by number, now this driver's to finish.

        Alone on a study, a driver takes all of them; in a shared one, only those whose driver is
        gone. Of one that was killed on another machine that takes two minutes to know: the first
        call leaves such trials for later, a later one waits.
        """
        if self._driver is None:
            return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        orphans = self._driver.orphans(wait=self._looked)
        self._looked = True
        taken = []
        for trial in orphans:
            with self.unless_finished(trial.number):
                set_attr(self.study, trial.number, "driver", self._driver.name)
                taken.append(trial)
        return taken

    @contextmanager
    def unless_finished(self, number: int) -> Iterator[None]:
        """Ends the block where it meets a trial that another driver finished: that one counts.

        Two drivers of a shared study may take over the same trial; Optuna tells the later one by
        an error at any write, because a look at the trial before the write may come too early.
        """
        try:
            yield
        except RuntimeError:  # Optuna's word for a trial that is finished already
            if not self.shared or not stored(self.study, number).state.is_finished():
                raise

    def _note(self, number: int, key: str, what: Outcome) -> Record:
        with self.unless_finished(number):
            set_attr(self.study, number, key, what.to_dict())
        return self.record(stored(self.study, number))

    def _tell(self, number: int, state: TrialState, told: list[float] | None = None) -> Record:
        with self.unless_finished(number):
            self.study.tell(number, told, state=state, skip_if_finished=self.shared)
        return self._keep(stored(self.study, number))
