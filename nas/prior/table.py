"""What was learned before: a table of architectures and their accuracies on other data.

Only ranks and differences count, never the level: accuracies are standardised. How far the table
is believed is decided by the table (how well a model of it predicts rows that it has not seen) and
by the search (how well what it trains agrees); see ``nas.belief.knowledge``.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.spec import ArchSpec
from nas.space import RESOLUTION, Batch, Choices, Space, Value
from trials.store.study import read_run

ACCURACY = ("accuracy", "imagenet_top1_percent", "cifar10_top1_percent")
FEWEST = 5
_GREATEST = 1e100  # an accuracy in any unit; squares of it are still numbers
_MOST_BYTES = 1 << 27  # of a table: over a million networks
_BLOCK = re.compile(r"e(\d+)k(\d+)l(\d+)se(\d+)")


@dataclass(frozen=True)
class Prior:
    """``rows`` (N, D) of a space and ``accuracy`` (N,) in any unit in which more is better.

    ``name`` says where the table is from: a file's name, or a run directory's.

    Raises ValueError for fewer than five rows, lengths that differ, accuracies that are not
    finite or all equal.
    """

    rows: Batch
    accuracy: NDArray[np.float64]
    name: str = "table"

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.accuracy):
            raise ValueError(f"{len(self.rows)} rows and {len(self.accuracy)} accuracies")
        if len(self.rows) < FEWEST:
            raise ValueError(f"a prior of {len(self.rows)} networks: at least {FEWEST} are needed")
        if not (np.abs(self.accuracy) < _GREATEST).all():
            raise ValueError("a prior's accuracies must be finite numbers: leave failed rows out")
        if np.ptp(self.accuracy) == 0:
            raise ValueError(
                f"all of the prior's accuracies are {self.accuracy[0]}: none is better"
            )

    @property
    def label(self) -> str:
        """The name and a digest of all that a search learns from it: what a run records."""
        content = np.ascontiguousarray(self.rows, "<i8").tobytes()
        content += np.ascontiguousarray(self.accuracy, "<f8").tobytes()
        digest = hashlib.sha256(content).hexdigest()[:12]
        return f"{self.name} ({len(self.rows)} networks, {digest})"


def prior_of(trained: Iterable[tuple[ArchSpec, float]], space: Space, name: str = "table") -> Prior:
    """A prior from networks and their accuracies, as an earlier run has them.

    Networks count by their stages: classes and head may be others than ``space``'s, and so may the
    resolution. Where that is a choice they then count as of the highest, as tables without it do.
    Those whose stages are not in ``space`` are left out; ValueError where fewer than five remain.
    """
    found: list[tuple[Choices, float]] = []
    for spec, accuracy in trained:
        choices = _member(space, spec)
        if choices is not None:
            found.append((choices, accuracy))
    return _prior(found, space, name)


def load_prior(path: Path, space: Space) -> Prior:
    """The prior in a run directory of ``nas.search``, or in a table (``read_prior``).

    Raises ValueError where neither can be read.
    """
    if not path.is_dir():
        return read_prior(path, space)
    records = read_run(path, from_json=ArchSpec.from_json).finished()
    trained = ((r.spec, r.evaluation.accuracy) for r in records if r.evaluation)
    return prior_of(trained, space, path.resolve().name)


def read_prior(path: Path, space: Space) -> Prior:
    """A prior from a CSV file, gzipped or not.

    Columns: ``accuracy`` (or ``imagenet_top1_percent``, ``cifar10_top1_percent``), and the
    architecture as one column for each of the space's choices, or ``architecture`` in
    Accel-NASBench's form (``e6k3l1se0-…``, one block a stage) or NAS-Bench-Macro's (``01201201``,
    one digit a layer), or ``spec`` (``ArchSpec.to_json``).

    Raises ValueError, with the line, for anything else.
    """
    try:
        lines = csv.DictReader(io.StringIO(_text(path), newline=""))
        found, accuracies = _rows(lines, path, space)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a CSV table: {error}") from None
    return Prior(found, accuracies, path.name)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        # Read to the limit and no further: a small zipped file can hold gigabytes.
        data = (gzip.GzipFile(fileobj=file) if zipped else file).read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{path} holds more than {_MOST_BYTES:,} bytes: give a part of the table")
    return data.decode("utf-8-sig")


def _rows(
    lines: csv.DictReader[str], path: Path, space: Space
) -> tuple[Batch, NDArray[np.float64]]:
    columns = set(lines.fieldnames or ())
    column = next((name for name in ACCURACY if name in columns), None)
    forms = {"architecture", "spec"} & columns
    if column is None or not (forms or set(space.names) - {RESOLUTION} <= columns):
        raise ValueError(
            f"{path} has the columns {sorted(map(str, columns))[:12]}: a prior needs {ACCURACY[0]}"
            f", and architecture, spec or all of {space.names[0]} … {space.names[-1]}"
        )
    rows, accuracies = [], []
    for number, line in enumerate(lines, start=2):
        try:
            rows.append(space.indices([_choices(line, space)]))
            accuracies.append(float(line[column]))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return np.concatenate(rows or [space.indices([])]), np.array(accuracies, dtype=float)


def accel_nasbench_choices(text: str) -> Choices:
    """``e6k3l1se0-…`` as choices of the space ``mbconv``; ValueError for another form."""
    found: Choices = {}
    for i, block in enumerate(text.split("-")):
        if (match := _BLOCK.fullmatch(block)) is None:
            raise ValueError(f"block {block!r:.40} of {text!r:.80} does not read like e6k3l1se0")
        for name, value in zip(("e", "k", "l", "se"), match.groups(), strict=True):
            found[f"block{i}_{name}"] = int(value)
    return found


def nas_bench_macro_choices(text: str) -> Choices:
    """``01201201`` as choices of the space ``macro``; ValueError for another form."""
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError(f"{text!r:.80} does not read like 01201201, one digit a layer")
    return {f"layer{i}": int(digit) for i, digit in enumerate(text)}


def _choices(line: Mapping[str, str], space: Space) -> Choices:
    if line.get("spec"):
        spec = ArchSpec.from_json(line["spec"])
        choices = _member(space, spec)
        if choices is None:
            raise ValueError(f"the network {spec.name!r:.60} is not in space {space.name}")
        return choices
    side: Choices = {RESOLUTION: space.template.resolution} if space.resolutions else {}
    if text := line.get("architecture"):
        read = nas_bench_macro_choices if text.isdigit() else accel_nasbench_choices
        return side | read(text)
    return side | {
        name: _value(name, line[name], menu)
        for name, menu in space.choices.items()
        if name != RESOLUTION or RESOLUTION in line
    }


def _member(space: Space, spec: ArchSpec) -> Choices | None:
    """The choices that make the stages of ``spec``, at its resolution where that is one."""
    own = replace(space.template, stages=spec.stages)
    if spec.resolution in space.resolutions:
        own = replace(own, resolution=spec.resolution)
    return space.choices_of(own)


def _value(name: str, text: str, menu: tuple[Value, ...]) -> Value:
    """The value of ``menu`` that ``text`` means: 6 and 6.0 are the same number."""
    for value in menu:
        if text == str(value) or (not isinstance(value, str) and _number(text) == value):
            return value
    raise ValueError(f"{name}={text!r:.40} is not one of {menu}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _prior(found: list[tuple[Choices, float]], space: Space, name: str) -> Prior:
    rows = space.indices([choices for choices, _ in found])
    return Prior(rows, np.array([accuracy for _, accuracy in found], dtype=float), name)
