"""Imports run one way, and what must stay light stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What each room may import of the others. Command files alone may reach further.
ALLOWED: dict[str, set[str]] = {
    "common": set(),
    "models": {"common"},
    "trials": {"common", "models"},
    "training": {"common", "models", "trials"},
    "nas": {"common", "models", "trials"},
    "scaling_search": {"common", "models", "trials"},
    "reports": {"common", "models", "trials", "nas", "scaling_search"},
}
ROOMS = tuple(ALLOWED)
MOST_ON_A_FLOOR = 15  # files and sub-rooms of one room: what a reader takes in at a glance


def module_name(path: Path) -> str:
    """``nas/search/__init__.py`` → ``nas.search``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for room in ROOMS for path in (ROOT / room).rglob("*.py")}


def imported(path: Path) -> set[str]:
    """The files of the project that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # ``from nas import samplers`` is a module, ``from nas.pareto import front`` a name.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & FILES.keys()) or {node.module}
    return found & FILES.keys() - {module_name(path)}


def is_command(path: Path) -> bool:
    return path.name == "__main__.py" or path.parent.name == "commands"


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        if not is_command(path):
            rooms = {name.partition(".")[0] for name in imported(path)}
            assert rooms <= ALLOWED[room] | {room}, path


def test_searches_know_nothing_of_each_other() -> None:
    """Not even in their command files, which may reach up."""
    for room, other in (("nas", "scaling_search"), ("scaling_search", "nas")):
        for path in (ROOT / room).rglob("*.py"):
            assert not any(name.startswith(f"{other}.") for name in imported(path)), path


def test_no_files_import_in_a_circle() -> None:
    graph = {name: imported(path) for name, path in FILES.items()}
    with_one = TopologicalSorter({"a": {"b"}, "b": {"a"}})
    with pytest.raises(CycleError):  # it does find one
        with_one.prepare()
    TopologicalSorter(graph).prepare()


def test_rooms_can_be_taken_in_at_a_glance() -> None:
    rooms = [path for room in ROOMS for path in (ROOT / room, *(ROOT / room).rglob("*"))]
    for room in rooms:
        if room.is_dir() and room.name != "__pycache__":
            floor = [p for p in room.iterdir() if p.suffix == ".py" and p.stem[:2] != "__"]
            floor += [p for p in room.iterdir() if (p / "__init__.py").exists()]
            assert len(floor) <= MOST_ON_A_FLOOR, f"{room}: {len(floor)}"


@pytest.mark.parametrize(
    "module",
    [
        "models.spec",
        "models.cost",
        "models.scale",
        "models.families",
        "trials.loop",
        "trials.conduct",
        "trials.workers.pool",
        "nas.search.searching",
        "scaling_search.search",
    ],
)
def test_searches_and_arithmetic_do_not_load_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_docstrings_are_kept() -> None:
    """A docstring after the future import would be lost."""
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            assert ast.get_docstring(ast.parse(path.read_text())), path
