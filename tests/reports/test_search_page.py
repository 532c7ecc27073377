"""The page of a search whose finalists were trained further: how sure, what it cost, what next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.build import build
from models.families import family
from models.spec import ArchSpec
from nas.calibrate import LONGER, train_again
from nas.finals import kept_in
from nas.search import search
from reports.commands.onward import onward
from reports.nas import report
from reports.nas.judged import together
from reports.page import Page
from reports.sections.interval import span
from reports.sections.network import bars
from reports.sections.samples import show_samples
from tests.nas.test_samplers import tiny
from training.data import load
from training.options.shown import MOST, keep_samples
from training.transfer.parent import MadeReady, Moments, Parent, keep, weights_of
from training.transfer.ready import FILE_NAME
from trials.conduct import Means
from trials.record import Evaluation
from trials.store.view import Record
from trials.workers.pool import InProcess

CLASSES = ("cat", "<dog>")


def trained(right: Sequence[int], pictures: str, seconds: float = 60.0) -> Evaluation:
    """Ten pictures of each class, of which so many were named correctly."""
    pairs = [[i, 1 - i, 10 - n] for i, n in enumerate(right) if n < 10]
    details = {
        "class_correct": list(right),
        "class_images": [10, 10],
        "confused": sorted(pairs, key=lambda pair: -pair[2]),
        "effective_images": 20,
        "data": pictures,
    }
    return Evaluation(sum(right) / 20, 0, seconds, device="cpu (1 thread)", details=details)


def test_trainings_by_other_pictures_count_them_and_by_the_same_ones_do_not() -> None:
    once, again, others = trained((9, 8), "a"), trained((7, 10), "a"), trained((5, 5), "b")
    same = together([once, again])
    assert same.accuracy == pytest.approx(0.85)
    assert same.details["class_correct"] == [16, 18]
    assert same.details["class_images"] == [20, 20]
    assert same.details["confused"] == [[0, 1, 4], [1, 0, 2]]
    assert same.details["effective_images"] == 20
    assert together([once, others]).details["effective_images"] == 40
    assert together([once]).details == once.details
    old = Evaluation(0.5, 0, 1.0)  # which tells nothing
    assert together([old, old]).details["effective_images"] is None


def searched(run_dir: Path) -> Path:
    """Five trials, two rounds of finals of which the second has other pictures, a longer training,
    and a parent that took half a minute."""

    def finals(records: Sequence[Record], step: int) -> Mapping[int, Evaluation]:
        def further(spec: ArchSpec, seed: int) -> Evaluation:
            return trained((9, 8) if step == 1 else (10, 8), "ab"[step - 1], 120.0)

        place, runner = kept_in(run_dir, step), lambda: InProcess(further)
        told = train_again(records, place, 0, "r", Means(runner), step)
        return {int(r.attrs["trial"]): r.evaluation for r in told if r.evaluation}

    def evaluate(spec: ArchSpec, seed: int) -> Evaluation:
        return trained((6, int(spec.key[0], 16) % 4), "a")

    data = {"name": "pets", "classes": list(CLASSES), "chance": 0.5, "validation": 20, "train": 70,
            "digest": "d", "native_size": 32, "enlarged": 0.0, "skipped": []}  # fmt: skip
    recipe = {"key": "k", "epochs": 1, "resolution": 32, "reference": 224, "drop_strides": 0}
    settings = {"data": data, "recipe": recipe, "source": "/tmp/my pets",
                "class_counts": [[35, 35], [10, 10]]}  # fmt: skip
    found = search(tiny(), evaluate, 1e12, 5, "random", low=0, run_dir=run_dir, finals=finals,
                   settings=settings)  # fmt: skip
    runner = lambda: InProcess(evaluate)  # noqa: E731
    train_again(found.trials[:2], run_dir / LONGER, 0, "longer", Means(runner))
    spec = family("mobilenet-v2")
    parent = Parent("p", spec, weights_of(build(spec)), Moments((0.5,) * 3, (0.2,) * 3))
    keep(parent, run_dir / FILE_NAME, MadeReady(30.0, "cpu (2 threads)"))
    return run_dir


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    run_dir = searched(tmp_path_factory.mktemp("search") / "run")
    return report(run_dir, onward=onward(run_dir)).read_text("utf-8")


def test_how_sure_the_answer_is(page: str) -> None:
    assert f"87.50 % accuracy after further training, 90 % interval {span(0.875, 40)}" in page
    assert "of the 20 validation pictures and the 20 others by which finalists" in page


def test_what_each_part_cost(page: str) -> None:
    for row in (
        "<td>the parent, made ready for the pictures</td><td>1</td><td>1.0 core-minutes on cpu",
        "<td>the search&#x27;s trials</td><td>5</td><td>5.0 core-minutes on cpu",
        "<td>the finals, round 1</td><td>5</td><td>10.0 core-minutes on cpu",
        "<td>the finals, round 2</td><td>3</td><td>6.0 core-minutes on cpu",
        "<td>calibration</td><td>2</td><td>2.0 core-minutes on cpu",
        "<td>in all</td><td>16</td><td>24.0 core-minutes on cpu",
    ):
        assert row in page
    assert "compared with</td>" not in page  # what there was none of


def test_what_can_be_done_next(page: str) -> None:
    assert "scaling_search --target-flops 2x --baseline" in page
    assert "training --spec" in page
    assert page.count("--data &#x27;/tmp/my pets&#x27;") == 2


def test_what_the_named_network_takes_for_what(page: str) -> None:
    """Of both rounds together: 19 and 16 of 20."""
    assert "Validation pictures of 2 trainings together by their class" in page
    assert '<th>cat</th><td class="right10">19</td><td class="wrong1">1</td>' in page
    assert '<th>&lt;dog&gt;</th><td class="wrong2">4</td><td class="right8">16</td>' in page
    assert "<td>cat</td><td>35</td><td>10</td><td>95.00 %</td><td>20</td>" in page


def test_a_sample_of_each_class(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for number in range(MOST + 2):
        (folder / f"class {number:02}").mkdir(parents=True)
        for picture in range(12):
            pixels = rng.integers(0, 256, (9, 9, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"class {number:02}" / f"{picture}.png")
    data = load(str(folder), size=8, progress=False)
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "99.png").touch()  # of an earlier attempt
    keep_samples(tmp_path, data)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == sorted(f"{number}.png" for number in range(MOST))
    for number in range(MOST):
        shown = np.asarray(Image.open(tmp_path / "samples" / f"{number}.png")).transpose(2, 0, 1)
        own = data.train.images[data.train.labels == number]
        assert any(torch.equal(torch.from_numpy(shown.copy()), one) for one in own)
    made = Page("x")
    show_samples(made, tmp_path, {"data": {"classes": list(data.classes)}})
    made.write(tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text("utf-8")
    assert text.count("<figcaption>class ") == MOST
    assert f"{MOST} of {MOST + 2} classes" in text


def test_a_drawn_head_has_the_width_of_its_convolution() -> None:
    *_, head = bars(family("efficientnet-b0"))
    assert (head.channels, head.layers) == (1280, 1)
    assert head.text.endswith("; 1000 classes")
    *_, bare = bars(family("resnet-18"))
    assert bare.channels == 1000
