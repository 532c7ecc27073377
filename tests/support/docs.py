"""The examples of the documentation, as the programs that they are."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def example(page: str, heading: str) -> str:
    """The first Python block under a heading of a page."""
    text = (DOCS / page).read_text("utf-8")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None, f"{page}: no example under {heading!r}"
    return found[1]
