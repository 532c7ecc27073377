"""What the evidence makes of ImageNet's prior on other pictures: a run's trainings, asked of it.

    python -m benchmarks.truth.prior_weight RUN

RUN is a run of ``nas.search``, whatever it believed when it chose its networks. After 3, 6, 12 …
of its trainings and after all of them: the probability of each view, had the prior been one, and
the prior's correlation with accuracy over random networks of the window (``nas.belief.account``).
Beside it Kendall's τ of what the prior expects with all that was measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from scipy.stats import kendalltau

from common.command import parser, path
from common.command import run as run_command
from models.spec import ArchSpec
from nas.belief.account import account
from nas.belief.belief import Belief
from nas.belief.knowledge import PRIOR
from nas.candidates import Candidates
from nas.objective import Objective
from nas.prior import imagenet
from nas.prior.distilled import Foretold
from nas.rerank.ranking import space_of
from nas.samplers.auto import Auto
from nas.samplers.history import History
from nas.samplers.opening import OPENING
from trials.store.study import read_run


def main(argv: Sequence[str] | None = None) -> None:
    made = parser("benchmarks.truth.prior_weight", __doc__ or "")
    made.add_argument("run", type=path, metavar="RUN")
    args: argparse.Namespace = made.parse_args(argv)
    run = read_run(args.run, from_json=ArchSpec.from_json)
    searched = space_of(run)
    candidates = Candidates(searched, Objective.of(run.settings))
    history = History(candidates, run.study)
    rows, accuracy = history.rows[history.finished], history.accuracy[history.finished]
    told = Foretold(imagenet(), searched)(rows)
    print(f"{len(rows)} trainings, τ {kendalltau(told, accuracy).statistic:.2f}\n")
    print("| trainings | prior | capacity | no guess | the prior's correlation (90 %) |")
    print("|---|---|---|---|---|")
    see = Auto(candidates, imagenet()).see
    for count in counts(len(rows)):
        found = account(Belief(see, rows[:count], accuracy[:count]), see)
        weights = " | ".join(f"{weight:.2f}" for weight in found["weights"].values())
        low, middle, high = found["agreement"][PRIOR]
        print(f"| {count} | {weights} | {middle:.2f} ({low:.2f} to {high:.2f}) |")


def counts(most: int) -> Iterator[int]:
    """3, 6, 12 … and ``most``."""
    count = OPENING
    while count < most:
        yield count
        count *= 2
    yield most


if __name__ == "__main__":
    sys.exit(run_command(main))
