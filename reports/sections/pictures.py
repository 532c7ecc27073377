"""The pictures that a run was trained on, and how."""

from __future__ import annotations

from typing import Any

from reports.page import Page


def _trained_for(epochs: int) -> str:
    return f"{epochs} epochs" if epochs else "no training: inherited weights as they are"


def _seen(recipe: dict[str, Any]) -> str:
    if recipe["resolution"] is None:
        return "networks see them at their own resolutions"
    strides = recipe["drop_strides"]
    first = f"{strides} strides" if strides > 1 else "stride"
    without = f" with its first {first} taken out" if strides else ""
    return (
        f"the proxy sees a {recipe['reference']}-pixel network at {recipe['resolution']} "
        f"pixels{without}"
    )


def about_pictures(page: Page, settings: dict[str, Any]) -> None:
    """The pictures, what was skipped or enlarged, and the proxy recipe."""
    data, recipe = settings.get("data"), settings.get("recipe")
    if not data or not recipe:
        return
    page.text(
        f"Pictures: {data['name']} ({data['digest']}), {len(data['classes'])} classes, "
        f"{data['train']} for training and {data['validation']} for validation, "
        f"{data['native_size']} pixels; {_seen(recipe)}, {_trained_for(recipe['epochs'])} "
        f"(recipe {recipe['key']})."
    )
    if data["enlarged"]:
        page.text(f"{100 * data['enlarged']:.1f} % of the pictures had to be enlarged.")
    if skipped := data["skipped"]:
        page.heading("Pictures that could not be read")
        page.table(["file", "reason"], skipped)
