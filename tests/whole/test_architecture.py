"""Imports run one way, and what must stay light stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("models", "training", "trials", "nas", "scaling_search", "reports")
# What each room may import of the others. Command lines alone may reach further.
ALLOWED = {
    "models": set(),
    "trials": {"models"},
    "training": {"models", "trials"},
    "nas": {"models", "trials"},
    "scaling_search": {"models", "trials"},
    "reports": {"models", "trials", "nas", "scaling_search"},
}
COMMANDS = {
    "nas/search/__main__.py": {"training", "reports"},
    "scaling_search/commands/search.py": {"training", "reports"},
    "scaling_search/commands/study.py": {"training", "reports"},
}


def imported(path: Path) -> set[str]:
    """Rooms that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found & set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        allowed = ALLOWED[room] | COMMANDS.get(name, set()) | {room}
        assert imported(path) <= allowed, name


@pytest.mark.parametrize(
    "module",
    [
        "models.spec",
        "models.cost",
        "models.scale",
        "models.families",
        "trials.loop",
        "trials.workers.pool",
        "nas.search",
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
