"""The run of ``python -m reports cam``."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from common.plain import printable
from models.deploy.preprocessing import FILE_NAME, WEIGHTS, Preprocessing
from reports.cam import report
from reports.cam.looked import Looked
from reports.cam.maps import last_maps, maps, method
from reports.journal import printed
from training.options.directory import run_directory
from training.pictures.listing import picture_files
from training.pictures.reading import Pictures
from training.predict import Predictor
from training.transfer.sources import BASELINE, open_parent
from trials.store.header import FILE_NAME as RUN_FILE
from trials.store.header import read_header

MOST = 400  # cells of the grid: what one picture can hold


def go(args: argparse.Namespace) -> None:
    """Write the picture and the page, and say where they are."""
    names = _shown(args)
    if (1 + len(args.weights)) * len(names) > MOST:
        raise ValueError(
            f"{len(names)} pictures by {len(args.weights)} networks are more than the {MOST} cells "
            "of a picture: lower --images"
        )
    out = run_directory(args, f"cam-{Path(args.pictures[0]).resolve().name}")
    networks = {text: _opened(text, args.device) for text in args.weights}
    classes = {text: _number(args.of, text, one) for text, one in networks.items()}
    read = {text: one.read(names) for text, one in networks.items()}
    kept = _kept(names, read.values())
    looked = []
    for text, one in networks.items():
        pixels = read[text].images[kept]
        try:
            seen = maps(one.network, one.prepared(pixels), classes[text], args.layer)
        except ValueError as error:
            raise ValueError(f"{text}: {error}") from None
        how, layer = method(one.network, args.layer), args.layer or last_maps(one.network)
        looked.append(Looked(text, one.spec, how, layer, one.expects.classes, pixels, seen))
    with printed(args.figures):
        for file in report(out, [names[row] for row in kept], looked, args.of):
            print(file)


def _shown(args: argparse.Namespace) -> list[str]:
    """The pictures that are shown, evenly of all that were given, each once."""
    files = [name for given in args.pictures for name in picture_files(given)]
    evenly = [files[i * len(files) // args.images] for i in range(args.images)]
    names = list(dict.fromkeys(evenly))
    if len(names) < len(set(files)):
        print(f"{len(names)} of {len(set(files))} pictures; --images for more", file=sys.stderr)
    return names


def _kept(names: Sequence[str], read: Iterable[Pictures]) -> list[int]:
    """The places of those that every network could read; the others are named on stderr.

    Raises ValueError where none is left.
    """
    skipped = {name: reason for one in read for name, reason in one.skipped}
    for name, reason in skipped.items():
        print(printable(f"skipped: {name}: {reason}"), file=sys.stderr)
    kept = [row for row, name in enumerate(names) if name not in skipped]
    if not kept:
        raise ValueError(f"none of {len(names)} pictures could be read")
    return kept


def _opened(text: str, device: str) -> Predictor:
    """The network of that name with its weights.

    Raises ValueError where there are no weights.
    """
    path = Path(text)
    directory = path.parent if path.name == WEIGHTS else path
    if (directory / FILE_NAME).is_file():
        return Predictor(directory, device)
    parent = open_parent(text)
    expects = Preprocessing(
        _classes(directory, parent.spec.classes),
        *parent.moments,
        parent.spec.resolution,
        "L" if parent.spec.in_channels == 1 else "RGB",
    )
    return Predictor.of(parent.spec, parent.network, expects, device)


def _classes(path: Path, outputs: int) -> tuple[str, ...]:
    """The names that a search's run has for its network's outputs; else their numbers from 0."""
    run = path.parent if path.name == BASELINE else path
    if (run / BASELINE).is_file() and (run / RUN_FILE).is_file():
        data = read_header(run).settings.get("data")
        names = data.get("classes") if isinstance(data, dict) else None
        if isinstance(names, list) and len(names) == outputs:
            return tuple(map(str, names))
    return tuple(f"class {number}" for number in range(outputs))


def _number(of: str | None, text: str, network: Predictor) -> int | None:
    """The output of the class ``of``. Raises ValueError where the network has none of that name."""
    classes = network.expects.classes
    if of is None:
        return None
    if of not in classes:
        near = difflib.get_close_matches(of, classes, 1) or classes[:3]
        raise ValueError(f"{text} knows no class {of!r:.80}: it knows {', '.join(near)}")
    return classes.index(of)
