"""Optuna's private names: one file uses them, and this Optuna has them all."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import optuna
import pytest
from packaging.specifiers import SpecifierSet

from trials.store.optuna_trials import TESTED

ROOT = Path(__file__).parents[2]
ROOMS = ("common", "models", "training", "trials", "nas", "scaling_search", "reports")
HOME = "trials/store/optuna_trials.py"
# What HOME uses, by what has it.
USED = {
    "study": ("_storage", "_study_id", "_thread_local.cached_all_trials"),
    "trial": ("_trial_id", "_suggest", "_cached_frozen_trial"),
    "frozen trial": ("_trial_id",),
}
OF_NAMEDTUPLES = ("_asdict", "_replace", "_fields", "_make")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in OF_NAMEDTUPLES


def private_names(source: str) -> set[str]:
    """Of functions, classes and attributes."""
    nodes = list(ast.walk(ast.parse(source)))
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return set(
        filter(is_private, defined | {n.attr for n in nodes if isinstance(n, ast.Attribute)})
    )


@cache
def of_optuna() -> set[str]:
    files = Path(optuna.__file__).parent.rglob("*.py")
    return set().union(*(private_names(path.read_text("utf-8")) for path in files))


@cache
def of_class(kind: type) -> set[str]:
    """Of a class of Optuna's and its bases."""
    bases = [base for base in kind.__mro__ if base.__module__.startswith("optuna.")]
    return set().union(*(private_names(textwrap.dedent(inspect.getsource(b))) for b in bases))


@cache
def sources() -> dict[str, ast.Module]:
    """Every file of the project."""
    paths = (p for room in (*ROOMS, "benchmarks", "tests") for p in (ROOT / room).rglob("*.py"))
    return {p.relative_to(ROOT).as_posix(): ast.parse(p.read_text("utf-8")) for p in paths}


def bound(tree: ast.AST) -> dict[str, Any]:
    """What a file's imports of Optuna stand for."""
    found: dict[str, Any] = {"optuna": optuna}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "optuna":
            module = importlib.import_module(node.module or "")
            found |= {item.asname or item.name: getattr(module, item.name) for item in node.names}
    return found


@cache
def inherited() -> dict[str, set[str]]:
    """What the project's classes have from Optuna's, by the class's name."""
    found: dict[str, set[str]] = {}
    before = -1
    while len(found) > before:  # again, as long as there are classes of classes of Optuna's
        before = len(found)
        for tree in sources().values():
            known = bound(tree)
            for node in ast.walk(tree):
                for base in map(ast.unparse, node.bases if isinstance(node, ast.ClassDef) else []):
                    first, _, rest = base.partition(".")
                    if first in known:
                        kind = attrgetter(rest)(known[first]) if rest else known[first]
                        found.setdefault(node.name, set()).update(of_class(kind))
                    elif base in found:
                        found.setdefault(node.name, set()).update(found[base])
    return found


def uses(tree: ast.AST, mine: frozenset[str] = frozenset()) -> Iterator[str]:
    """Optuna's private names that a file touches; `mine` are those that its `self` inherits."""
    for node in ast.iter_child_nodes(tree):
        inside = mine
        match node:
            case ast.ClassDef(name=name, body=body):
                inside = frozenset(inherited().get(name, ()))
                defined = (item.name for item in body if isinstance(item, ast.FunctionDef))
                yield from (name for name in defined if name in inside)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                yield from {name} & mine
            case ast.Attribute(attr=name):
                yield from {name} & of_optuna()
            case ast.Call(args=[_, ast.Constant(value=str(name)), *_]):  # getattr and its like
                yield from {name} & of_optuna()
            case ast.ImportFrom(module=str(module), names=names):
                paths = [f"{module}.{item.name}" for item in names]
                yield from filter(is_private, of_paths(paths))
            case ast.Import(names=names):
                yield from filter(is_private, of_paths([item.name for item in names]))
        yield from uses(node, inside)


def of_paths(paths: list[str]) -> list[str]:
    """The parts of the paths that lead into Optuna."""
    return [part for path in paths if path.startswith("optuna.") for part in path.split(".")]


# A benchmark, of which nothing else imports, that tells a rival what it has no public place for.
RIVALS = {"benchmarks/rivals/of_optuna.py": ["_gpr", "_optimize_acqf"]}


def test_no_other_file_touches_them() -> None:
    found = {name: sorted(set(uses(tree))) for name, tree in sources().items() if name != HOME}
    assert {name: names for name, names in found.items() if names} == RIVALS


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("run.study._storage.get_trial(0)", ["_storage"]),
        ("getattr(study, '_storage')", ["_storage"]),
        ("patch.setattr(study, '_study_id', 1)", ["_study_id"]),
        ("from optuna.study._tell import _tell_with_warning", ["_tell", "_tell_with_warning"]),
        ("import optuna.study._tell", ["_tell"]),
        ("class _Redrawn:\n def f(self): self._cached_frozen_trial", ["_cached_frozen_trial"]),
        ("class _Redrawn:\n def _suggest(self): ...", ["_suggest"]),
        ("class Other:\n def f(self): self._study_id, self._storage", []),
        ("cost._asdict(), controller._policy", []),
    ],
)
def test_the_search_finds_what_it_should(source: str, found: list[str]) -> None:
    assert list(uses(ast.parse(source))) == found


def test_classes_of_classes_are_found() -> None:
    assert {"Backend", "_Redrawn", "PlainGrid", "NetworkSampler"} <= inherited().keys()


@pytest.mark.parametrize(("owner", "name"), [(o, n) for o, names in USED.items() for n in names])
def test_this_optuna_has_them(owner: str, name: str) -> None:
    study = optuna.create_study()
    trial = study.ask()
    has = {"study": study, "trial": trial, "frozen trial": study.trials[0]}[owner]
    try:
        attrgetter(name)(has)
    except AttributeError:
        pytest.fail(f"in Optuna {optuna.__version__} no {owner} has a {name}, as {HOME} needs")


def test_the_list_is_whole() -> None:
    dotted = ".".join(name for names in USED.values() for name in names)
    assert set(uses(sources()[HOME])) == set(filter(is_private, dotted.split(".")))


def test_this_optuna_is_one_of_those_tested() -> None:
    assert optuna.__version__ in SpecifierSet(TESTED), (
        f"Optuna {optuna.__version__} is not in {TESTED}: if the tests pass with it, widen TESTED "
        f"in {HOME} and the range in pyproject.toml"
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (asked,) = (item for item in project["dependencies"] if re.match(r"optuna\b", item))
    assert asked == f"optuna{TESTED}"
