"""A network search learns from losses and probabilities beside accuracies, where they are told."""

from __future__ import annotations

from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.samplers.history import History
from nas.search import search
from nas.space import space
from tests.nas.test_samplers import create, middle, step, tiny
from trials.record import Evaluation


def test_trials_told_without_a_loss_are_known_by_their_accuracy() -> None:
    searched = tiny(2)
    study = create("random", searched, middle(searched))
    for _ in range(4):
        step(study, searched, middle(searched))
    history = History(Candidates(searched, middle(searched)), study)
    assert (history.estimate == history.accuracy).all()


def test_the_default_search_follows_the_loss() -> None:
    """Accuracies of few pictures are coarse; losses tell which network is the best."""
    mbconv = space("mbconv")

    def layers(spec: ArchSpec) -> int:
        return sum(stage.layers for stage in spec.stages)

    def evaluate(spec: ArchSpec, seed: int) -> Evaluation:
        accuracy = 0.5 + 0.02 * (layers(spec) > 14)
        return Evaluation(accuracy, seed, 1.0, loss=1.5 - 0.02 * layers(spec))

    found = search(mbconv, evaluate, trials=16, aim="hard", seed=1)
    most = max(layers(record.spec) for record in found.trials)
    assert layers(found.best.spec) == most
    assert found.best.accuracy in (0.5, 0.52)


def test_details_of_a_users_own_may_mean_anything() -> None:
    def evaluate(spec: ArchSpec, seed: int) -> Evaluation:
        return Evaluation(0.5, seed, 1.0, loss=1.0, details={"probability": "high"})

    assert len(search(space("mbconv"), evaluate, trials=4, seed=1).trials) == 4
