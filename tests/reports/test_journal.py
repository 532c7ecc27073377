"""Pictures for print: SVG and PDF of the sizes that were promised, text as text, fonts inside."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fontTools.ttLib import TTFont

from nas.search import search
from nas.space import space
from reports.__main__ import main
from reports.figures import new_figure, save
from reports.journal import printed
from tests.nas.test_nas_search import stub
from tests.support.command import assert_refused, in_process

INCH, POINT = 25.4, 72


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("figures")
    search(space("mbconv"), stub, trials=4, run_dir=place / "run")
    main([str(place / "run"), "--figures", str(place / "print")])
    return place


def test_every_picture_of_the_page_is_there(drawn: Path) -> None:
    pictures = {path.stem for path in (drawn / "run").glob("*.png")}
    assert {"pareto", "history"} <= pictures
    assert {path.name for path in (drawn / "print").iterdir()} == {
        f"{name}-{width}mm.{kind}"
        for name in pictures
        for width in (84, 174)
        for kind in ("svg", "pdf")
    }


@pytest.mark.parametrize("width", [84, 174])
def test_sizes_text_and_fonts(drawn: Path, width: int) -> None:
    path = drawn / "print" / f"pareto-{width}mm"
    root = ElementTree.parse(path.with_suffix(".svg")).getroot()
    assert float(root.attrib["width"].removesuffix("pt")) / POINT * INCH == pytest.approx(width)
    shown = "".join("".join(node.itertext()) for node in root.iter() if "}text" in node.tag)
    assert "Pareto front" in shown
    (data,) = re.findall(r"font/ttf;base64,([^)]+)\)", path.with_suffix(".svg").read_text())
    font = TTFont(io.BytesIO(base64.b64decode(data)))
    assert {ord(letter) for letter in shown if letter.isprintable()} <= font.getBestCmap().keys()
    pdf = path.with_suffix(".pdf").read_bytes()
    (box,) = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+)", pdf)
    assert float(box) / POINT * INCH == pytest.approx(width, abs=0.01)
    assert b"/FontFile2" in pdf  # TrueType, inside the file
    assert b"/Type3" not in pdf


def test_text_is_of_one_size_and_inside(tmp_path: Path) -> None:
    figure, axes = new_figure()
    axes.plot([1, 2], [3, 4], label="a line that has a name")
    axes.set_xlabel("a label that is very much longer than the axes of a column are wide " * 2)
    axes.legend()
    with printed(tmp_path):
        save(figure, tmp_path / "page.png")
    text = (tmp_path / "page-84mm.svg").read_text()
    assert set(re.findall(r"font(?:-size)?: ([\d.]+)px", text)) == {"7"}
    assert "a line that has a name" in text
    bottom = axes.xaxis.label.get_window_extent()
    assert bottom.x0 >= 0
    assert bottom.x1 <= figure.bbox.x1


def test_nothing_is_written_unasked(tmp_path: Path) -> None:
    figure, _ = new_figure()
    save(figure, tmp_path / "page.png")
    with printed(None):
        figure, _ = new_figure()
        save(figure, tmp_path / "page.png")
    assert [path.name for path in tmp_path.iterdir()] == ["page.png"]


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        figure, axes = new_figure()
        axes.plot([1, 2], [3, 4])
        with printed(tmp_path / name):
            save(figure, tmp_path / "page.png")
        found.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert found[0] == found[1]


def test_a_place_that_cannot_be_written_in(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = drawn / "run" / "run.json"
    done = in_process(main, [drawn / "run", "--figures", file], capsys)
    assert_refused(done, "cannot write in")
