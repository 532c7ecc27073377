"""One self-contained HTML page: text, tables and figures in order, everything escaped."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from trials.caution import Caution

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --strong: #1f6feb; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; }
body { margin: 2.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { margin-top: 2.4rem; font-size: 1.2rem; }
.lead { font-size: 1.15rem; border-left: 4px solid var(--strong); padding: .2rem 0 .2rem 1rem; }
figure { margin: 1.2rem 0; } img { max-width: 100%; background: #fff; border-radius: 6px; }
figcaption, .note { color: #777; font-size: .9rem; }
.caution { border-left: 4px solid #b54708; padding: .4rem 1rem; background: #b5470818; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; } thead th { background: var(--soft); }
tr.chosen td { font-weight: 600; } code { font-size: .9em; overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; font-size: .85rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1rem; }
.gallery figure { margin: 0; } .gallery figcaption { overflow-wrap: anywhere; }
.gallery img { width: 100%; image-rendering: pixelated; }
.matrix th, .matrix td { padding: .15rem .4rem; min-width: 1.4rem; }
.matrix thead th { writing-mode: vertical-rl; text-align: left; vertical-align: bottom; }
.matrix thead th { padding: .5rem .15rem; }
.matrix th { max-height: 12rem; overflow-wrap: anywhere; font-weight: 400; }
.matrix td { text-align: center; print-color-adjust: exact; }
SHADES
@media (max-width: 600px) {
  body { margin: 1rem auto; font-size: 15px; } h1 { font-size: 1.35rem; overflow-wrap: anywhere; }
  .lead { font-size: 1.05rem; overflow-wrap: anywhere; } th, td { padding: .25rem .4rem; }
  figure { overflow-x: auto; } img { max-width: none; width: 40rem; }
}
@media (prefers-color-scheme: dark) { img.drawn { filter: invert(.93) hue-rotate(180deg); } }
.interactive { margin: 1.2rem 0; } .vega-bind { display: block; font-size: .9rem; }
@media print {
  .interactive { display: none; }
  :root { color-scheme: light; } body { max-width: none; margin: 0; font-size: 10pt; }
  h2 { break-after: avoid; } figure, tr { break-inside: avoid; } .scroll { overflow: visible; }
  table { font-size: 7.5pt; } th, td { padding: .1rem .25rem; overflow-wrap: anywhere; }
}
"""

_TENTHS = range(1, 11)
_STYLE = _STYLE.replace(
    "SHADES",
    # Half transparent at the most: numbers stay readable on light pages and on dark ones.
    "\n".join(
        f".right{n} {{ background: rgb(31 111 235 / {n / 20}); }} "
        f".wrong{n} {{ background: rgb(209 36 47 / {n / 20}); }}"
        for n in _TENTHS
    ),
)


class Page:
    """Pieces are added in the order in which they are read; ``write`` makes the file."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._pieces: list[str] = []
        self._libraries: list[str] = []

    def heading(self, text: str) -> None:
        self._pieces.append(f"<h2>{html.escape(text)}</h2>")

    def lead(self, text: str) -> None:
        """The answer, in a sentence or two."""
        self._pieces.append(f'<p class="lead">{html.escape(text)}</p>')

    def caution(self, found: Caution) -> None:
        """What must be read before the answer."""
        first, then = html.escape(found.said), html.escape(found.change)
        self._pieces.append(
            f'<p class="caution"><strong>{first}</strong> What to change: {then}.</p>'
        )

    def text(self, text: str) -> None:
        self._pieces.append(f"<p>{html.escape(text)}</p>")

    def note(self, text: str) -> None:
        """What a careful reader needs to know, in small print."""
        self._pieces.append(f'<p class="note">{html.escape(text)}</p>')

    def onward(self, commands: Mapping[str, str]) -> None:
        """What to do next: commands by what they are for."""
        self.heading("What to do next")
        for what, command in commands.items():
            self.text(f"{what}:")
            self.code(command)

    def code(self, text: str) -> None:
        self._pieces.append(f"<pre><code>{html.escape(text)}</code></pre>")

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[object]],
        chosen: int | None = None,
    ) -> None:
        """Rows of cells, printed as given; the row ``chosen`` stands out."""
        cells = ["".join(f"<th>{html.escape(name)}</th>" for name in head)]
        body = []
        for i, row in enumerate(rows):
            mark = ' class="chosen"' if i == chosen else ""
            body.append(
                f"<tr{mark}>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>"
            )
        self._pieces.append(
            f'<div class="scroll"><table><thead><tr>{cells[0]}</tr></thead>'
            f"<tbody>{''.join(body)}</tbody></table></div>"
        )

    def matrix(self, names: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
        """Counts by two of the same names, one a row and one a column; cells are shaded by their
        share of the row, the diagonal in another colour, and 0 is left empty."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("", *names))
        body = []
        for i, (name, row) in enumerate(zip(names, counts, strict=True)):
            cells = "".join(_cell(count, sum(row), i == j) for j, count in enumerate(row))
            body.append(f"<tr><th>{html.escape(name)}</th>{cells}</tr>")
        self._pieces.append(
            f'<div class="scroll"><table class="matrix"><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(body)}</tbody></table></div>"
        )

    def figure(self, path: Path, caption: str, kind: str = "drawn") -> None:
        """The PNG at ``path``, inside the page, with its caption as the text for non-readers;
        ``kind`` is "seen" where it shows photographs."""
        self._pieces.append(_figure(path, caption, kind))

    def gallery(self, pictures: Sequence[tuple[Path, str]]) -> None:
        """Small photographs, PNGs, beside one another, each with its caption."""
        figures = "".join(_figure(path, caption, "seen") for path, caption in pictures)
        self._pieces.append(f'<div class="gallery">{figures}</div>')

    def script(self, library: str, pieces: Sequence[str]) -> None:
        """``pieces`` are HTML as it is, which use the library; that is put in once."""
        if library not in self._libraries:
            self._libraries.append(library)
        self._pieces.extend(pieces)

    def write(self, path: Path) -> None:
        title = html.escape(self._title)
        path.write_text(
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>{_STYLE}</style>"
            + "".join(f"<script>{code}</script>" for code in self._libraries)
            + f"</head><body><h1>{title}</h1>\n"
            + "\n".join(self._pieces)
            + "\n</body></html>\n",
            encoding="utf-8",
            errors="backslashreplace",  # names of files need not be text
        )


def _figure(path: Path, caption: str, kind: str) -> str:
    """What is ``drawn`` is inverted on dark pages; what was ``seen`` is not."""
    encoded = base64.b64encode(path.read_bytes()).decode()
    text = html.escape(caption)
    return (
        f'<figure><img class="{kind}" alt="{text}" src="data:image/png;base64,{encoded}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _cell(count: int, of: int, right: bool) -> str:
    """A cell of a matrix; ``right``: on its diagonal."""
    if not count:
        return "<td></td>"
    tenth = -(-10 * count // of)
    return f'<td class="{"right" if right else "wrong"}{tenth}">{count}</td>'
