"""The search itself: what is asked of it, checked, conducted and concluded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from models.cost import cost as price
from models.spec import ArchSpec
from nas import samplers
from nas.belief.scores import FILE, Asked, Scores
from nas.finals import Finals, held
from nas.objective import Objective
from nas.result import Candidate, SearchResult, result
from nas.samplers import SpaceExhausted
from nas.samplers.auto import Auto, conclude
from nas.samplers.base import NetworkSampler
from nas.search.counted import CostOf, cost_facts, counted, named
from nas.space import Space
from nas.stopping import RUNGS, Curves
from trials.conduct import Means, Watch, conduct, processes
from trials.record import Evaluation, Stopped
from trials.store.run import Run
from trials.store.study import open_run
from trials.store.view import Proposal, Record
from trials.workers.pool import Executor

if TYPE_CHECKING:
    from nas.prior import AnyPrior

# (spec, seed), and with stop_early the bars
Evaluate = Callable[..., Evaluation | Stopped | float]

KIND = "nas"


def search(
    space: Space,
    evaluate: Evaluate,
    budget: float = 400e6,
    trials: int = 300,
    sampler: str = "auto",
    aim: str = "reward",
    cost: CostOf = "macs",
    seed: int = 0,
    run_dir: str | Path | None = None,
    resume: bool = False,
    *,
    w: float = -0.07,
    over: float | None = None,
    low: float = 0.5,
    high: float = 1.0,
    limits: Sequence[tuple[CostOf, float]] = (),
    prior: AnyPrior | None = None,
    trust: float | None = None,
    stop_early: bool = False,
    rungs: Sequence[float] = RUNGS,
    near: Sequence[ArchSpec] = (),
    scores: Asked | None = None,
    finals: Finals | None = None,
    against: Callable[[Candidate], dict[str, Any] | None] | None = None,
    workers: int = 1,
    executor: Callable[[], Executor] | None = None,
    storage: str | None = None,
    join: bool = False,
    study: str | None = None,
    minutes: float | None = None,
    settings: dict[str, Any] | None = None,
    progress: Watch | None = None,
) -> SearchResult:
    """Train up to ``trials`` networks of ``space`` and name the best.

    evaluate    (spec, seed) → ``Evaluation`` or accuracy in [0, 1]; raising fails that trial only
    budget      T, in the unit of ``cost``: no T changes which network has the greatest reward, so
                T acts through the window, ``low``·T to ``high``·T, of costs that may be trained
    aim, w, over    as ``nas.objective.Objective``
    sampler     a name of ``nas.samplers.NAMES``
    cost        "macs", "params", "activations", a function of the spec, or a
                ``nas.costing.latency.Latency``, of which the budget is then seconds
    limits      other kinds of cost and the greatest that may be trained of each, in its own unit:
                ``[("params", 5e6), ("activations", 8e6)]``; they act as the window does
    trust       what sampler auto goes by follows from the run's own evidence (``docs/belief.md``).
                A number in (0, 1] overrides that: so many parts of what the evidence says, the
                rest the prior's guess, or what parameters alone say
    stop_early  stop trainings that will lose (``nas.stopping``): ``evaluate(spec, seed, bars)`` is
                then given pairs of a share of the training and the least accuracy to go on with.
                It returns an Evaluation whose ``curve`` has its accuracies at these shares, or
                ends below a bar and returns that as ``trials.record.Stopped``. ``rungs`` are the
                shares, in [0, 1) and rising
    near        networks of the space, in the window or not, from which weights are inherited: the
                search begins with those inside, and sampler auto stays near to all of them
    scores      of untrained networks, by which sampler auto also learns: names, and a function of
                specs that gives them, always the same of a network. It is asked in this process:
                of 64 networks once, then of about ``nas.samplers.auto.SHORTLIST`` before each
                training. What it answers is kept in ``run_dir``
    finals      trains the best networks further at the end, by which one is named (``nas.finals``);
                None: the trials' own accuracies name it
    against     compares the chosen network with others at the end (``nas.search.against``), JSON
    run_dir     where the study and ``baseline.json`` are kept, so that ``resume`` can go on with
                it; None: in memory
    workers     processes that evaluate; 1 runs in this process, more need a picklable evaluate.
                ``executor`` makes another kind of runner, once the arguments have been checked
    study       its name in ``storage``; None: the directory's
    settings    further facts to record with the run, JSON, which must agree on resuming
    progress    makes a context manager that sees each finished record (``trials.progress``)

    Raises ValueError for bad arguments, and where nothing could be trained; ``SearchFailed`` where
    the first candidates all fail.
    """
    objective = Objective(budget, aim, w, over, low, high, named(cost, limits))
    runner = executor or processes(evaluate, workers)
    means = Means(runner, minutes, _scored(progress, objective))
    if stop_early:
        _check_stopping(evaluate, sampler, trust)
    facts = {
        **(settings or {}),
        "kind": KIND,
        "space": space.name,
        "template": space.template.key,
        "resolutions": list(space.resolutions) or None,
        "objective": asdict(objective),
        "sampler": sampler,
        **cost_facts(cost, limits),
        "prior": prior.label if prior else None,
        "trust": trust,
        "scores": list(scores.names) if scores else None,
        "stop_early": stop_early or None,  # as in runs of before it could be asked for
        "seed": seed,
        "trials": trials,
        "minutes": minutes,
    }
    with open_run(
        None if run_dir is None else Path(run_dir),
        facts,
        objective.directions,
        from_json=ArchSpec.from_json,
        resume=resume,
        storage=storage,
        join=join,
        study=study,
    ) as run:
        costs = counted(cost, limits, space, objective, run)
        known = scores and Scores(*scores, None if run.dir is None else run.dir / FILE)
        made = samplers.sampler(
            sampler, space, objective, seed=seed, cost=costs, prior=prior, trust=trust, near=near,
            scores=known,
        )  # fmt: skip
        run.study.sampler = made
        run.name_values(objective.names)
        propose = _propose(made, rungs if stop_early else ())
        conduct(run, propose, _values(objective), trials, means)
        found = result(run.finished(), objective)
        if sampler == "auto":
            rows = samplers.rows_of(space, near)
            said = conclude(run.study, space, objective, costs, prior, trust, known, rows)
            found = result(
                found.trials, objective, said.number, said.basis, expected_front=said.front
            )
        if finals is not None:
            found = _final(found, finals, objective)
        if against is not None:
            found = replace(found, against=against(found.best))
        run.name_answer(found.answer, f"trial {found.best.number}: {found.best.spec.name}")
        if run.dir is not None:
            found.write(run.dir)
        return found


def _final(found: SearchResult, finals: Finals, objective: Objective) -> SearchResult:
    """The outcome once the best networks have been trained further."""
    told = held(finals, found.best.number, found.trials, objective)
    number = told[0].number if told else found.best.number
    return result(found.trials, objective, number, found.basis, told, found.expected_front)


def _scored(progress: Watch | None, objective: Objective) -> Watch | None:
    """``progress`` told what trials are scored by."""
    return progress and partial(progress, what="reward", score=partial(_reward, objective))


def _values(objective: Objective) -> Callable[[Record, Evaluation], list[float]]:
    return lambda record, found: objective.values(found.accuracy, record.cost["cost"])


def _check_stopping(evaluate: Evaluate, sampler: str, trust: float | None) -> None:
    if sampler == "auto" and trust is not None and trust < 1:
        raise ValueError(
            f"trust {trust:g} may name a network whose training loses, which stopping early would "
            "rule out: leave trust out, or do not stop early"
        )
    try:
        inspect.signature(evaluate).bind(None, 0, ())
    except TypeError:
        raise ValueError(
            f"{evaluate!r:.200} cannot be stopped early: it must take (spec, seed, bars)"
        ) from None


def _propose(
    sampler: NetworkSampler, rungs: Sequence[float]
) -> Callable[[optuna.Trial, Run], Proposal | None]:
    candidates, method = sampler.candidates, sampler.method
    space, costing = candidates.space, candidates.costing

    def propose(trial: optuna.Trial, run: Run) -> Proposal | None:
        try:
            for name, values in space.choices.items():
                trial.suggest_categorical(name, values)
        except SpaceExhausted:
            return None
        row = space.indices([trial.params])[0]
        spec = space.spec_of(row)
        paid = {"cost": costing.settle(row), **price(spec)._asdict(), **costing.details(row)}
        attrs = {"refused": candidates.refused} if candidates.refused else {}
        if not rungs:
            return Proposal(spec, paid, attrs)
        curves = Curves(run.study.get_trials(deepcopy=False), candidates.objective, rungs)
        along = isinstance(method, Auto) and method.for_the_front(trial.number)
        return Proposal(spec, paid, attrs, bars=curves.bars(paid["cost"], along))

    return propose


def _reward(objective: Objective, record: Record) -> float:
    if record.evaluation is None:
        return 0.0
    return objective.reward(record.evaluation.accuracy, float(record.cost["cost"]))
