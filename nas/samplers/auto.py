"""The default: predict accuracy, multiply the exact cost in, train what promises most.

Bayesian optimisation that spends its model on what is unknown. A Gaussian process
(``belief.model``) predicts accuracy from ``belief.features``; the cost of every network is known
exactly. The next candidate has the greatest expected improvement of the reward (aims ``reward``
and ``hard``) or expected hypervolume improvement (``front``), both in closed form, over what the
model believes of the trained networks (their posterior means: noise does not set the bar). Of
``ALONG`` trainings for one network's sake, one is chosen as for the front, so that a run says what
other costs buy. The first trainings have no model to go by: they maximise functions drawn from its
prior (Thompson sampling), the first one the prior's mean; for ``front`` under cost limits that
spread over the window. They follow the strongest guess beforehand (``belief.knowledge``), no
guess and the other one in turn: where a source misleads, their networks differ, and the evidence
sees it. Running trials are believed to come out as predicted (kriging believer, Ginsbourger et al.
2010), so that workers spread.

Scores of untrained networks, where the caller gives them, cost seconds a network. So candidates are
searched by the scores that are expected of them, and the best ``SHORTLIST`` ranked again by their
own. What was trained is learned from by its own scores alone: no decision rests on an expected one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from nas.belief.account import account, course
from nas.belief.belief import Belief
from nas.belief.importance import importance
from nas.belief.knowledge import PRIOR, Knowledge
from nas.belief.outlook import Expected, expected_front
from nas.candidates import Candidates, CostOf, Floats, Taken
from nas.objective import Objective
from nas.pareto import front
from nas.samplers.acquisition import expected_hypervolume_improvement, expected_improvement
from nas.samplers.climb import CLIMBERS, Score, climbed
from nas.samplers.history import History
from nas.samplers.opening import OPENING, opening
from nas.space import Batch, Space

if TYPE_CHECKING:
    from nas.belief.scores import Scores
    from nas.prior import AnyPrior

SHORTLIST = 16  # candidates whose own scores are asked for
ALONG = 5  # of so many trainings one is for the front, where the aim is a single network

Ints = NDArray[np.int64]
_ALL = slice(None)
Promise = Callable[[bool], Score]  # by the rows' own scores, or by those expected of them


class Conclusion(NamedTuple):
    """What a study comes to: the number of the network to name, what that rests on
    (``belief.account``) and the front that is expected over the window; None and no front while
    fewer than ``OPENING`` are trained."""

    number: int
    basis: dict[str, Any] | None = None
    front: tuple[Expected, ...] = ()


class Auto:
    """``prior`` is what was learned before (``nas.prior``), ``trust`` as in ``belief.Belief``,
    ``scores`` as in ``belief.Knowledge``.

    ``near`` are networks (N, D), in the window or not, from which weights are inherited. What is
    far from all of them has been cut to pieces; so candidates are sought within ``climb.REACH``
    choices of them and of the best that were trained: a trust region (TuRBO, Eriksson et al. 2019,
    arXiv:1910.01739, section 2), which moves with the best but has one size. Capacity then is no
    guess: of networks that inherit it said nothing (τ -0.19 of 14 on photographs, -0.22 of 16 on
    CIFAR-10's pictures: docs/transfer.md), and led to ones that are larger at fewer pixels.
    """

    def __init__(
        self,
        candidates: Candidates,
        prior: AnyPrior | None = None,
        trust: float | None = None,
        near: Batch | None = None,
        scores: Scores | None = None,
    ) -> None:
        self._candidates, self._trust, self._near = candidates, trust, near
        self._scores = scores
        self.along: int | None = ALONG
        self.see = Knowledge(candidates, prior, scores)
        if near is not None and trust is None:
            self.see.believed = (PRIOR,)

    def propose(
        self, study: optuna.Study, trial: FrozenTrial, history: History, rng: np.random.Generator
    ) -> Iterator[Batch]:
        # Workers must not prolong the opening: one result and what runs are enough to go on with.
        if len(history.rows) < OPENING or not len(history.finished):
            drawn = opening(self._candidates, self.see, len(history.rows), rng)
            yield from self._climbed(drawn, history.rows[:0], rng)
            return
        promise, starts = self._promise(history, self.for_the_front(trial.number))
        found = self._climbed(promise(False), starts, rng)
        if self.see.scores:
            found = self._ranked(promise(True), found, history.taken)
        yield from found

    def fit(self, history: History, some: slice | Ints = _ALL) -> Belief:
        """What is believed of a study with at least one finished trial; by ``some`` of its
        trainings alone, where that is asked for."""
        known = history.known[some]
        rows, accuracy = history.rows[known], history.estimate[known]
        return Belief(self.see, rows, accuracy, self._trust, history.error[known])

    def recommend(self, history: History, belief: Belief | None = None) -> int:
        """Number of the trained network with the best expected reward (under noise, not the best
        observed); of the best observed while fewer than ``OPENING`` are trained.

        ``belief`` is ``fit``'s, where it is there already. Raises ValueError where no trial has
        finished.
        """
        done = history.finished
        if not len(done):
            raise ValueError("no trial of the study has finished: train some networks first")
        reward = history.reward[done]
        if len(done) >= OPENING:
            expected = (belief or self.fit(history)).mean(history.rows[done], scored=True)
            reward = self._candidates.objective.reward(expected, history.cost[done])
        return int(history.numbers[done[np.argmax(reward)]])

    def conclude(self, history: History) -> Conclusion:
        """What the study comes to. Raises ValueError where no trial has finished."""
        done = history.finished
        if len(done) < OPENING:
            return Conclusion(self.recommend(history))
        belief = self.fit(history)
        front = expected_front(belief, self._candidates, history.rows[done])
        number = self.recommend(history, belief)
        basis = account(belief, self.see) | self._expected(history, belief, number)
        every = len(history.known)

        def by(trainings: int) -> Belief:  # all of them are the dearest to fit, and have been
            return belief if trainings == every else self.fit(history, slice(trainings))

        basis |= {"course": course(by, OPENING, every)}
        fit, space = partial(self.fit, history), self._candidates.space
        basis |= {"importance": importance(fit, every, self.see, space)}
        if self._scores is not None:
            asked = {"networks": self._scores.asked, "seconds": self._scores.seconds}
            basis |= {"scored": asked}
        return Conclusion(number, basis, tuple(front))

    @staticmethod
    def _expected(history: History, belief: Belief, chosen: int) -> dict[str, Any]:
        """ "expected": the accuracies that are expected of the ``chosen`` trial and of the one with
        the highest accuracy, by number."""
        done = history.finished
        numbers, means = history.numbers[done], belief.mean(history.rows[done], scored=True)
        told = {chosen, int(numbers[np.argmax(history.accuracy[done])])}
        pairs = zip(numbers.tolist(), means.tolist(), strict=True)
        return {"expected": {str(number): mean for number, mean in pairs if number in told}}

    def for_the_front(self, number: int) -> bool:
        """Whether that training is to extend the front: all are for the aim ``front``, else one of
        ``along`` (None: none)."""
        if self._candidates.objective.aim == "front":
            return True
        return self.along is not None and number % self.along == self.along - 1

    def _ranked(self, score: Score, found: Iterator[Batch], taken: Taken) -> Iterator[Batch]:
        """The first ``SHORTLIST`` new candidates by falling ``score``, then the others."""
        rows = list(islice((row for row in found if row not in taken), SHORTLIST))
        if rows:
            first = np.stack(rows)
            order = np.argsort(-score(first, self._candidates.costs(first)), kind="stable")
            yield from first[order]
        yield from found

    def _promise(self, history: History, for_the_front: bool) -> tuple[Promise, Batch]:
        """The acquisition function, and the candidates to search from, the best first."""
        model, aim = self.fit(history), self._candidates.objective
        known = np.flatnonzero(np.isfinite(history.accuracy) | history.running)
        costs = history.cost[known]
        believed = model.mean(history.rows[known], scored=True)
        rewards = aim.reward(believed, costs)
        if history.running.any():
            model.believe(history.rows[history.running])
        starts = history.rows[known[np.argsort(-rewards)[:CLIMBERS]]]
        worst = float(believed.min()), self._dearest(costs)
        if for_the_front:
            starts = history.rows[known[_spaced(believed, costs, CLIMBERS)]]

        def promise(scored: bool) -> Score:
            def score(rows: Batch, costs_: Floats) -> Floats:
                mean, sd = model.predict(rows, scored)
                if for_the_front:
                    seen = believed, costs
                    return expected_hypervolume_improvement(mean, sd, costs_, seen, worst)
                factor = aim.factor(costs_)
                return expected_improvement(mean * factor, sd * factor, float(rewards.max()))

            return score

        return promise, starts

    def _climbed(self, score: Score, starts: Batch, rng: np.random.Generator) -> Iterator[Batch]:
        return climbed(self._candidates, score, starts, rng, self._near)

    def _dearest(self, costs: Floats) -> float:
        aim = self._candidates.objective
        return float(min(aim.high * aim.budget, 2 * costs.max()))


def _spaced(accuracy: Floats, cost: Floats, count: int) -> list[int]:
    """Positions of at most ``count`` points of the front, evenly along it."""
    kept = front(accuracy, cost)
    return [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, count).astype(int))]


def recommend(
    study: optuna.Study,
    space: Space,
    objective: Objective,
    cost: CostOf = "macs",
    prior: AnyPrior | None = None,
    trust: float | None = None,
    scores: Scores | None = None,
) -> int:
    """The number that ``Auto.recommend`` names of a study."""
    auto, history = _of(study, space, objective, cost, prior, trust, scores)
    return auto.recommend(history)


def conclude(
    study: optuna.Study,
    space: Space,
    objective: Objective,
    cost: CostOf = "macs",
    prior: AnyPrior | None = None,
    trust: float | None = None,
    scores: Scores | None = None,
    near: Batch | None = None,
) -> Conclusion:
    """``Auto.conclude`` of a study."""
    auto, history = _of(study, space, objective, cost, prior, trust, scores, near)
    return auto.conclude(history)


def _of(
    study: optuna.Study,
    space: Space,
    objective: Objective,
    cost: CostOf,
    prior: AnyPrior | None,
    trust: float | None,
    scores: Scores | None,
    near: Batch | None = None,
) -> tuple[Auto, History]:
    candidates = Candidates(space, objective, cost)
    history = History(candidates, study)
    candidates.learn(history.settled)
    return Auto(candidates, prior, trust, near, scores), history
