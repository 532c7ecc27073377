"""How long the default sampler thinks about one proposal.

    python benchmarks/timing/proposal_time.py

Processor seconds on one thread, medians of three proposals, in studies of 300 and 3,000 finished
trials of the space ``mnasnet`` whose accuracies are a smooth function of the costs.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from threadpoolctl import threadpool_limits

from nas.candidates import Candidates
from nas.objective import Objective
from nas.samplers import outcome, sampler
from nas.space import Space, space


def study_of(searched: Space, objective: Objective, trials: int) -> optuna.Study:
    """A study in which that many networks were trained."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = Candidates(searched, objective).draw(trials, np.random.default_rng(0))
    costs = searched.costs(rows)
    accuracies = 0.5 + 0.02 * np.log(costs.params / costs.activations**0.5)
    menus: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(v) for name, v in searched.choices.items()
    }
    study = optuna.create_study(
        directions=objective.directions, sampler=sampler("auto", searched, objective, seed=0)
    )
    study.add_trials(
        optuna.trial.create_trial(
            params=searched.values(row),
            distributions=menus,
            values=objective.values(float(accuracy), float(cost)),
            user_attrs=outcome(float(accuracy), float(cost)),
        )
        for row, accuracy, cost in zip(rows, accuracies, costs.macs, strict=True)
    )
    return study


def main() -> None:
    """Print one row for each aim and size."""
    searched = space("mnasnet")
    threadpool_limits(limits=1)
    print("| aim | trials | seconds a proposal |\n|---|---|---|")
    for aim in ("reward", "front"):
        for trials in (300, 3000):
            study = study_of(searched, Objective(400e6, aim), trials)
            took = []
            for _ in range(3):
                start = time.process_time()
                trial = study.ask()
                for name, values in searched.choices.items():
                    trial.suggest_categorical(name, values)
                took.append(time.process_time() - start)
            print(f"| {aim} | {trials} | {statistics.median(took):.2f} |", flush=True)


if __name__ == "__main__":
    main()
