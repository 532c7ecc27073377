"""A run's trainings as a data frame; the chosen network drawn beside another."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

import reports
from models.families import family
from models.spec import ArchSpec
from nas.search import search
from nas.space import space
from reports.nas import report
from reports.page import Page
from reports.sections import network
from reports.sections.pictures import about_pictures
from reports.tables import COLUMNS, trials_table
from trials.record import Evaluation

DOCS = Path(__file__).parents[2] / "docs"


def evaluate(spec: ArchSpec, seed: int) -> Evaluation:
    details = {"probability": 0.4, "plain_accuracy": 0.5}
    return Evaluation(seed % 7 / 7, seed, 2.5, 1.5, details=details)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("runs") / "run"
    search(space("mbconv"), evaluate, trials=4, sampler="random", run_dir=found)
    return found


def test_a_runs_trainings_have_the_documented_columns(run_dir: Path) -> None:
    table = reports.load(run_dir)
    own = set(space("mbconv").choices)
    told = [name for name in COLUMNS if name != "latency"]
    assert list(table.columns)[: len(told)] == told
    assert set(table.columns) == {*told, *own, "spec"}
    assert table["number"].tolist() == [0, 1, 2, 3]
    assert (table["loss"] == 1.5).all()
    assert (table["probability"] == 0.4).all()
    specs = [ArchSpec.from_json(text) for text in table["spec"]]
    assert [spec.key for spec in specs] == table["key"].tolist()


def test_it_is_kept_as_parquet_too(run_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra shards")
    table, path = reports.load(str(run_dir)), tmp_path / "trials.parquet"
    table.to_parquet(path)
    pd.testing.assert_frame_equal(pd.read_parquet(path), table, check_dtype=False)


def test_a_run_without_trainings_has_the_columns_and_no_rows() -> None:
    assert list(trials_table([]).columns) == [*COLUMNS, "spec"]


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        reports.load(tmp_path)


def test_the_docs_say_what_each_column_is() -> None:
    lines = (DOCS / "tables.md").read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert rows == [f"| `{name}` | {about} |" for name, about in COLUMNS.items()]


@pytest.mark.parametrize(
    ("one", "other"), [("efficientnet-b7", "resnet-50"), ("convnext-t", "rexnet-1.0")]
)
def test_labels_of_drawn_networks_do_not_lie_on_each_other(
    one: str, other: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(network, "save", lambda figure, path: kept.append(figure))
    specs = {name: family(name) for name in (one, other)}
    network.drawn(tmp_path / "x.png", specs)
    (figure,) = kept
    figure.canvas.draw()
    for axes, spec in zip(figure.axes, specs.values(), strict=True):
        layers = sum(stage.layers for stage in spec.stages) + 2  # the stem and the head
        assert len(axes.patches) == layers
        boxes = sorted(text.get_window_extent().extents.tolist() for text in axes.texts)
        heights = sorted((low, high) for _, low, _, high in boxes)
        assert all(before[1] <= after[0] for before, after in pairwise(heights))
        assert max(right for *_, right, _ in boxes) <= axes.get_window_extent().x1 + 40
    plt.close(figure)


def test_the_page_has_the_chosen_network_beside_one_that_would_be_picked(run_dir: Path) -> None:
    page = report(run_dir).read_text("utf-8")
    assert (run_dir / "network.png").is_file()
    assert "picked without a search" in page


@pytest.mark.parametrize(
    ("resolution", "strides", "said"),
    [
        (None, 0, "networks see them at their own resolutions"),
        (81, 0, "the proxy sees a 224-pixel network at 81 pixels, 2 epochs"),
        (24, 1, "a 224-pixel network at 24 pixels with its first stride taken out"),
        (24, 2, "with its first 2 strides taken out"),
    ],
)
def test_the_page_says_at_how_many_pixels_networks_saw(
    resolution: int | None, strides: int, said: str, tmp_path: Path
) -> None:
    data = {"name": "x", "digest": "0", "classes": ["a"], "train": 1, "validation": 1,
            "native_size": 32, "enlarged": 0, "skipped": []}  # fmt: skip
    recipe = {"reference": 224, "resolution": resolution, "drop_strides": strides, "epochs": 2,
              "key": "k"}  # fmt: skip
    page = Page("x")
    about_pictures(page, {"data": data, "recipe": recipe})
    page.write(tmp_path / "page.html")
    assert said in (tmp_path / "page.html").read_text("utf-8")
