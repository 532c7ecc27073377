"""Earlier results: read, checked, trusted as far as they deserve."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from models.families import family
from nas.belief.belief import Belief
from nas.belief.knowledge import CAPACITY, PRIOR, Knowledge
from nas.candidates import Candidates
from nas.objective import Objective
from nas.prior import Prior, load_prior, prior_of, read_prior
from nas.result import SearchResult
from nas.samplers import sampler
from nas.samplers.auto import Auto
from nas.samplers.opening import OPENING
from nas.search import search
from nas.space import space
from tests.nas.test_nas_search import stub
from tests.nas.test_samplers import accuracy, step
from tests.support.paths import NAS_BENCH_MACRO, needs_shared

MBCONV = space("mbconv")
ROWS = MBCONV.random(120, np.random.default_rng(0))
TRUTH = np.array([accuracy(MBCONV.values(row), MBCONV) for row in ROWS])


def text_of(row: np.ndarray) -> str:
    values = MBCONV.values(row)
    return "-".join(
        "".join(f"{kind}{values[f'block{i}_{kind}']}" for kind in ("e", "k", "l", "se"))
        for i in range(7)
    )


def write(path: Path, header: str, lines: list[str]) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_three_forms_of_a_table(tmp_path: Path) -> None:
    rows, accuracies = ROWS[:6], TRUTH[:6]
    specs = ['"' + MBCONV.spec_of(row).to_json().replace('"', '""') + '"' for row in rows]
    forms = {
        "architecture,accuracy": [text_of(row) for row in rows],
        "spec,accuracy": specs,
        ",".join([*MBCONV.names, "accuracy"]): [
            ",".join(str(float(v)) for v in MBCONV.values(row).values()) for row in rows
        ],
    }
    for i, (header, lines) in enumerate(forms.items()):
        pairs = zip(lines, accuracies, strict=True)
        path = write(tmp_path / f"{i}.csv", header, [f"{line},{a}" for line, a in pairs])
        found = read_prior(path, MBCONV)
        assert (found.rows == rows).all()
        assert found.accuracy == pytest.approx(accuracies)
        zipped = tmp_path / f"{i}.csv.gz"
        zipped.write_bytes(gzip.compress(path.read_bytes()))
        assert (read_prior(zipped, MBCONV).rows == rows).all()


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("architecture,top1", "x,0.5", "needs accuracy"),
        ("layers,accuracy", "3,0.5", "architecture, spec or all of"),
        ("architecture,accuracy", "e6k3l1,0.5", "line 2.*e6k3l1se0"),
        ("architecture,accuracy", "e6k3l1se0,0.5", "line 2.*choices of space"),
        ("architecture,accuracy", text_of(ROWS[0]) + ",good", "line 2.*good"),
        ("architecture,accuracy", text_of(ROWS[0]) + ",0.5", "at least 5"),
        ("spec,accuracy", "{},0.5", "line 2"),
    ],
)
def test_clear_errors(tmp_path: Path, header: str, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_prior(write(tmp_path / "bad.csv", header, [line]), MBCONV)


def test_digits_are_nas_bench_macros(tmp_path: Path) -> None:
    """Of both tables, with their own columns; a table of another space is refused by its line."""
    macro = space("macro")
    rows = macro.random(6, np.random.default_rng(0))
    lines = [f"{''.join(map(str, row))},{80 + i}" for i, row in enumerate(rows)]
    path = write(tmp_path / "macro.csv", "architecture,cifar10_top1_percent", lines)
    found = read_prior(path, macro)
    assert (found.rows == rows).all()
    assert found.accuracy.tolist() == [80, 81, 82, 83, 84, 85]
    with pytest.raises(ValueError, match=r"line 2.*choices of space mbconv"):
        read_prior(path, MBCONV)
    for text in ("0120120", "012012013", "01201203"):
        with pytest.raises(ValueError, match="line 2"):
            read_prior(write(path, "architecture,accuracy", [f"{text},0.5"]), macro)


@needs_shared(NAS_BENCH_MACRO)
def test_all_of_nas_bench_macro_is_a_prior() -> None:
    found = read_prior(NAS_BENCH_MACRO, space("macro"))
    assert found.rows.shape == (3308, 8)
    assert found.accuracy[0] == pytest.approx(45.3633)


def test_no_file_and_no_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_prior(tmp_path / "none.csv", MBCONV)
    (tmp_path / "torn.csv").write_bytes(b"\x1f\x8b torn")
    with pytest.raises(ValueError, match="cannot be read"):
        read_prior(tmp_path / "torn.csv", MBCONV)


def test_bad_priors() -> None:
    with pytest.raises(ValueError, match="none is better"):
        Prior(ROWS[:9], np.full(9, 0.5))
    with pytest.raises(ValueError, match="finite"):
        Prior(ROWS[:9], np.full(9, np.nan))


def test_a_run_on_other_pictures_counts() -> None:
    """Another resolution and number of classes; a network of another space is left out."""
    specs = [replace(MBCONV.spec_of(row), resolution=32, classes=10) for row in ROWS[:8]]
    trained = [*zip(specs, TRUTH[:8], strict=True), (family("resnet-50"), 0.9)]
    found = prior_of(trained, MBCONV)
    assert (found.rows == ROWS[:8]).all()


def test_trust_is_earned() -> None:
    candidates = Candidates(MBCONV, Objective(400e6))
    good = Knowledge(candidates, Prior(ROWS, 100 * TRUTH - 7))  # in any unit, at any level
    assert good.trust > 0.8
    shuffled = np.random.default_rng(0).permutation(TRUTH)
    assert Knowledge(candidates, Prior(ROWS, shuffled)).trust < 0.15


def test_a_good_prior_starts_near_the_best() -> None:
    objective = Objective(400e6)
    first = {}
    for name, prior in (("without", None), ("with", Prior(ROWS, -TRUTH))):
        study = optuna.create_study(direction="maximize")
        study.sampler = sampler("auto", MBCONV, objective, seed=0, prior=prior)
        first[name] = -accuracy(step(study, MBCONV, objective), MBCONV)
    assert first["with"] > first["without"]  # where smaller networks are better, a guess is not


@pytest.mark.parametrize("believed", [(PRIOR, CAPACITY), (PRIOR,)])
def test_views_take_turns_in_the_opening(believed: tuple[str, ...]) -> None:
    """The prior's, a network of no guess, and capacity's, or without that view the prior's again:
    each far up in what it follows."""
    objective = Objective(400e6)
    for truth in (-TRUTH, TRUTH):
        study = optuna.create_study(direction="maximize")
        study.sampler = sampler("auto", MBCONV, objective, seed=0, prior=Prior(ROWS, truth))
        assert isinstance(study.sampler.method, Auto)
        study.sampler.method.see.believed = believed
        for _ in range(OPENING):
            step(study, MBCONV, objective)
        rows = MBCONV.indices([trial.params for trial in study.trials])
        views = Knowledge(Candidates(MBCONV, objective), Prior(ROWS, truth))(rows)
        prior, other = views[PRIOR].guess, views[believed[-1]].guess
        assert prior[0] > max(1, prior[1])
        assert other[2] > max(1, other[1])
        if believed[-1] == CAPACITY and truth is not TRUTH:
            assert prior[2] < 0  # which this prior speaks against


def test_a_prior_counts_as_far_as_the_trainings_bear_it_out() -> None:
    candidates = Candidates(MBCONV, Objective(400e6))
    rows = candidates.draw(60, np.random.default_rng(1))
    truth = np.array([accuracy(MBCONV.values(row), MBCONV) for row in rows])
    few = -np.log(MBCONV.costs(ROWS).params.astype(float))
    error, weight = {}, {}
    for name, table in {"none": None, "good": TRUTH, "misleading": few}.items():
        prior = None if table is None else Prior(ROWS, table)
        belief = Belief(Knowledge(candidates, prior), rows[:10], truth[:10])
        error[name] = float(np.std(belief.mean(rows[10:]) - truth[10:]))
        weight[name] = belief.weights.get("prior")
    assert weight["good"] > 0.5
    assert weight["misleading"] < 0.2
    assert error["good"] < error["none"]
    assert error["misleading"] < 1.2 * error["none"]


def test_only_auto_takes_a_prior() -> None:
    with pytest.raises(ValueError, match="choose auto"):
        sampler("tpe", MBCONV, Objective(4e8), seed=0, prior=Prior(ROWS, TRUTH))


def test_a_label_tells_tables_apart() -> None:
    """By what a search learns from them, and by name."""
    one = Prior(ROWS, TRUTH, "a.csv")
    assert one.label == Prior(ROWS.copy(), TRUTH.copy(), "a.csv").label
    changed = TRUTH.copy()
    changed[3] += 1e-9
    others = [Prior(ROWS, changed, "a.csv"), Prior(ROWS[::-1], TRUTH, "a.csv"),
              Prior(ROWS[1:], TRUTH[1:], "a.csv"), Prior(ROWS, TRUTH, "b.csv")]  # fmt: skip
    assert len({one.label, *(other.label for other in others)}) == 5
    assert one.label.startswith("a.csv (120 networks, ")


def test_a_run_goes_on_with_its_own_prior_only(tmp_path: Path) -> None:
    def go(
        prior: Prior | None, *, resume: bool, trials: int = 5, name: str = "with"
    ) -> SearchResult:
        return search(MBCONV, stub, trials=trials, prior=prior, run_dir=tmp_path / name,
                      resume=resume)  # fmt: skip

    own, other = Prior(ROWS[:40], TRUTH[:40], "a.csv"), Prior(ROWS[:41], TRUTH[:41], "a.csv")
    go(own, resume=False)
    for wrong in (None, other):
        with pytest.raises(ValueError, match=r"its prior is 'a.csv \(40 networks, .*repeat"):
            go(wrong, resume=True)
    assert len(go(own, resume=True, trials=6).trials) == 6
    go(None, resume=False, name="without")
    with pytest.raises(ValueError, match=r"its prior is None, not 'a.csv"):
        go(own, resume=True, name="without")


def test_a_run_directory_is_a_prior(tmp_path: Path) -> None:
    found = search(MBCONV, stub, trials=6, sampler="random", run_dir=tmp_path / "earlier")
    prior = load_prior(tmp_path / "earlier", MBCONV.with_template(classes=7))
    assert prior.name == "earlier"
    assert [MBCONV.spec_of(row).key for row in prior.rows] == [r.spec.key for r in found.trials]
    accuracies = [r.evaluation.accuracy for r in found.trials if r.evaluation]
    assert prior.accuracy.tolist() == accuracies
    with pytest.raises(ValueError, match="holds no run"):
        load_prior(tmp_path, MBCONV)
