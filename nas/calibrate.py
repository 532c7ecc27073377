"""How far a finished search's proxy can be believed, from networks that it trained.

A few networks, spread over the rewards that were seen, are trained again: once under another seed,
which shows the proxy's own noise, and once for longer, which shows whether its ranking lasts. Both
are runs of their own below the search's directory, made and resumed like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray

from models.spec import ArchSpec
from trials.conduct import Means, accuracy, conduct
from trials.store.run import Run
from trials.store.study import open_run, read_run
from trials.store.view import Proposal, Record

Floats = NDArray[np.float64]

AGAIN, LONGER = "again", "longer"
FEWEST = 4  # networks of which a rank correlation says anything
BOOTSTRAP = 1000
SEED_STEP = 1_000_003  # trains a network under a seed that its first training cannot have had


class Agreement(NamedTuple):
    """Kendall's τ-b of ``n`` networks and its 90 % bootstrap interval."""

    tau: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.tau:.2f} ({self.low:.2f} to {self.high:.2f})"


class Lead(NamedTuple):
    """By how much one score's τ with the truth exceeds another's, over the same ``n`` networks: the
    difference and its paired 90 % bootstrap interval."""

    difference: float
    low: float
    high: float
    n: int

    @property
    def told(self) -> bool:
        """Whether the interval excludes 0: else the networks cannot tell which agrees better."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.difference:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def agreement(one: Sequence[float], other: Sequence[float]) -> Agreement:
    """How alike two scores rank the same networks; ValueError for fewer than ``FEWEST``."""
    a, b = _scores(one, other)
    taus = _taus(a, b, _resampled(len(one)))
    low, high = np.quantile(taus[1:], (0.05, 0.95))
    return Agreement(float(taus[0]), float(low), float(high), len(one))


def lead(one: Sequence[float], other: Sequence[float], truth: Sequence[float]) -> Lead:
    """How much better ``one`` ranks the networks of ``truth`` than ``other`` does.

    Both are resampled together: what a draw of the networks does to both τ is no difference.
    Raises ValueError for fewer than ``FEWEST`` networks.
    """
    a, b, true = _scores(one, other, truth)
    weights = _resampled(len(true))
    ahead = _taus(a, true, weights) - _taus(b, true, weights)
    low, high = np.quantile(ahead[1:], (0.05, 0.95))
    return Lead(float(ahead[0]), float(low), float(high), len(true))


def _scores(*given: Sequence[float]) -> list[Floats]:
    scores = [np.asarray(one, dtype=float) for one in given]
    counts = {len(one) for one in scores}
    if len(counts) > 1 or min(counts) < FEWEST:
        raise ValueError(f"{sorted(counts)} scores: at least {FEWEST} of each are needed")
    return scores


def _resampled(count: int) -> Floats:
    """How often each of ``count`` networks counts, (1 + BOOTSTRAP, count): once, then as drawn."""
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(count, np.full(count, 1 / count), BOOTSTRAP)
    return np.vstack([np.ones(count), drawn])


def _taus(a: Floats, b: Floats, weights: Floats) -> Floats:
    """Kendall's τ-b (N,) with each network counted as often as ``weights`` (N, n) says; 0 where
    one of the scores ranks nothing."""
    one, other = np.sign(a[:, None] - a), np.sign(b[:, None] - b)
    agree, ranked, too = (
        ((weights @ pairs) * weights).sum(1) for pairs in (one * other, abs(one), abs(other))
    )
    found: Floats = agree / np.sqrt(np.maximum(ranked * too, 1e-300))
    return found


def spread_out(records: Sequence[Record], count: int) -> list[Record]:
    """``count`` trained records, evenly over the ranks of their accuracies, best and worst
    included; all of them where there are no more."""
    trained = [record for record in records if record.evaluation is not None]
    trained.sort(key=lambda record: (_accuracy(record), record.number))
    places = np.linspace(0, len(trained) - 1, min(count, len(trained)))
    return [trained[round(place)] for place in places]


def train_again(
    records: Sequence[Record],
    directory: Path,
    seed: int,
    recipe: str,
    means: Means,
    step: int = 1,
) -> list[Record]:
    """Train the networks of ``records`` once more, each under a seed of its own, another one for
    each ``step``.

    ``directory`` keeps the run: a network that was trained there is not trained again, whatever
    others have joined it since. ``recipe`` names what they are trained by. Raises ValueError where
    the directory holds trainings of another seed or recipe.
    """
    settings = {"kind": "calibration", "seed": seed, "recipe": recipe}
    wanted = {record.spec.key: record for record in records}

    def propose(trial: optuna.Trial, run: Run) -> Proposal | None:
        begun = _begun(run)
        for key, record in wanted.items():
            if key not in begun:
                seed = (record.seed + step * SEED_STEP) % 2**31
                return Proposal(record.spec, record.cost, {"trial": record.number}, seed)
        return None

    resume = (directory / "run.json").exists()
    with open_run(
        directory, settings, ["maximize"], from_json=ArchSpec.from_json, resume=resume
    ) as run:
        missing = wanted.keys() - {record.spec.key for record in run.finished()}
        if missing:
            trials = run.started() + len(wanted.keys() - _begun(run))
            conduct(run, propose, accuracy, trials, means)
        return run.finished()


def _begun(run: Run) -> set[str]:
    """Keys of the networks of all trials, running ones too."""
    texts = (trial.user_attrs.get("spec") for trial in run.study.get_trials(deepcopy=False))
    return {ArchSpec.from_json(text).key for text in texts if text is not None}


def read_again(run_dir: Path, name: str) -> dict[int, Record]:
    """The calibration called ``name`` below a search's directory, by the search's trial number;
    empty where there is none."""
    if not (run_dir / name / "run.json").exists():
        return {}
    records = read_run(run_dir / name, from_json=ArchSpec.from_json).finished()
    return {int(r.attrs["trial"]): r for r in records if r.evaluation is not None}


def _accuracy(record: Record) -> float:
    return 0.0 if record.evaluation is None else record.evaluation.accuracy
