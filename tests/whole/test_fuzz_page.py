"""What people, files and failures say stands in a page as text, whatever it is."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from nas.search.__main__ import main as nas_command
from reports.__main__ import main as reports_command
from reports.page import Page
from scaling_search.__main__ import main as scaling_command
from tests.support.command import in_process
from training.data import Data, load
from trials.workers.pool import Executor, InProcess

HOSTILE = "<script>alert(\"1\")</script><img src=x onerror='alert(2)'>&amp;$\\nothing$"
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY"
                         "42YAAAAASUVORK5CYII=")  # fmt: skip
OURS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "pre", "code", "div",
        "table", "thead", "tbody", "tr", "th", "td", "figure", "img", "figcaption",
        "strong"}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "name", "content", "class", "alt", "src"}


@pytest.fixture(autouse=True, scope="module")
def nothing_active() -> Iterator[None]:
    """Pages without the charts, whose scripts tests/reports/test_interactive.py is about."""
    with mock.patch("reports.sections.interactive.library", return_value=None):
        yield


class Reader(HTMLParser):
    """A page as a browser takes it: elements, their attributes, and the text that is shown."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: dict[str, list[str]] = {}
        self.shown: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        self.shown.append(data)

    @property
    def text(self) -> str:
        return "".join(self.shown)


def opened(path: Path) -> Reader:
    """The page, after checking that nothing in it is active or from elsewhere."""
    found = Reader(path.read_text("utf-8"))
    assert found.tags <= OURS
    assert set(found.attributes) <= ATTRIBUTES
    assert all(text.startswith("data:image/png;base64,") for text in found.attributes["src"])
    return found


def normal(text: str) -> str:
    """As HTML has it: one kind of line end, and no half characters, which UTF-8 cannot write."""
    readable = text.encode("utf-8", "backslashreplace").decode()
    return readable.replace("\r\n", "\n").replace("\r", "\n")


PIECES = ["<script>", "</p>", "<b onclick=a>", "&lt;", "&#60", "&amp", "<!--", "]]>", '" onload="',
          "' x='", "<", ">", "</title>", "</figcaption>"]  # fmt: skip
ANYTHING = st.lists(
    st.sampled_from(PIECES) | st.text(st.characters(exclude_characters="\0\x0c"), max_size=4),
    max_size=5,
).map("".join)


@pytest.mark.parametrize(
    "kind",
    ["heading", "lead", "text", "note", "code", "table", "figure", "matrix", "gallery"],
)
@settings(max_examples=30)
@given(ANYTHING)
@example("".join(PIECES))
def test_any_text_is_shown_as_it_is(kind: str, text: str) -> None:
    page = Page(f"title {text} end")
    with tempfile.TemporaryDirectory() as folder:
        picture, path = Path(folder) / "a.png", Path(folder) / "page.html"
        picture.write_bytes(PIXEL)
        pieces: dict[str, Callable[[], None]] = {
            "table": lambda: page.table([f"«{text}»"], [[f"«{text}»"]], 0),
            "figure": lambda: page.figure(picture, f"«{text}»"),
            "matrix": lambda: page.matrix([f"«{text}»", "b"], [[1, 2], [0, 0]]),
            "gallery": lambda: page.gallery([(picture, f"«{text}»")]),
        }
        pieces.get(kind, lambda: getattr(page, kind)(f"«{text}»"))()
        page.figure(picture, "so that there is one")
        page.write(path)
        found = opened(path)
    assert f"«{normal(text)}»" in normal(found.text)
    assert f"title {normal(text)} end" in normal(found.text)
    if kind in ("figure", "gallery"):
        assert f"«{normal(text)}»" in [normal(value) for value in found.attributes["alt"]]


# ---------------------------------------------------------------- whole pages


class Scorer:
    """In the place of training: larger is better; every third candidate fails in hostile words."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, spec: ArchSpec, seed: int) -> float:
        self.calls += 1
        if self.calls % 3 == 0:
            raise RuntimeError(HOSTILE)
        return min(0.99, cost(spec).params / 1e9 + seed % 7 / 100)


def named(data: Data) -> Data:
    changes = {"name": HOSTILE, "classes": (HOSTILE, *data.classes[1:]),
               "skipped": ((HOSTILE + "\udcff.png", HOSTILE),)}  # fmt: skip
    return Data(**{**{key: getattr(data, key) for key in data.__dataclass_fields__}, **changes})


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that score in this process, on pictures whose names are hostile."""
    from training import options

    prepare = options.prepare

    def prepared(*given: Any, **more: Any) -> tuple[Any, Data]:
        evaluator, data = prepare(*given, **more)
        return evaluator, named(data)

    def executor(*_: Any) -> Executor:
        return InProcess(Scorer())

    monkeypatch.setattr(options, "prepare", prepared)
    monkeypatch.setattr(options, "executor", executor)


def drawn(
    main: Callable[[Sequence[str] | None], None], given: Sequence[object], out: Path,
    capsys: pytest.CaptureFixture[str],
) -> Reader:  # fmt: skip
    """The page of a run, drawn twice: by the command, and again from the study."""
    done = in_process(main, (*given, "--data", "digits", "--out", out), capsys)
    assert done.returncode == 0, done.stderr
    first = opened(out / "report.html")
    again = in_process(reports_command, (out,), capsys)
    assert again.returncode == 0, again.stderr
    assert opened(out / "report.html").text == first.text
    return first


def check(page: Reader) -> None:
    """The name of the pictures, a failure's reason and traceback, and a file that could not be
    read."""
    assert page.text.count(HOSTILE) >= 5
    assert page.text.count("Traceback (most recent call last)") == 1  # all failures have the same
    assert page.text.count("RuntimeError: " + HOSTILE) >= 3  # two failures, the traceback's end
    assert "\\udcff.png" in page.text


@pytest.mark.usefixtures("untrained")
def test_the_page_of_a_network_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--trials", 7, "--sampler", "random")
    check(drawn(nas_command, given, tmp_path / "<b>run & 'run'", capsys))


def baseline(folder: Path) -> Path:
    """A spec file whose name, and whose network's name, are hostile too."""
    path = folder / HOSTILE.replace("/", "⁄")
    spec = json.loads(family("mobilenet-v1-0.25-128").to_json())
    path.write_text(json.dumps(spec | {"name": HOSTILE}))
    return path


@pytest.mark.usefixtures("untrained")
def test_the_page_of_a_scaling_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--baseline", baseline(tmp_path), "--trials", 12)
    check(drawn(scaling_command, given, tmp_path / "run", capsys))


@pytest.mark.usefixtures("untrained")
def test_the_page_of_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = baseline(tmp_path)
    given = ("study", "single", "--baselines", path, "--factors", "w=1,1.5,2;r=1,1.5")
    page = drawn(scaling_command, given, tmp_path / "run", capsys)
    check(page)
    assert path.name in page.text


def test_the_embedded_digits_are_what_they_were() -> None:
    """The fixture changes a copy."""
    assert load("digits", progress=False).name == "digits"
