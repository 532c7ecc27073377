"""Any bytes in the place of what a person hands over: a valid object or a clear ValueError."""

from __future__ import annotations

import gzip
import json
import pickle
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.units import parse_size, parse_target
from models.choose import choose
from models.cost import cost
from models.families import family
from models.pretrained import read_safetensors
from models.scale import scale
from models.spec import ArchSpec
from nas import prior
from nas.prior import read_prior
from nas.space import space
from scaling_search.coefficients import Coefficients, parse_coefficients, read_coefficients
from tests.support.strategies import specs
from tests.support.trials_helpers import Toy, drive
from trials.store.header import FILE_NAME, Header, read_header
from trials.store.study import JOURNAL_NAME, open_run, read_run

T = TypeVar("T")
MBCONV = space("mbconv")


def read(reader: Callable[..., T], *given: Any) -> T | None:
    """What ``reader`` makes of it; None where it refuses, which it must do in words."""
    try:
        return reader(*given)
    except ValueError as error:
        assert str(error).strip()
        return None


def read_bytes(reader: Callable[[Path], T], content: bytes, name: str = "file") -> T | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return read(reader, path)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` with some bytes changed, taken out, put in or cut off; or any bytes at all."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=6) | PIECES)
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=400))
    return bytes(content[: draw(st.just(None) | st.integers(0, len(content)))])


PIECES = st.sampled_from([b"-1", b"0", b"1e999", b"NaN", b"-Infinity", b"9" * 50, b"9" * 5000,
                          b"null", b"true", b'""', b"[]", b"{}", b'"\\ud800"', b"\0", b"\xff",
                          b"\n", b",", b'"', b"}", b"[" * 2000])  # fmt: skip

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([10**400, -1, 0, 1e308, 65536, "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, inner in pairs:
        found.append((value, key))
        if isinstance(inner, dict | list):
            found += places(inner)
    return found


@st.composite
def altered(draw: st.DrawFn, whole: str) -> str:
    """A JSON document with some values replaced, removed or added."""
    document = json.loads(whole)
    for _ in range(draw(st.integers(1, 3))):
        if not (found := places(document)):
            break
        container, key = draw(st.sampled_from(found))
        if draw(st.integers(0, 3)):
            container[key] = draw(json_values)
        else:
            del container[key]
    return json.dumps(document)


# ---------------------------------------------------------------- networks

B0 = family("efficientnet-b0").to_json()


@given(damaged(B0.encode()) | altered(B0).map(str.encode))
@example(json.dumps(json.loads(B0) | {"resolution": 10**400}).encode())
@example(json.dumps(json.loads(B0) | {"stages": json.loads(B0)["stages"] * 1500}).encode())
def test_a_spec_file(content: bytes) -> None:
    spec = read_bytes(lambda path: choose(str(path)), content)
    if spec is None:
        return
    assert ArchSpec.from_json(spec.to_json()) == spec
    spec.name.encode()
    found = read(cost, spec)  # None: the resolution is too small for the strides
    assert found is None or min(found) >= 0


@given(specs(), st.floats(), st.floats(), st.floats())
def test_scaling_by_anything(spec: ArchSpec, depth: float, width: float, side: float) -> None:
    scaled = read(scale, spec, depth, width, side)
    assert scaled is None or ArchSpec.from_json(scaled.to_json()) == scaled


@given(st.sampled_from(["mobilenet-v1", "mobilenet-v2", "rexnet"]),
       st.lists(st.floats().map(str) | st.text(max_size=4), max_size=3))  # fmt: skip
@example("rexnet", ["0"])
@example("rexnet", ["inf"])
@example("mobilenet-v1", ["1", "inf"])
def test_a_family_with_any_multipliers(prefix: str, numbers: list[str]) -> None:
    spec = read(family, "-".join([prefix, *numbers]))
    assert spec is None or ArchSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("text", ["~nobody-of-this-name/run", "\0", "a\0b", "x" * 500, "", "."])
def test_names_that_no_file_has(text: str) -> None:
    with pytest.raises((ValueError, OSError)):
        choose(text)


# ---------------------------------------------------------------- numbers


@given(st.text(max_size=30) | st.from_regex(r"[+-]?[0-9.eE]{1,20}\s?[KMGTBxX×]{0,2}"))
def test_sizes(text: str) -> None:
    for reader in (parse_size, lambda given: parse_target(given, 4e8)):
        found = read(reader, text)
        assert found is None or 0 < found < float("inf")


def check_coefficients(found: Coefficients | None) -> None:
    if found is not None:
        assert 0 < found.product < float("inf")
        for phi in (-1e300, -2.0, 0.5, 7.0):
            at = read(found.at, phi)
            assert at is None or 0 < at.product < float("inf")
        read(found.phi, 2.0)


COEFFICIENTS = '{"coefficients": {"alpha": 1.2, "beta": 1.1, "gamma": 1.15}}'


@given(st.text(max_size=40) | st.lists(st.floats().map(str), max_size=4).map(",".join)
       | altered(COEFFICIENTS))  # fmt: skip
@example("1,1,1E200")
@example("nan,1,1")
@example(COEFFICIENTS.replace("1.2", "9" * 400))
def test_coefficients(text: str) -> None:
    check_coefficients(read(parse_coefficients, text))


@given(damaged(COEFFICIENTS.encode()))
def test_a_file_of_coefficients(content: bytes) -> None:
    check_coefficients(read_bytes(lambda path: read_coefficients(str(path)), content))


# ---------------------------------------------------------------- a prior's table

CODE = "e6k3l1se0-e6k3l1se0-e6k3l1se0-e6k3l1se0-e6k3l1se0-e6k3l1se0-e6k3l1se0"
TABLES = [
    "architecture,accuracy\n" + "".join(f"{CODE},{70 + i}\n" for i in range(6)),
    ",".join([*MBCONV.names, "accuracy"]) + "\n" + "".join(
        ",".join(map(str, MBCONV.values(row).values())) + f",0.{i}\n"
        for i, row in enumerate(MBCONV.random(6, np.random.default_rng(0)), 1)),
]  # fmt: skip


def check_prior(found: prior.Prior | None) -> None:
    if found is not None:
        assert len(found.rows) == len(found.accuracy) >= prior.FEWEST
        assert np.isfinite(np.std(found.accuracy))


@pytest.mark.parametrize("table", TABLES, ids=["architecture", "columns"])
def test_the_undamaged_tables_are_read(table: str) -> None:
    assert read_bytes(lambda path: read_prior(path, MBCONV), table.encode()) is not None
    with_mark = read_bytes(lambda path: read_prior(path, MBCONV), table.encode("utf-8-sig"))
    assert with_mark is not None  # as spreadsheets write it


@given(st.sampled_from(TABLES).flatmap(lambda table: damaged(table.encode())), st.booleans())
def test_a_table(content: bytes, zipped: bool) -> None:
    packed = gzip.compress(content) if zipped else content
    check_prior(read_bytes(lambda path: read_prior(path, MBCONV), packed, "table.csv"))


@given(damaged(gzip.compress(TABLES[0].encode())))
def test_a_damaged_zipped_table(content: bytes) -> None:
    check_prior(read_bytes(lambda path: read_prior(path, MBCONV), content, "table.csv.gz"))


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"architecture,accuracy\n" + bytes(1 << 26)))
    monkeypatch.setattr("nas.prior.table._MOST_BYTES", 1 << 20)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"more than 1,048,576 bytes: give a part"):
        read_prior(path, MBCONV)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 23


# ---------------------------------------------------------------- run directories


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a small run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    drive(folder, 3, "random")
    return {name: (folder / name).read_bytes() for name in (FILE_NAME, JOURNAL_NAME)}


def looked_at(folder: Path) -> int:
    return len(read_run(folder, from_json=Toy.from_json).finished())


def resumed(folder: Path) -> int:
    settings = {"kind": "test", "seed": 7, "space": "toy", "trials": 12}
    with open_run(folder, settings, ["maximize"], from_json=Toy.from_json, resume=True) as run:
        for trial in run.interrupted():
            run.record(trial)
        return len(run.finished())


def check_run(files: dict[str, bytes]) -> None:
    for act in (looked_at, resumed):
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "run"
            folder.mkdir()
            for name, content in files.items():
                (folder / name).write_bytes(content)
            before = {path: path.read_bytes() for path in folder.iterdir()}
            found = read(act, folder)
            assert found is None or 0 <= found <= 3
            if act is looked_at:
                assert {path: path.read_bytes() for path in folder.iterdir()} == before


@given(st.data())
def test_a_header(finished: dict[str, bytes], data: st.DataObject) -> None:
    whole = finished[FILE_NAME]
    content = data.draw(damaged(whole) | altered(whole.decode()).map(str.encode))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE_NAME).write_bytes(content)
        found = read(read_header, Path(folder))
    if isinstance(found, Header):
        assert isinstance(found.settings["kind"], str)
        assert type(found.settings["seed"]) is int


@pytest.mark.parametrize("content", [b"[]", b"7", b"null", b'{"schema": 1}', b"[" * 100_000])
def test_a_header_of_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ValueError):
        read_header(tmp_path)


@settings(max_examples=60)
@given(st.data())
def test_a_run_with_a_damaged_header(finished: dict[str, bytes], data: st.DataObject) -> None:
    whole = finished[FILE_NAME]
    content = data.draw(damaged(whole) | altered(whole.decode()).map(str.encode))
    check_run({**finished, FILE_NAME: content})


@st.composite
def journals(draw: st.DrawFn, whole: bytes) -> bytes:
    """A journal with damaged bytes, or lines altered, repeated, moved or missing."""
    if draw(st.booleans()):
        return draw(damaged(whole))
    lines = whole.decode().splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        taken = draw(st.integers(0, 1))
        lines[at : at + taken] = draw(
            st.just([]) | altered(lines[at]).map(lambda line: [line]) | st.permutations(lines[at:])
        )
        if not lines:
            break
    return "".join(line + "\n" for line in lines).encode()


@settings(max_examples=150)
@given(st.data())
def test_a_run_with_a_damaged_journal(finished: dict[str, bytes], data: st.DataObject) -> None:
    check_run({**finished, JOURNAL_NAME: data.draw(journals(finished[JOURNAL_NAME]))})


# ---------------------------------------------------------------- weights


@given(st.binary(max_size=200) | st.binary(max_size=100).map(pickle.dumps))
def test_a_file_of_weights(content: bytes) -> None:
    found = read_bytes(lambda path: read_safetensors(str(path)), content)
    assert found is None or isinstance(found, dict)
