"""``python -m training predict RUN PICTURE…``: class names and probabilities."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.command import count, parser, path, place
from common.paths import check_file
from common.plain import printable

if TYPE_CHECKING:
    from training.predict import Prediction

FORMATS = ("text", "csv", "json")


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("training predict", "What a trained network says of pictures.")
    made.add_argument("run", type=path, help="a directory of python -m training")
    made.add_argument(
        "pictures",
        type=place,
        nargs="+",
        metavar="PICTURE",
        help="picture files, or folders of them",
    )
    made.add_argument(
        "--top",
        type=count,
        default=3,
        help="likeliest classes that are shown; csv and json have all",
    )
    made.add_argument("--format", choices=FORMATS, default="text")
    made.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    made.add_argument("--out", type=path, help="a file in place of the screen")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Predict and print; ValueError where no picture could be read."""
    args = options().parse_args(argv)
    from training.pictures.listing import picture_files
    from training.predict import Predictor  # takes seconds to load, which --help need not

    if args.out is not None:
        check_file(args.out)
    predictor = Predictor(args.run, args.device)
    found = predictor([name for given in args.pictures for name in picture_files(given)])
    for one in found:
        if one.error is not None:
            print(printable(f"skipped: {one.path}: {one.error}"), file=sys.stderr)
    read = [one for one in found if one.error is None]
    if not read:
        raise ValueError(f"none of {len(found)} pictures could be read")
    text = _written(read, predictor.expects.classes, args.format, args.top)
    if args.out is None:
        print(printable(text), end="")
    else:
        args.out.write_text(text, "utf-8", "surrogateescape")
        print(args.out)


def _written(found: list[Prediction], classes: Sequence[str], form: str, top: int) -> str:
    if form == "json":
        facts = [
            {"path": one.path, "class": one.best, "probabilities": one.probabilities}
            for one in found
        ]
        return json.dumps(facts, indent=1) + "\n"
    if form == "text":
        return "".join(f"{one.path}: {_ranked(one, top)}\n" for one in found)
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["path", "class", *classes])
    for one in found:
        writer.writerow([one.path, one.best, *(f"{p:.6f}" for p in one.probabilities.values())])
    return file.getvalue()


def _ranked(one: Prediction, top: int) -> str:
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in one.top(top))
