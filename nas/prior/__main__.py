"""``python -m nas.prior fit TABLE --out FILE``: make a distilled prior from a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common.command import parser, path, run
from nas.prior.fit import fit, rows_of
from nas.prior.table import read_prior
from nas.space import space

SOURCE = (
    "Accel-NASBench: Ahmad et al., Accel-NASBench: Sustainable Benchmarking for Accelerator-Aware "
    "NAS, 2024, arXiv:2404.08005, https://github.com/afzalxo/Accel-NASBench: ImageNet top-1 of "
    "networks of the space mbconv. Fitted numbers of our own; none of its rows is here"
)
LICENCE = "of the rows: Apache-2.0 (their repository's LICENSE, 2023)"
DESCRIPTION = """\
What the package knows of ImageNet (nas/prior/imagenet.json), made again: a quadratic in traits that
networks of other spaces have too, fitted to a table of Accel-NASBench's networks. Prints how well
rows are foretold that the fit did not see."""


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("nas.prior", DESCRIPTION)
    fitted = made.add_subparsers(dest="command", required=True).add_parser(
        "fit", help="fit one to a table", description=DESCRIPTION
    )
    fitted.add_argument("table", type=path, metavar="TABLE", help="CSV, gzipped or not")
    fitted.add_argument("--out", type=path, metavar="FILE", required=True)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Fit, write and say how far it can be believed."""
    args = options().parse_args(argv)
    searched = space("mbconv")
    table = read_prior(args.table, searched)
    rows = rows_of(searched, table.rows, table.accuracy / 100)
    command = f"python -m nas.prior fit {args.table.name} --out nas/prior/imagenet.json"
    made = fit(rows, "imagenet", SOURCE, LICENCE, command)
    args.out.write_text(made.to_json(), "utf-8")
    print(f"{made.label}: {args.out}")
    for left_out, found in made.held_out.items():
        print(f"  left out: {left_out:28s} R² {found['r2']:.3f}, τ {found['tau']:.3f}")


if __name__ == "__main__":
    sys.exit(run(main))
