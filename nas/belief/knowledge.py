"""Everything that is known of a network before it is trained, earlier runs included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.belief.features import Features
from nas.belief.model import Data, Model
from nas.belief.scored import Scored
from nas.belief.scores import Scores
from nas.candidates import Candidates, Floats
from nas.prior import AnyPrior, Distilled, Prior
from nas.prior.distilled import Foretold
from nas.space import Batch

ROWS = 600  # of a prior table that are used, at most
NONE, CAPACITY, PRIOR = "none", "capacity", "prior"
SCORES = "scores"  # the group of them

STRONG = 0.5  # trust from which a prior is a stronger guess than capacity
LEAST_DOUBT = 0.1  # other pictures are other pictures
ALIKE = 1e-9  # standard deviation of accuracies that tell no networks apart

Views = dict[str, Data]
Expects = Callable[[Batch, Data], Floats]  # rows (N, D), and as the model sees them → (N,)


class Knowledge:
    """Rows as the models of accuracy see them: one view for each thing that may be believed.

    A view is the hypothesis that one source of information, ``capacity`` or the ``prior``,
    foretells accuracies, in sign and size; ``none`` is that no source does. All views have all
    features, the sources among them, of either sign: a view says what is expected beforehand, not
    what may be found out. The strongest guess comes first.

    ``trust`` is how far the prior can be trusted, by how well it foretells rows of its own table
    that it has not seen: leave-one-out R² of a model of the table, or what a distilled prior says
    of itself, less the farther the window lies from its table. A table whose accuracies have
    nothing to do with its architectures says so before it has cost a training, and is no source;
    nor is a prior to which all of the window's networks are alike. ``believed`` are the sources
    that have a view.

    ``scores`` of untrained networks are further features of all views, never a view: which of them
    counts, and with which sign, only trainings say. They take seconds a network, so that rows are
    seen in three ways: without them (a call), with each score as the other features foretell it
    (``expected``), and with the networks' own (``scored``).
    """

    def __init__(
        self, candidates: Candidates, prior: AnyPrior | None = None, scores: Scores | None = None
    ) -> None:
        self._features = Features(candidates)
        self.trust = 0.0
        self.believed: tuple[str, ...] = (PRIOR, CAPACITY)
        if isinstance(prior, Distilled):
            foretold = Foretold(prior, candidates.space)
            out, _ = foretold.beyond(self.reference)
            self._ask(lambda rows, _: foretold(rows), prior.trust / (1 + out**2))
        elif prior is not None:
            model = self._modelled(prior)
            self._ask(lambda _, plain: model.mean(plain), max(0.0, model.leave_one_out()))
        self._scored = None
        if scores is not None:
            self._scored = Scored(scores, candidates.space, self.reference, self._plain)

    def __call__(self, rows: Batch) -> Views:
        plain = self._plain(rows)
        groups, nothing = plain
        guesses = {CAPACITY: groups[CAPACITY][:, 0]}
        if self.trust:
            expected = (self._expects(rows, plain) - self._mean) / self._sd
            told = {PRIOR: self.trust * expected}
            guesses = told | guesses if self.trust > STRONG else guesses | told
            groups = groups | {PRIOR: expected[:, None]}
        views = {
            name: Data(groups | {"guess": guess[:, None]}, guess)
            for name, guess in guesses.items()
            if name in self.believed
        }
        return views | {NONE: Data(groups, nothing)}

    def doubt(self, view: str) -> float:
        """How much of a network's accuracy that view holds open, of what the others do: what the
        prior missed of rows that it had not seen, and never nothing."""
        return max(1 - self.trust, LEAST_DOUBT) if view == PRIOR else 1.0

    def expected(self, rows: Batch) -> Views:
        """With each score as the other features foretell it: nobody is asked, and what is known of
        these very networks does not count, so that a search decides alike without its file."""
        return self(rows) if self._scored is None else self._with(rows, self._scored.expected(rows))

    def scored(self, rows: Batch) -> Views:
        """With the networks' own scores."""
        return self(rows) if self._scored is None else self._with(rows, self._scored.own(rows))

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of the scores, by the columns of their group."""
        return () if self._scored is None else self._scored.names

    @property
    def reference(self) -> Batch:
        """Random networks of the window."""
        return self._features.reference

    def _with(self, rows: Batch, scores: Floats) -> Views:
        return {
            name: Data(view.groups | {SCORES: scores}, view.guess)
            for name, view in self(rows).items()
        }

    def _plain(self, rows: Batch) -> Data:
        """What is known without a prior, and no guess."""
        return Data(self._features(rows), np.zeros(len(rows)))

    def _ask(self, expects: Expects, trust: float) -> None:
        """Have what ``expects`` says of networks as a source, standardised over the window."""
        seen = expects(self.reference, self._plain(self.reference))
        self._mean, self._sd = float(seen.mean()), float(seen.std())
        self._expects, self.trust = expects, trust if self._sd > ALIKE else 0.0

    def _modelled(self, prior: Prior) -> Model:
        rng = np.random.default_rng(0)
        chosen = rng.permutation(len(prior.rows))[:ROWS]
        # In any unit: brought to where the model expects accuracies to lie.
        accuracy: Floats = prior.accuracy[chosen] - prior.accuracy[chosen].mean()
        scaled = 0.6 + 0.03 * accuracy / accuracy.std()
        return Model(self._plain(prior.rows[chosen]), scaled)
