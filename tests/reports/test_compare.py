"""Several runs on one page: what is compared, what is refused, and what is said first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.families import family
from models.spec import ArchSpec
from nas.objective import Objective
from nas.pareto import hypervolume
from nas.result import candidates
from nas.search import search
from nas.space import space
from reports.__main__ import main
from reports.compare.alike import Entrant
from reports.compare.networks import Field, Search, is_told, progress
from reports.compare.scalings import disjoint
from reports.nas import concluded
from scaling_search.search import search as search_scaling
from tests.support.command import assert_refused, in_process
from tests.whole.test_fuzz_page import Reader, opened
from trials.store.study import read_run

HOSTILE = "<script>alert('$1_$')</script>".replace("/", "⁄")


def facts(digest: str = "0a") -> dict[str, Any]:
    """What a command records of pictures and recipe."""
    data = {"name": HOSTILE, "digest": digest, "classes": ["cat", "dog"], "train": 900,
            "validation": 400, "chance": 0.5, "skipped": []}  # fmt: skip
    return {"data": data, "recipe": {"key": "abc"}}


def a_search(
    place: Path,
    level: float = 0.6,
    settings: dict[str, Any] | None = None,
    budget: float = 400e6,
    trials: int = 4,
    **more: Any,
) -> Path:
    """Of random networks whose accuracies lie just above ``level``; the second of them fails."""
    calls = []

    def evaluate(spec: ArchSpec, seed: int) -> float:
        calls.append(spec)
        if len(calls) == 2:
            raise RuntimeError("as it happens")
        return level + seed % 7 / 1000

    search(space("mbconv"), evaluate, budget, trials, "random", run_dir=place,
           settings=facts() if settings is None else settings, **more)  # fmt: skip
    return place


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Made once: they are only read."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        "good": a_search(folder / HOSTILE, 0.9),
        "bad": a_search(folder / "_bad", 0.6, seed=1, trials=6),
        "near": a_search(folder / "near", 0.88),
        "dear": a_search(folder / "dear", budget=800e6),
        "elsewhere": a_search(folder / "elsewhere", settings=facts("0b")),
        "longer": a_search(folder / "longer", settings=facts() | {"recipe": {"key": "def"}}),
        "params": a_search(folder / "params", cost="params", budget=5e6),
        "untold": a_search(folder / "untold", settings={}),
        "unknown": a_search(folder / "unknown", settings={}),
        "front": a_search(folder / "front", aim="front"),
        "wide": a_search(folder / "wide", 0.7, aim="front"),
    }


class Compared(NamedTuple):
    code: int
    said: str
    page: Reader | None


@pytest.fixture
def compared(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Compared]:
    def compare(*names: str) -> Compared:
        out = tmp_path / "out"
        given_ = ("compare", *(runs.get(name, name) for name in names), "--out", out)
        done = in_process(main, given_, capsys)
        if done.returncode:
            assert not out.exists()
            assert_refused(done, "")
            return Compared(done.returncode, done.stderr, None)
        assert done.stdout.strip() == str(out / "comparison.html")
        return Compared(0, done.stdout, opened(out / "comparison.html"))

    return compare


def text_of(found: Compared) -> str:
    assert found.page is not None, found.said
    return found.page.text


def test_the_greatest_reward_leads_and_what_is_not_told_is_said(
    compared: Callable[..., Compared],
) -> None:
    text = text_of(compared("bad", "good", "near"))
    assert "B names the network of the greatest reward" in text
    assert "not told from it by so few pictures: C" in text
    assert "behind it by more than the pictures' own chance: A" in text
    assert "Reward, the highest so far" in text
    assert text.count(HOSTILE) >= 3 + 1  # the pictures' name a row, and the run's
    assert "not comparable" not in text
    assert "core-minutes" not in text  # of a function nobody knows the cores
    assert "minutes on unspecified" in text


def test_where_budgets_differ_hypervolume_is_drawn_and_nobody_leads(
    compared: Callable[..., Compared],
) -> None:
    text = text_of(compared("good", "dear"))
    assert "names the network of the greatest reward" not in text
    assert "Hypervolume so far, a share" in text
    assert "budgets, windows or aims differ" in text
    assert "from 50.00 % accuracy to 100 % and from no cost to 800M" in text


def test_the_aim_of_a_front_is_its_hypervolume(compared: Callable[..., Compared]) -> None:
    text = text_of(compared("front", "wide"))
    assert "Hypervolume so far" in text
    assert "budgets, windows or aims differ" not in text
    assert "names the network of the greatest reward" not in text


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("elsewhere", f"their pictures differ (A: {HOSTILE} (0a), 900 for training and 400 for "
                      f"validation; B: {HOSTILE} (0b)"),
        ("longer", "their proxy recipes differ (A: abc; B: def)"),
        ("untold", "B: not told)"),
    ],
)  # fmt: skip
def test_what_is_not_comparable_is_said_and_nobody_leads(
    other: str, said: str, compared: Callable[..., Compared]
) -> None:
    text = text_of(compared("good", other))
    assert "These accuracies are not comparable" in text
    assert said in text
    assert "names the network of the greatest reward" not in text


def test_nothing_is_known_of_what_functions_were_trained_on(
    compared: Callable[..., Compared],
) -> None:
    text = text_of(compared("untold", "unknown"))
    assert "What these runs were trained on is not told" in text
    assert "names the network of the greatest reward" not in text


def test_refusals(compared: Callable[..., Compared], runs: dict[str, Path], tmp_path: Path) -> None:
    assert "without a common kind of cost" in compared("good", "params").said
    assert "given twice" in compared("good", "good").said
    assert "give 2 to 8" in compared("good").said
    assert "give 2 to 8" in compared(*(f"x{i}" for i in range(9))).said
    assert "holds no run" in compared("good", str(tmp_path)).said
    for kind, said in (("calibration", "of kind 'calibration'"), ("scaling", "different kinds")):
        place = tmp_path / kind
        place.mkdir()
        header = json.loads((runs["good"] / "run.json").read_text())
        header["settings"]["kind"] = kind
        (place / "run.json").write_text(json.dumps(header))
        assert said in compared("good", str(place)).said


def test_progress_ends_at_the_whole_and_never_falls(runs: dict[str, Path]) -> None:
    one = read(runs["bad"])
    rewards, field = progress(one, None), Field(0.5, 400e6)
    assert len(rewards) == 6  # the failed one too
    assert rewards == sorted(rewards)
    trained = candidates(one.found.trials, one.objective)
    assert rewards[-1] == max(c.reward for c in trained)
    shares = progress(one, field)
    assert shares == sorted(shares)
    area = hypervolume([c.accuracy for c in trained], [c.cost for c in trained], (0.5, 400e6))
    assert shares[-1] == pytest.approx(area / (0.5 * 400e6))


def read(place: Path) -> Search:

    run = read_run(place, from_json=ArchSpec.from_json)
    return Search(
        Entrant("A", place.name, run.settings), Objective.of(run.settings), concluded(run)
    )


def test_nothing_is_told_from_itself_nor_where_the_pictures_are_unknown(
    runs: dict[str, Path],
) -> None:
    good, bad, untold = (read(runs[name]) for name in ("good", "bad", "untold"))
    assert is_told(good, bad)
    assert not is_told(bad, good)
    assert not is_told(good, good)
    assert not is_told(good, untold)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(1, 2)), max_size=10
    )
)  # fmt: skip
def test_a_share_of_the_field_lies_between_nothing_and_all(
    points: list[tuple[float, float]],
) -> None:
    share = Field(0.25, 2.0).share([a for a, _ in points], [c for _, c in points])
    assert 0 <= share <= 0.5 + 1e-9  # nothing costs less than half
    assert Field(0.0, 1.0).share([1.0], [0.0]) == 1.0


# ---------------------------------------------------------------- scaling searches


def a_scaling(place: Path, best: float, target: float = 2.0, digest: str = "0a") -> Path:
    """Networks are the better, the nearer the resolution is to ``best`` times the baseline's."""
    base = family("mobilenet-v1-0.25-128")

    def evaluate(spec: ArchSpec, seed: int) -> float:
        return 0.9 - abs(spec.resolution / base.resolution - best) / 2 + seed % 5 / 2000

    search_scaling(base, evaluate, target, 14, run_dir=place, settings=facts(digest))
    return place


@pytest.fixture(scope="module")
def scalings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("scalings")
    return {
        "low": a_scaling(folder / "low", 1.0),
        "high": a_scaling(folder / HOSTILE, 1.4),
        "other": a_scaling(folder / "other", 1.0, target=1.5, digest="0b"),
    }


def test_scaling_searches_side_by_side(
    scalings: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given_ = ("compare", scalings["low"], scalings["high"], "--out", out)
    assert in_process(main, given_, capsys).returncode == 0
    page = opened(out / "comparison.html")
    assert page.text.count(HOSTILE) >= 2
    assert "intervals do not overlap in" in page.text
    assert "γ (resolution) of A and B" in page.text
    stored = [json.loads((place / "coefficients.json").read_text())
              for place in (scalings["low"], scalings["high"])]  # fmt: skip
    for one in stored:
        low, high = one["confidence"]["gamma"]
        assert f"{one['coefficients']['gamma']:.2f} ({low:.2f} to {high:.2f})" in page.text
    assert "not comparable" not in page.text
    other = ("compare", scalings["low"], scalings["other"], "--out", out)
    assert in_process(main, other, capsys).returncode == 0
    text = opened(out / "comparison.html").text
    assert "These accuracies are not comparable: their pictures differ" in text
    assert "They are of different networks or targets." in text


def test_intervals_that_touch_are_not_disjoint() -> None:
    class Found(NamedTuple):
        confidence: dict[str, tuple[float, float]]

    class Entered(NamedTuple):
        letter: str

    class One(NamedTuple):
        entrant: Entered
        found: Found

    def one(letter: str, low: float, high: float) -> Any:
        same = (1.0, 1.1)
        return One(Entered(letter), Found({"alpha": (low, high), "beta": same, "gamma": same}))

    assert disjoint([one("A", 1.0, 1.2), one("B", 1.2, 1.4)]) == []
    assert disjoint([one("A", 1.0, 1.2), one("B", 1.3, 1.4), one("C", 1.0, 2.0)]) == [
        "α (depth) of A and B"
    ]


@pytest.mark.parametrize("kind", ["nas", "scaling"])
def test_runs_in_a_shared_storage(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By their directories, and by their studies' names where those are on another machine."""
    url = f"sqlite:///{tmp_path}/study.db"
    for name in ("one", "two"):
        if kind == "nas":
            a_search(tmp_path / name, storage=url)
        else:
            search_scaling(
                family("mobilenet-v1-0.25-128"), lambda _, seed: seed % 7 / 7, trials=6,
                run_dir=tmp_path / name, storage=url,
            )  # fmt: skip
    pages = []
    for out, places in (("by directory", ("one", "two")), ("by name", ("one", "gone/two"))):
        given_ = ["compare", *(tmp_path / place for place in places), "--storage", url]
        done = in_process(main, [*given_, "--out", tmp_path / out], capsys)
        assert done.returncode == 0, done.stderr
        pages.append((tmp_path / out / "comparison.html").read_text())
    assert pages[0] == pages[1]
    given_ = ["compare", tmp_path / "one", tmp_path / "three", "--storage", url]
    refused = in_process(main, [*given_, "--out", tmp_path / "none"], capsys)
    assert_refused(refused, "three is no directory, and there is no study 'three' in sqlite")
    assert not (tmp_path / "none").exists()
