"""Pictures for print beside a page's own: SVG and PDF at journal sizes.

Each is ``NAME-84mm`` (a column) and ``NAME-174mm`` (a page). Text is text, in 7 points at either
size, and its font is inside the file: in a PDF as TrueType, in an SVG as a subset of the letters.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from html import unescape
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from common.command import path
from common.paths import check_directory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS = {174: 0.85, 84: 0.6}  # millimetres: how large markers are, of what they are on the page
POINTS = 7  # of all text
_INCH = 25.4  # millimetres
_ROW = 3.8  # millimetres of a legend's row
_LETTER = 1.35  # millimetres of one, in the mean
_FLATTEST = 0.55  # height of what is drawn, of its width
_SHORT = 24  # letters of labels of which two stand side by side, and of the shortest line
_directory: ContextVar[Path | None] = ContextVar("directory", default=None)


def add_figures(parser: argparse.ArgumentParser) -> None:
    """--figures; ``printed`` is then what the pictures are drawn in."""
    parser.add_argument(
        "--figures",
        type=path,
        metavar="DIR",
        help="write the pictures there too, as SVG and PDF at journal sizes: 84 and 174 mm wide",
    )


@contextmanager
def printed(directory: Path | None) -> Iterator[None]:
    """A block in which whatever is drawn is written for print too; None: as ever.

    Raises ValueError for a directory that cannot be written in.
    """
    if directory is not None:
        check_directory(directory)
    token = _directory.set(directory)
    try:
        yield
    finally:
        _directory.reset(token)


def for_print(figure: Figure, name: str) -> None:
    """Write a figure for print, where that is asked for. It is changed."""
    if (directory := _directory.get()) is None:
        return
    import matplotlib  # a second to load, which --help need not wait for

    before = 1.0
    for width, scale in WIDTHS.items():
        _resize(figure, width, scale / before)
        before = scale
        stem = directory / f"{name}-{width}mm"
        with matplotlib.rc_context(
            {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "evenscale"}
        ):
            figure.savefig(stem.with_suffix(".pdf"), metadata={"CreationDate": None})
            text = io.StringIO()
            figure.savefig(text, format="svg", metadata={"Date": None})
        stem.with_suffix(".svg").write_text(_with_font(text.getvalue()), "utf-8")


def _resize(figure: Figure, width: int, scale: float) -> None:
    """To so many millimetres, with its markers at ``scale`` of what they are."""
    from matplotlib.collections import PathCollection
    from matplotlib.text import Text

    for axes in figure.axes:
        for line in axes.lines:
            line.set_markersize(line.get_markersize() * scale)
        for points in axes.collections:
            if isinstance(points, PathCollection):
                points.set_sizes(points.get_sizes() * scale**2)
    inches, tall = figure.get_size_inches()
    height = width * max(tall / inches, _FLATTEST)
    rows = _legend_below(figure) if width == min(WIDTHS) else 0
    figure.set_size_inches(width / _INCH, (height + rows * _ROW) / _INCH)
    for axes in figure.axes:
        axes.tick_params(labelsize=POINTS)
    for text in figure.findobj(Text):
        text.set_fontsize(POINTS)
    figure.draw_without_rendering()  # which lays it out: labels are as long as their axes
    for axes in figure.axes:
        across, up = (_INCH / figure.dpi * one for one in axes.get_window_extent().size)
        axes.set_xlabel(_wrapped(axes.get_xlabel(), across))
        axes.set_ylabel(_wrapped(axes.get_ylabel(), up))


def _wrapped(text: str, millimetres: float) -> str:
    return fill(text, max(_SHORT, int(millimetres / _LETTER)))


def _legend_below(figure: Figure) -> int:
    """Put all legends, which would take a column's room, below the axes; the rows of that."""
    if not figure.legends and not any(axes.get_legend() for axes in figure.axes):
        return 0
    found: dict[str, Any] = {}
    for axes in figure.axes:
        if (own := axes.get_legend()) is not None:
            own.remove()
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    for legend in list(figure.legends):
        legend.remove()
    columns = 2 if max(map(len, found)) <= _SHORT else 1
    figure.legend(
        found.values(), found, loc="outside lower center", ncols=columns, frameon=False,
        fontsize=POINTS, labelspacing=0.3,
    )  # fmt: skip
    return -(-len(found) // columns)


def _with_font(svg: str) -> str:
    """The picture with the letters that it shows, as a font inside it."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont
    from matplotlib.font_manager import FontProperties, findfont

    font = TTFont(findfont(FontProperties(family="DejaVu Sans")), recalcTimestamp=False)
    shown = unescape("".join(re.findall(r">([^<]+)</(?:text|tspan)>", svg)))
    options = Options(layout_features=[])
    options.drop_tables += ["FFTM"]  # FontForge's own time stamps, of which it would warn
    letters = Subsetter(options)
    letters.populate(text=shown)
    letters.subset(font)
    file = io.BytesIO()
    font.save(file)
    data = base64.b64encode(file.getvalue()).decode()
    style = f"@font-face {{ font-family: 'DejaVu Sans'; src: url(data:font/ttf;base64,{data}); }}"
    return svg.replace("<defs>", f"<defs><style>{style}</style></defs>\n <defs>", 1)
