"""Every sampler: only admissible networks, none twice, the same ones on a replay."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from models.cost import cost
from models.families import family
from models.plan import plan
from models.spec import ArchSpec, StageSpec
from nas.candidates import Candidates
from nas.objective import Objective
from nas.samplers import NAMES, SpaceExhausted, sampler, tell
from nas.space import Choices, Space, StageChoices, space

Storage = InMemoryStorage | None
QUICK = tuple(name for name in NAMES if name != "gp")


def tiny(stages: int = 2) -> Space:
    """18 candidates a stage; a skip over a stride of 2 does nothing, so rows share networks."""

    def stage(op: str, l: int, skip: str, channels: int) -> StageSpec:  # noqa: E741
        return StageSpec("conv" if op == "conv" else "mbconv", l, channels, 3, 2,
                         6 if op == "wide" else 1, skip=skip)  # fmt: skip

    menu = {"op": ("conv", "thin", "wide"), "l": (1, 2, 3), "skip": ("none", "identity")}
    template = replace(family("mobilenet-v2"), resolution=32, classes=10, head=0)
    made = (StageChoices(menu, partial(stage, channels=c)) for c in (16, 24, 32)[:stages])
    return Space("tiny", template, tuple(made))


def accuracy(choices: Choices, searched: Space) -> float:
    """Smooth, and the same for rows that make the same network."""
    cost = searched.costs([choices])
    return 0.5 + 0.02 * float(np.log(cost.params[0])) - 0.01 * float(np.log(cost.activations[0]))


def create(
    name: str, searched: Space, aim: Objective, seed: int = 0, storage: Storage = None
) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = sampler(name, searched, aim, seed=seed)
    return optuna.create_study(
        study_name="s", storage=storage, directions=aim.directions, sampler=made
    )


def ask(study: optuna.Study, searched: Space) -> tuple[optuna.Trial, Choices]:
    trial = study.ask()
    return trial, {n: trial.suggest_categorical(n, v) for n, v in searched.choices.items()}


def step(study: optuna.Study, searched: Space, aim: Objective) -> Choices:
    """One trial; every seventh fails."""
    trial, choices = ask(study, searched)
    if trial.number % 7 == 6:
        study.tell(trial, state=TrialState.FAIL)
    else:
        cost = float(searched.costs([choices]).macs[0])
        tell(study, trial, aim, accuracy(choices, searched), cost)
    return choices


def middle(searched: Space, aim: str = "reward") -> Objective:
    """A window that about half of the candidates are in."""
    costs = searched.costs(searched.random(500, np.random.default_rng(0))).macs
    low, high = np.quantile(costs, [0.3, 0.8])
    return Objective(float(high), aim, low=float(low / high))


@pytest.mark.parametrize("aim", ["reward", "hard", "front"])
@pytest.mark.parametrize("name", QUICK)
def test_admissible_new_and_reproducible(name: str, aim: str) -> None:
    searched = tiny(3)
    objective = middle(searched, aim)
    runs = []
    for _ in range(2):
        study = create(name, searched, objective, seed=3)
        runs.append([step(study, searched, objective) for _ in range(24)])
    assert runs[0] == runs[1]
    costs = searched.costs(runs[0]).macs.astype(float)
    assert np.all(objective.admits(costs))
    assert len({plan(searched.spec(choices)) for choices in runs[0]}) == 24


@pytest.mark.slow
@pytest.mark.parametrize("aim", ["reward", "front"])
def test_optunas_gp(aim: str) -> None:
    searched = tiny(3)
    objective = middle(searched, aim)
    study = create("gp", searched, objective)
    found = [step(study, searched, objective) for _ in range(14)]
    assert np.all(objective.admits(searched.costs(found).macs.astype(float)))
    assert len({plan(searched.spec(choices)) for choices in found}) == 14


@pytest.mark.parametrize("name", QUICK)
def test_a_resumed_search_decides_the_same(name: str) -> None:
    """A new sampler on a copy of the study, as after a kill, proposes what the old one would."""
    searched = space("mbconv")
    objective = Objective(400e6)
    one, other = InMemoryStorage(), InMemoryStorage()
    study = create(name, searched, objective, seed=1, storage=one)
    for _ in range(31):
        step(study, searched, objective)
    optuna.copy_study(from_study_name="s", from_storage=one, to_storage=other)
    made = sampler(name, searched, objective, seed=1)
    resumed = optuna.load_study(study_name="s", storage=other, sampler=made)
    assert ask(study, searched)[1] == ask(resumed, searched)[1]


@pytest.mark.parametrize("name", QUICK)
def test_running_trials_are_not_proposed_again(name: str) -> None:
    searched = tiny(3)
    objective = middle(searched)
    study = create(name, searched, objective)
    found = [ask(study, searched)[1] for _ in range(8)]
    assert len({plan(searched.spec(choices)) for choices in found}) == 8


@pytest.mark.parametrize("name", ["auto", "tpe", "nsga2", "random", "evolution", "controller"])
def test_a_small_space_is_exhausted(name: str) -> None:
    searched = tiny(1)
    objective = Objective(float(searched.costs(np.array(list(np.ndindex(3, 3, 2)))).macs.max()),
                          low=0.0)  # fmt: skip
    networks = {plan(searched.spec_of(row)) for row in np.ndindex(3, 3, 2)}
    assert len(networks) < 18
    study = create(name, searched, objective)
    found = {plan(searched.spec(step(study, searched, objective))) for _ in networks}
    assert found == networks
    trial = study.ask()
    with pytest.raises(SpaceExhausted, match="widen"):
        trial.suggest_categorical("block0_op", searched.choices["block0_op"])


@pytest.mark.parametrize("name", ["auto", "random", "evolution"])
def test_a_narrow_window_is_walked_to(name: str) -> None:
    """One network in some ten thousand is admissible: drawing at random would not find it."""
    searched = space("mbconv")
    objective = Objective(75e6)  # cheaper than all but a few
    study = create(name, searched, objective)
    found = [step(study, searched, objective) for _ in range(5)]
    assert np.all(objective.admits(searched.costs(found).macs.astype(float)))


def test_a_users_own_cost() -> None:
    searched = space("mbconv")

    def layers(spec: ArchSpec) -> float:
        return sum(stage.layers for stage in spec.stages)

    objective = Objective(12, aim="hard", low=0.9)
    made = sampler("auto", searched, objective, seed=0, cost=layers)
    study = optuna.create_study(directions=objective.directions, sampler=made)
    for _ in range(5):
        trial, choices = ask(study, searched)
        total = layers(searched.spec(choices))
        assert 10.8 <= total <= 12
        tell(study, trial, objective, accuracy(choices, searched), total)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "tp"}, "choose one of auto, tpe"),
        ({"cost": "latency"}, "macs, params, activations"),
        ({"seed": -1}, "negative"),
        ({"objective": Objective(1e6)}, "cost from"),
    ],
)
def test_clear_errors(changes: dict[str, object], message: str) -> None:
    good = {"name": "random", "space": space("mbconv"), "objective": Objective(4e8), "seed": 0}
    with pytest.raises(ValueError, match=message):
        sampler(**{**good, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["params", "activations"])
def test_no_network_of_the_window_is_larger_than_the_greatest(field: str) -> None:
    """Against 3,000 drawn: what it finds decides how many images fit into memory."""
    inside = Candidates(space("mbconv"), Objective(300e6))
    found = getattr(cost(inside.greatest(field)), field)
    rows = inside.draw(3000, np.random.default_rng(1))
    assert found >= getattr(inside.space.costs(rows), field).max()
