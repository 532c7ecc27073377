"""The page of a training: by the command, again from its files alone, and what it must not say."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest

from reports.__main__ import main as reports_command
from reports.page import Page
from reports.sections.confusion import PAIRS, WIDEST, show_confusion
from reports.sections.interval import LEVEL, wilson
from reports.sections.spent import spent
from reports.training.mistakes import about_mistakes, show_classes
from tests.support.command import assert_refused, in_process
from tests.whole.test_fuzz_page import Reader, opened
from training.__main__ import main as training_command
from training.commands.written import told
from training.data import load
from training.loop.scores import Mistake, Scores
from trials.record import Evaluation

HOSTILE = ("<img src=x onerror='alert(1)'>&amp;", '"><b onclick=a>')
GIVEN = ("--spec", "mobilenet-v1-0.25-128", "--epochs", 2, "--batch", 16, "--resolution", 8,
         "--device", "cpu")  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, of which nothing can be learned, in folders and files whose names are hostile; one
    file's name is no text."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name in HOSTILE:
        (folder / name).mkdir()
        for number in range(60):
            image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
            image.save(os.fsencode(folder / name / f"<i>{number}") + b"\xff.png")
    return folder


def test_the_page_of_a_training(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    done = in_process(training_command, (*GIVEN, "--data", pictures, "--out", out), capsys)
    assert done.returncode == 0, done.stderr
    assert f"report: {out / 'report.html'}" in done.stdout
    page = opened(out / "report.html")
    for name in HOSTILE:
        assert page.text.count(name) >= 4
    found = json.loads((out / "evaluation.json").read_text())["details"]
    data = load(pictures, size=8, progress=False)
    assert found["mistakes"]
    for number, one in enumerate(found["mistakes"]):
        shown = np.asarray(Image.open(out / "mistakes" / f"{number}.png")).transpose(2, 0, 1)
        assert np.array_equal(shown, data.test.images[one["place"]].numpy())
        folder, _, file = one["picture"].partition("/")
        assert folder == data.classes[one["truth"]] == data.classes[data.test.labels[one["place"]]]
        assert os.path.isfile(pictures / folder / file)
        said = f"{folder}, taken for {data.classes[one['named']]}"
        assert said in page.text
    assert "\\udcff.png" in page.text
    assert len(page.attributes["src"]) == 1 + len(found["mistakes"])
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    again = in_process(reports_command, (out,), capsys)
    assert again.stdout.strip() == str(out / "report.html")
    assert (out / "report.html").read_bytes() == before
    check_refusals(out, capsys)


def check_refusals(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is named, whatever it is."""
    evaluation, picture = out / "evaluation.json", out / "mistakes" / "0.png"
    whole, kept = evaluation.read_text(), picture.read_bytes()
    facts = json.loads(whole)
    picture.unlink()
    assert_refused(in_process(reports_command, (out,), capsys), "0.png is missing")
    picture.write_bytes(kept)
    for name in ("confused", "class_training", "losses"):
        fewer = {key: value for key, value in facts["details"].items() if key != name}
        evaluation.write_text(json.dumps(facts | {"details": fewer}))
        assert_refused(in_process(reports_command, (out,), capsys), "earlier version, or damaged")
    for damaged in ("[]", "{", "[" * 100_000):
        evaluation.write_text(damaged)
        assert_refused(in_process(reports_command, (out,), capsys), "earlier version, or damaged")
    evaluation.write_text(whole)
    (out / "weights.safetensors").unlink()
    assert_refused(in_process(reports_command, (out,), capsys), "is not done")


def evaluation(classes: int, pairs: list[list[int]], each: int = 20) -> Evaluation:
    """Each class has so many pictures, all named correctly but for the pairs."""
    wrong = [0] * classes
    for truth, _, count in pairs:
        wrong[truth] += count
    details = {
        "class_correct": [each - lost for lost in wrong],
        "class_images": [each] * classes,
        "class_training": [70] * classes,
        "confused": pairs,
        "mistakes": [],
    }
    return Evaluation(0.5, seed=0, seconds=1.0, details=details)


def written(page: Page, folder: Path) -> Reader:
    page.write(folder / "page.html")
    return Reader((folder / "page.html").read_text("utf-8"))


@pytest.mark.parametrize("classes", [2, WIDEST])
def test_the_matrix(classes: int, tmp_path: Path) -> None:
    page = Page("x")
    show_confusion(
        page, [f"c{i}" for i in range(classes)], evaluation(classes, [[0, 1, 7]]).details
    )
    page.write(tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text()
    rest = "<td></td>" * (classes - 2)
    assert f'<tr><th>c0</th><td class="right7">13</td><td class="wrong4">7</td>{rest}' in text
    assert f'<tr><th>c1</th><td></td><td class="right10">20</td>{rest}' in text
    assert all(f".right{n} " in text and f".wrong{n} " in text for n in range(1, 11))


@pytest.mark.parametrize("classes", [WIDEST + 1, 100])
def test_of_many_classes_the_pairs_are_listed(classes: int, tmp_path: Path) -> None:
    pairs = [[i % classes, (i + 1) % classes, 9] for i in range(10)]
    pairs += [[i % classes, (i + 2) % classes, 1] for i in range(PAIRS)]
    page = Page("x")
    show_confusion(page, [f"c{i}" for i in range(classes)], evaluation(classes, pairs).details)
    page.write(tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text()
    assert 'class="matrix"' not in text
    assert "<tr><td>c0</td><td>c1</td><td>9</td><td>45.00 %</td></tr>" in text
    assert text.count("<tr><td>") == PAIRS
    assert f"The {PAIRS} pairs of classes" in text
    assert f"of {90 + PAIRS} test pictures that were named wrongly" in text


def test_the_classes_have_what_they_are_taken_for(tmp_path: Path) -> None:
    page = Page("x")
    found = evaluation(3, [[0, 1, 12], [0, 2, 3], [2, 1, 3]])
    show_classes(page, ["a", "b", "c"], found)
    text = written(page, tmp_path).text
    # 5 of 20 named correctly and nothing else so named; 20 of 35 named b are.
    assert "a702025.00 %12.7 to 43.2 %100.00 %b (12)" in text
    assert "b7020100.00 %88.1 to 100.0 %57.14 %" in text


def test_classes_without_names_are_numbers(tmp_path: Path) -> None:
    page = Page("x")
    show_confusion(page, (), evaluation(2, [[0, 1, 7]]).details)
    page.write(tmp_path / "x.html")
    assert '<tr><th>0</th><td class="right7">13</td>' in (tmp_path / "x.html").read_text()


def test_a_class_without_test_pictures_has_no_accuracy(tmp_path: Path) -> None:
    found = evaluation(2, [])
    details = {**found.details, "class_correct": [20, 0], "class_images": [20, 0]}
    page = Page("x")
    show_classes(page, ["a", "b"], replace(found, details=details))
    assert "b700–––" in written(page, tmp_path).text


def test_no_mistakes(tmp_path: Path) -> None:
    page, found = Page("x"), evaluation(3, [])
    show_confusion(page, ["a", "b", "c"], found.details)
    about_mistakes(page, ["a", "b", "c"], found, tmp_path / "nowhere")
    text = written(page, tmp_path).text
    assert "Each of the test pictures was named correctly." in text
    assert "worst mistakes" not in text


def test_pictures_of_no_file_are_told_by_number() -> None:
    data = load("digits", progress=False)
    scores = Scores((0,) * 10, (1,) * 10, 1.0, (0.4,) * 10, (Mistake(3, 1, 2, 0.9),))
    found = Evaluation(0.0, seed=0, seconds=0, details=scores.details(False) | scores.mistaken())
    (one,) = told(found, data).details["mistakes"]
    assert one["picture"] == data.test_names[3]
    assert one["picture"].startswith("picture ")


@given(st.data())
def test_wilson_is_scipys(data: Any) -> None:
    images = data.draw(st.integers(1, 5000))
    right = data.draw(st.integers(0, images))
    low, high = wilson(right / images, images)
    expected = binomtest(right, images).proportion_ci(LEVEL, "wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert low <= right / images <= high


def test_what_was_spent() -> None:
    def one(device: str, seconds: float) -> Evaluation:
        return Evaluation(0.5, seed=0, seconds=seconds, device=device)

    some = [one("cpu (2 threads)", 60), one("cpu (1 thread)", 30), one("cuda (H100)", 90)]
    assert spent(some) == "2.5 core-minutes on cpu, 1.5 minutes on cuda (H100)"
    assert spent([]) == "none"
