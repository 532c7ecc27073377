"""``python -m reports runs/NAME``: the page again, from the study alone.

``python -m reports compare RUN RUN…``: several searches on one page. ``python -m reports
networks``: published networks, measured. ``python -m reports ranks``: how much of its width a layer
uses. ``python -m reports cam``: where trained networks look.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from common.command import parser, path, run, storage_url
from reports.journal import add_figures, printed

_OF_NO_RUN = {
    "compare": "reports.commands.compare",
    "networks": "reports.commands.networks",
    "ranks": "reports.commands.ranks",
    "channels": "reports.commands.channels",
    "scalability": "reports.commands.scalability",
    "cam": "reports.commands.cam",
}


def options() -> argparse.ArgumentParser:
    """The options of a run's report."""
    made = parser(
        "reports",
        "Draw a run's tables, figures and page again, from its study alone; of a training from its "
        "files.\n`python -m reports compare --help`: several searches on one page.\n"
        "`python -m reports networks --help`: published networks, measured.\n"
        "`python -m reports ranks --help`: how much of its width a layer uses.\n"
        "`python -m reports cam --help`: where trained networks look.",
    )
    made.add_argument("run", type=path, help="a run directory")
    made.add_argument(
        "--storage", type=storage_url, help="the URL of a run that has no journal file"
    )
    add_figures(made)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Draw a run's report again, or one that is of no run."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] and given[0] in _OF_NO_RUN:
        importlib.import_module(_OF_NO_RUN[given[0]]).main(given[1:])
        return
    args = options().parse_args(given)
    from reports import nas, scaling, training
    from reports.commands.onward import after_training, onward
    from reports.scaling import study
    from trials.store.header import read_header

    with printed(args.figures):
        if training.is_training(args.run):
            print(training.report(args.run, after_training(args.run)))
            return
        reports = {"nas": nas.report, "scaling": scaling.report, "study": study.report}
        kind = read_header(args.run).settings["kind"]
        if kind not in reports:
            raise ValueError(
                f"{args.run} is a run of kind {kind!r}: no report is drawn of such a one"
            )
        print(reports[kind](args.run, args.storage, onward(args.run)))


if __name__ == "__main__":
    sys.exit(run(main))
