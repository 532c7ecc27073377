"""What ImageNet taught, shipped: reproducible, foretelling, and said to be far where it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from models.families import family
from nas.belief.belief import Belief
from nas.belief.knowledge import CAPACITY, NONE, PRIOR, Knowledge
from nas.candidates import Candidates
from nas.objective import Objective
from nas.prior import Distilled, imagenet, read_prior
from nas.prior.__main__ import main
from nas.prior.choose import FAR, default_prior, given_prior, recorded_prior
from nas.prior.distilled import SHIPPED, Foretold
from nas.prior.fit import fit, rows_of
from nas.prior.traits import NAMES, Traits
from nas.space import Space, StageChoices, space
from nas.space.choices import LayerChoices
from tests.nas.test_samplers import tiny
from tests.support.command import assert_refused, in_process
from tests.support.paths import ACCEL_NASBENCH, needs_shared

MBCONV, MNASNET, MACRO = space("mbconv"), space("mnasnet"), space("macro")
ROWS = MBCONV.random(900, np.random.default_rng(0))


def accuracies(rows: np.ndarray) -> np.ndarray:
    """Better with expansion early, kernels late, and both at once: a quadratic of the traits."""
    early, late = rows[:, 0] / 2, rows[:, 25]
    error = np.exp(-0.9 - 0.2 * early - 0.1 * late - 0.1 * early * late)
    return 1 - error + 0.002 * np.random.default_rng(1).standard_normal(len(rows))


def fitted(rows: np.ndarray, accuracy: np.ndarray) -> Distilled:
    return fit(rows_of(MBCONV, rows, accuracy), "test", "", "", "")


@needs_shared(ACCEL_NASBENCH)
def test_the_shipped_numbers_are_those_of_the_table(tmp_path: Path) -> None:
    """By the command that the file names; solvers may differ in the last digits."""
    main(["fit", str(ACCEL_NASBENCH), "--out", str(tmp_path / "again.json")])
    again, shipped = Distilled.from_json((tmp_path / "again.json").read_text()), imagenet()
    assert again.held_out.keys() == shipped.held_out.keys()
    for left_out, found in shipped.held_out.items():
        assert again.held_out[left_out] == pytest.approx(found, abs=0.002)
    for name in ("mean", "sd", "low", "high", "constant", "linear", "square"):
        assert getattr(again, name) == pytest.approx(getattr(shipped, name), rel=1e-4, abs=1e-7)
    same = dict.fromkeys(("mean", "sd", "low", "high", "constant", "linear", "square", "held_out"))
    for name in set(json.loads(SHIPPED.read_text())) - set(same):
        assert getattr(again, name) == getattr(shipped, name)


@needs_shared(ACCEL_NASBENCH)
def test_rows_left_out_are_foretold() -> None:
    """Half of them, and all that cost most: what the file says of itself, found again here."""
    table = read_prior(ACCEL_NASBENCH, MBCONV)
    rows, accuracy = table.rows, table.accuracy / 100
    first = np.unique(rows, axis=0, return_inverse=True)[1].ravel() % 2 == 0
    macs = MBCONV.costs(rows).macs
    for seen, least in ((first, 0.97), (macs < np.quantile(macs, 0.8), 0.9)):
        told = Foretold(fitted(rows[seen], accuracy[seen]), MBCONV)(rows[~seen])
        assert np.corrcoef(told, accuracy[~seen])[0, 1] ** 2 > least
        assert kendalltau(told, accuracy[~seen]).statistic > 0.8


def test_the_file_names_its_source_and_is_small() -> None:
    facts = json.loads(SHIPPED.read_text())
    assert "arXiv:2404.08005" in facts["source"]
    assert "Apache-2.0" in facts["licence"]
    assert facts["command"].startswith("python -m nas.prior fit ")
    assert SHIPPED.stat().st_size < 20_000
    assert imagenet().trust == facts["held_out"]["halves"]["r2"]


def test_a_fit_foretells_rows_it_has_not_seen() -> None:
    truth = accuracies(ROWS)
    made = fitted(ROWS[:600], truth[:600])
    told = Foretold(made, MBCONV)(ROWS[600:])
    assert np.corrcoef(told, truth[600:])[0, 1] ** 2 > 0.9
    assert 0.6 < made.trust < 1  # of half of them: fewer rows than the quadratic has numbers
    shuffled = fitted(ROWS[:600], np.random.default_rng(2).permutation(truth[:600]))
    assert shuffled.trust < 0.1


def test_to_json_and_back() -> None:
    assert Distilled.from_json(imagenet().to_json()) == imagenet()
    with pytest.raises(ValueError, match="no distilled prior"):
        Distilled.from_json("{}")
    with pytest.raises(ValueError, match="no distilled prior"):
        Distilled.from_json("[")
    for changes in ({"linear": imagenet().linear[1:]}, {"mean": (float("nan"),) * len(NAMES)}):
        with pytest.raises(ValueError, match="finite numbers"):
            replace(imagenet(), **changes)
    with pytest.raises(ValueError, match="not positive"):
        replace(imagenet(), sd=(0.0,) * len(NAMES))


def test_a_label_knows_the_numbers() -> None:
    other = replace(imagenet(), constant=imagenet().constant + 1e-6)
    assert other.label != imagenet().label
    assert replace(imagenet(), source="elsewhere").label == imagenet().label


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([MBCONV, MNASNET, MACRO, tiny(2)]), st.integers(0, 2**32 - 1))
def test_every_network_of_every_space_has_an_expected_accuracy(searched: Space, seed: int) -> None:
    rows = searched.random(5, np.random.default_rng(seed))
    told = Foretold(imagenet(), searched)(rows)
    assert told.shape == (5,)
    assert np.isfinite(told).all()
    assert (told < 1).all()


def test_traits_know_no_pictures() -> None:
    """Neither their side nor their classes, nor whether resolution is a choice."""
    rows = MNASNET.random(9, np.random.default_rng(0))
    known = Traits(MNASNET)(rows)
    small = MNASNET.with_template(resolution=96, classes=7, in_channels=1)
    assert (Traits(small)(rows) == known).all()
    several = MNASNET.at((96, 128))
    with_side = np.hstack([np.arange(9)[:, None] % 2, rows])
    assert (Traits(several)(with_side) == known).all()


def test_one_network_has_the_same_traits_in_either_space() -> None:
    """EfficientNet-B0 is in both, and its stages are what it is made of."""
    spec = family("efficientnet-b0")
    wide = MNASNET.choices_of(spec)
    assert wide is not None
    found = dict(zip(NAMES, Traits(MNASNET)(MNASNET.indices([wide]))[0], strict=True))
    assert [found[f"kernel at {i}"] for i in range(7)] == [3, 3, 5, 3, 5, 5, 3]
    assert [found[f"layers at {i}"] for i in range(7)] == pytest.approx(
        np.log1p([1, 2, 2, 3, 3, 4, 1])
    )
    assert found["expansion at 3"] == pytest.approx(np.log(6), abs=1e-6)
    assert found["se at 0"] == 1
    assert np.exp(found["macs"]) == pytest.approx(385.8e6, rel=1e-3)


def test_layers_chosen_one_by_one_are_stages_too() -> None:
    """Of the same channels in a row: three stages, the identity adding nothing."""
    chosen = {f"layer{i}": v for i, v in enumerate((1, 2, 0, 2, 2, 0, 0, 1))}
    found = dict(zip(NAMES, Traits(MACRO)(MACRO.indices([chosen]))[0], strict=True))
    ends = [found[f"layers at {i}"] for i in (0, 3, 6)]
    assert ends == pytest.approx(np.log1p([2, 2, 1]))
    assert found["kernel at 0"] == 4  # 3 and 5
    assert found["expansion at 6"] == pytest.approx(np.log(3), abs=1e-6)
    assert found["depth"] == pytest.approx(np.log1p(5))
    assert all(isinstance(place, LayerChoices) for place in MACRO.places)
    assert all(isinstance(place, StageChoices) for place in MBCONV.places)


def window(searched: Space, budget: float) -> np.ndarray:
    found = Candidates(searched, Objective(budget))
    return found.draw(300, np.random.default_rng(0))


def test_how_far_a_space_lies() -> None:
    assert Foretold(imagenet(), MBCONV).beyond(window(MBCONV, 400e6))[0] == pytest.approx(
        0, abs=1e-4
    )
    assert Foretold(imagenet(), MNASNET).beyond(window(MNASNET, 400e6))[0] < FAR
    out, trait = Foretold(imagenet(), MACRO).beyond(window(MACRO, 70e6))
    assert out > 2 * FAR
    assert trait in ("macs", "depth")


def test_the_default_is_for_natural_pictures_in_spaces_that_it_knows() -> None:
    rows = window(MNASNET, 400e6)
    chosen = default_prior(MNASNET, rows, natural=True)
    assert chosen.prior == imagenet()
    assert "--prior none" in chosen.said
    assert default_prior(MNASNET, rows, natural=False) == (None, "")
    far = default_prior(MACRO, window(MACRO, 70e6), natural=True)
    assert far.prior is None
    assert "standard deviations outside" in far.said


def test_what_a_run_recorded_is_what_it_goes_on_with(tmp_path: Path) -> None:
    assert recorded_prior({}) == "none"  # of before there was a default
    assert recorded_prior({"prior": None}) == "none"
    assert recorded_prior({"prior": imagenet().label}) == "imagenet"
    assert recorded_prior({"prior": "table.csv (9 networks, 0123456789ab)"}) is None
    assert given_prior("none", MBCONV) is None
    assert given_prior("imagenet", MBCONV) == imagenet()
    with pytest.raises(ValueError, match="cannot be read"):
        given_prior(str(tmp_path / "no.csv"), MBCONV)


def test_evidence_decides_about_it() -> None:
    """Trainings as it foretold them, and trainings of the opposite: the same networks."""
    see = Knowledge(Candidates(MNASNET, Objective(400e6)), imagenet())
    rows = see.reference[:10]
    told = Foretold(imagenet(), MNASNET)(rows)
    noise = 0.002 * np.random.default_rng(0).standard_normal(10)
    assert Belief(see, rows, told + noise).weights[PRIOR] > 0.9
    assert Belief(see, rows, 1.2 - told + noise).weights[PRIOR] < 0.3
    assert see.doubt(PRIOR) < see.doubt(NONE) == 1


def test_it_is_trusted_less_where_it_is_far() -> None:
    """And where it is hardly trusted, capacity is asked first."""
    known, other, far = (
        Knowledge(Candidates(searched, Objective(budget)), imagenet())
        for searched, budget in ((MBCONV, 400e6), (MNASNET, 400e6), (MACRO, 70e6))
    )
    assert imagenet().trust == pytest.approx(known.trust, abs=1e-6)
    assert known.trust > other.trust > 0.5 > 0.1 > far.trust > 0
    assert next(iter(other(other.reference[:2]))) == PRIOR
    assert next(iter(far(far.reference[:2]))) == CAPACITY


def test_a_space_whose_networks_are_all_alike_to_it_has_no_such_view() -> None:
    flat = replace(imagenet(), linear=(0.0,) * len(NAMES), square=(0.0,) * len(imagenet().square))
    see = Knowledge(Candidates(MBCONV, Objective(400e6)), flat)
    assert PRIOR not in see(ROWS[:3])


def test_a_table_of_one_kind_of_network_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    alike = np.repeat(ROWS[:1], 12, axis=0)
    alike[:, :4] = ROWS[:12, :4]
    with pytest.raises(ValueError, match="alike in a trait"):
        fitted(alike, np.linspace(0.5, 0.6, 12))
    with pytest.raises(ValueError, match="divide percents by 100"):
        fitted(ROWS[:9], np.full(9, 70.0))
    done = in_process(main, ["fit", "/no/such/table.csv", "--out", "x.json"], capsys)
    assert_refused(done, "cannot be read")
