"""What failed in a run, on its page."""

from __future__ import annotations

from collections.abc import Sequence

from reports.page import Page
from trials.store.view import Record

_TRACEBACKS = 3


def show_failures(page: Page, records: Sequence[Record]) -> None:
    """Every trial that failed and every one that was retried, and the first few different
    tracebacks; nothing where there are none."""
    rows: list[list[str]] = []
    tracebacks: dict[str, int] = {}
    for record in records:
        for failure, note in ((record.failure, ""), (record.retried, " (tried again)")):
            if failure is not None:
                number, name = str(record.number), record.spec.name
                rows.append([number, name, failure.kind + note, failure.reason])
                tracebacks.setdefault(failure.traceback.strip(), record.number)
    if not rows:
        return
    page.heading("Failures")
    page.table(["trial", "network", "kind", "reason"], rows)
    for text, first in list(tracebacks.items())[:_TRACEBACKS]:
        if text:
            page.note(f"Trial {first}:")
            page.code(text)
