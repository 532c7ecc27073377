"""MnasNet's controller: its probabilities are those it samples by, and it learns."""

from __future__ import annotations

import numpy as np
import torch

from nas.candidates import Candidates
from nas.objective import Objective
from nas.samplers.controller import Controller, Policy
from nas.space import space
from tests.nas.test_samplers import create, step, tiny


def test_rows_are_written_with_the_probability_that_the_policy_states() -> None:
    torch.manual_seed(0)
    policy = Policy([2, 3])
    with torch.no_grad():
        for head in policy.heads:
            head.weight *= 10  # far from uniform
    rows = policy.write(20_000, np.random.default_rng(0))
    everything = torch.tensor(list(np.ndindex(2, 3)))
    with torch.no_grad():
        stated = policy(everything)[0].exp().numpy()
    assert abs(stated.sum() - 1) < 1e-5
    seen = np.array([(rows == row.numpy()).all(1).mean() for row in everything])
    # A frequency of 20,000 draws has a standard deviation of at most 0.0036.
    assert np.abs(seen - stated).max() < 0.018


def test_it_learns_what_is_rewarded() -> None:
    """Rewarded for the last value of every choice, it comes to write mostly those."""
    searched = tiny(3)
    controller = Controller(Candidates(searched, Objective(1e9, low=0.0)), seed=0)
    rng = np.random.default_rng(0)
    before = controller._policy.write(500, rng)
    for _ in range(30):
        rows = controller._policy.write(10, rng)
        controller._learn(rows, (rows / (searched.sizes - 1)).mean(1))
    after = controller._policy.write(500, rng)
    top = searched.sizes - 1
    assert (after / top).mean() > (before / top).mean() + 0.2


def test_what_it_keeps_between_trials_changes_nothing() -> None:
    """Replaying the whole study gives the proposal that learning on the way gives."""
    searched, objective = space("mbconv"), Objective(400e6)
    study = create("controller", searched, objective, seed=4)
    for _ in range(25):
        step(study, searched, objective)
    fresh = create("controller", searched, objective, seed=4)
    for trial in study.get_trials():
        fresh.add_trial(trial)
    assert step(study, searched, objective) == step(fresh, searched, objective)
