"""The front to look into: its numbers are the search's, and it works in a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.objective import Objective
from nas.result import SearchResult, candidates
from nas.search import search
from nas.space import space
from reports.nas import report
from reports.page import Page
from reports.sections.interactive import chart, embedded, library
from tests.nas.test_nas_search import stub
from tests.support.browser import opened

OBJECTIVE = Objective(400e6)
# What ranks the networks that are drawn, as the page's own code has it at the moment.
RINGED = """() => document.querySelector("#look svg").textContent"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchResult]:
    run_dir = tmp_path_factory.mktemp("run")
    found = search(space("mbconv"), stub, trials=10, seed=1, run_dir=run_dir)
    report(run_dir)
    return run_dir, found


def evaluations(found: SearchResult):  # type: ignore[no-untyped-def]
    return {one.number: one.evaluation for one in found.trials}


def test_rows_are_the_searchs(run: tuple[Path, SearchResult]) -> None:
    _, found = run
    trained = candidates(found.trials, OBJECTIVE)
    made = chart(found, trained, evaluations(found), OBJECTIVE, "macs")
    rows = made["data"]["values"]
    assert [(row["trial"], row["cost"], row["accuracy"]) for row in rows] == [
        (one.number, one.cost, one.accuracy) for one in trained
    ]
    assert [row["trial"] for row in rows if row["is"] == "chosen"] == [found.best.number]
    drawn = {row["trial"] for row in rows if row["is"] != "trained"}
    assert drawn == {one.number for one in found.front} | {found.best.number}
    assert all(
        f"stage{len(one.spec.stages) - 1}" in row for one, row in zip(trained, rows, strict=True)
    )


def test_no_name_ends_the_script() -> None:
    pieces = embedded({"name": "</script><script>alert(1)</script>"})
    assert "".join(pieces).count("</script>") == 1


def test_without_the_libraries_the_page_has_its_pictures(
    run: tuple[Path, SearchResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.sections.interactive.library", lambda: None)
    page = report(run[0]).read_text("utf-8")
    assert "vegaEmbed" not in page
    assert page.count("<img") >= 2


@pytest.mark.chromium
def test_sliders_rank_the_networks_anew(run: tuple[Path, SearchResult]) -> None:
    pytest.importorskip("vl_convert", reason="extra interactive")
    run_dir, found = run
    trained = candidates(found.trials, OBJECTIVE)
    for w in (-0.07, 0.0, -0.5):
        ranked = Objective(400e6, w=w)
        best = max(trained, key=lambda one: ranked.reward(one.accuracy, one.cost))
        with opened(report(run_dir)) as page:
            page.wait_for_selector("#look svg")
            sliders = page.locator("#look input[type=range]")
            sliders.nth(1).fill(str(w))
            page.wait_for_function(f"({RINGED})().includes({json.dumps(best.spec.name)})")


@pytest.mark.chromium
def test_hovering_tells_a_networks_stages(run: tuple[Path, SearchResult]) -> None:
    pytest.importorskip("vl_convert", reason="extra interactive")
    with opened(report(run[0])) as page:
        page.locator("#look svg path[aria-roledescription=point]").first.hover(force=True)
        page.wait_for_selector("#vg-tooltip-element.visible")
        said = page.locator("#vg-tooltip-element").inner_text()
    assert "stage 0" in said
    assert "expansion" in said


@pytest.mark.chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_pages_fit_and_are_quiet(run: tuple[Path, SearchResult], width: int, dark: bool) -> None:
    with opened(report(run[0]), width, dark) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        shade = "getComputedStyle(document.querySelector('img.drawn')).filter"
        assert page.evaluate(shade).startswith("invert" if dark else "none")
        page.emulate_media(media="print")
        for chart_ in page.locator(".interactive").all():
            assert not chart_.is_visible()


@pytest.mark.chromium
def test_hostile_names_are_text(tmp_path: Path) -> None:
    hostile = (
        "<img src=x onerror=\"document.title='taken'\"></script><script>document.title=1</script>"
    )
    page = Page(hostile)
    page.lead(hostile)
    page.table([hostile], [[hostile]])
    code = library() or ""
    spec = {"data": {"values": [{"a": 1}]}, "mark": "point", "title": hostile}
    if code:
        page.script(code, embedded(spec))
    page.write(tmp_path / "page.html")
    with opened(tmp_path / "page.html") as shown:
        assert shown.title() == hostile
        assert shown.locator("h1").inner_text() == hostile
