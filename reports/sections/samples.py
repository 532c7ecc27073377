"""The pictures on a page: one of each class, as networks see them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports.page import Page


def show_samples(page: Page, run_dir: Path, settings: Mapping[str, Any]) -> None:
    """The samples that the run kept of its classes; nothing for runs that kept none."""
    classes = (settings.get("data") or {}).get("classes", ())
    places = [(run_dir / "samples" / f"{number}.png", name) for number, name in enumerate(classes)]
    if kept := [(path, name) for path, name in places if path.is_file()]:
        some = f"{len(kept)} of {len(classes)} classes, " if len(kept) < len(classes) else ""
        page.text(f"A training picture of each class, {some}as the networks' pictures are stored:")
        page.gallery(kept)
