"""What a search believes: evidence decides which source counts, and the run says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.belief.account import FEWEST, account, course, in_words
from nas.belief.belief import Belief
from nas.belief.features import Features
from nas.belief.knowledge import CAPACITY, NONE, Knowledge
from nas.belief.model import OWN, TERMS, Model, _kernel
from nas.candidates import Candidates, Floats
from nas.objective import Objective
from nas.search import search
from nas.space import space
from reports.nas import report
from tests.nas.test_nas_search import stub

MBCONV, MACRO = space("mbconv"), space("macro")
CANDIDATES = Candidates(MBCONV, Objective(400e6))
SEE = Knowledge(CANDIDATES)
ROWS = CANDIDATES.draw(300, np.random.default_rng(0))


def truths() -> dict[str, np.ndarray]:
    """Accuracies that follow capacity in the main, the opposite, and what it does not know of."""
    groups = SEE(ROWS)[NONE].groups
    capacity = groups["capacity"][:, 0]
    other = (groups["choices"][:, 0] + groups["choices"][:, 6]) / 2
    rest = 0.3 * other + 0.2 * np.random.default_rng(1).standard_normal(len(ROWS))
    kinds = {"capacity": capacity + rest, "opposite": -capacity + rest, "other": other}
    return {name: 0.6 + 0.02 * kind for name, kind in kinds.items()}


def test_evidence_decides_what_counts() -> None:
    few = ROWS[:12]
    weights = {n: Belief(SEE, few, truth[:12]).weights for n, truth in truths().items()}
    assert weights["capacity"][CAPACITY] > 0.7
    assert weights["opposite"][NONE] > 0.8
    assert weights["other"][NONE] > 0.5
    assert all(sum(found.values()) == pytest.approx(1) for found in weights.values())


@pytest.mark.parametrize("name", ["opposite", "other"])
def test_a_wrong_source_costs_little(name: str) -> None:
    """Against the model that never heard of it, on networks that were not trained."""
    truth = truths()[name]
    for count in (8, 16):
        plain = SEE(ROWS[:count])[NONE]
        alone = Model(plain, truth[:count]).mean(SEE(ROWS[count:])[NONE])
        both = Belief(SEE, ROWS[:count], truth[:count]).mean(ROWS[count:])
        missed = [np.std(mean - truth[count:]) for mean in (alone, both)]
        assert missed[1] < 1.2 * missed[0]


def test_disagreement_is_uncertainty() -> None:
    """Two trainings do not tell the views apart: doubt is a mixture's, at least the lesser's."""
    truth = truths()["other"]
    belief = Belief(SEE, ROWS[:2], truth[:2])
    mean, sd = belief.predict(ROWS[2:])
    views = SEE(ROWS[2:])
    parts = [belief.models[name].predict(views[name]) for name in belief.models]
    assert len(parts) == 2
    least = np.minimum(*[sd for _, sd in parts])
    assert np.all(sd >= least - 1e-12)
    weighed = belief.shares @ np.array([mean**2 + sd**2 for mean, sd in parts])
    assert mean**2 + sd**2 == pytest.approx(weighed)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 12))
def test_accuracies_of_any_level_are_believed_alike(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    belief = Belief(SEE, ROWS[:count], rng.uniform(0, 1, count))
    mean, sd = belief.predict(ROWS)
    assert np.isfinite(mean).all()
    assert (sd > 0).all()
    assert sum(belief.weights.values()) == pytest.approx(1)


def test_where_nothing_is_noisy_a_training_is_taken_at_its_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against a strong guess that is right but for a little of each network's own; what scatters by
    as much as networks differ is noise as before."""
    data = SEE(ROWS[:40])[CAPACITY]
    plain = 0.6 + 0.01 * data.guess

    def kept(scatter: float) -> float:
        """The share of the deviations from what was foretold that is believed, mean of five."""
        shares = []
        for seed in range(5):
            own = scatter * np.random.default_rng(seed).standard_normal(40)
            believed = Model(data, plain + own, doubt=0.1).mean(data) - plain
            shares.append(own @ believed / (own @ own))
        return float(np.mean(shares))

    little, much = kept(0.001), kept(0.01)
    monkeypatch.setattr("nas.belief.model.TERMS", TERMS[:-1])
    assert little > kept(0.001) + 0.1
    assert much == pytest.approx(kept(0.01), abs=0.05)


@pytest.mark.parametrize("name", ["mbconv", "mnasnet", "macro"])
def test_what_is_a_networks_own_says_nothing_of_any_other(name: str) -> None:
    (own,) = (term for term in TERMS if term.length == OWN)
    searched = space(name)
    see = Knowledge(Candidates(searched, Objective(70e6 if name == "macro" else 400e6)))
    rows = np.unique(see.reference[:100], axis=0)
    others = searched.mutated(rows, np.random.default_rng(0))  # by a single choice
    one, other = (see(some)[NONE].groups for some in (rows, others))
    assert _kernel(own, one, one) == pytest.approx(np.eye(len(rows)), abs=1e-6)
    moved = (rows != others).any(1)
    assert moved.any()
    assert np.diag(_kernel(own, one, other))[moved] == pytest.approx(0, abs=1e-6)


def test_depth_is_known_and_a_bare_projection_has_none() -> None:
    features = Features(Candidates(MACRO, Objective(70e6)))
    digits = ("00000000", "10000000", "01000000", "11111111")
    rows = MACRO.indices([{f"layer{i}": int(d) for i, d in enumerate(one)} for one in digits])
    depth = features(rows)["totals"][:, 3]
    assert depth[1] == depth[2]
    assert (depth[1] - depth[0]) * 8 == pytest.approx(depth[3] - depth[0])


def test_draws_have_the_moments_that_are_predicted() -> None:
    data = SEE(ROWS[:40])[CAPACITY]
    model = Model(data.take(np.arange(10)), truths()["other"][:10])
    mean, sd = model.predict(data)
    drawn = model.sample(data, 4000, np.random.default_rng(0))
    assert drawn.mean(0) == pytest.approx(mean, abs=6 * sd.max() / 4000**0.5)
    # The model adds 1e-8 to variances of trained networks, in units of its scale.
    assert drawn.std(0) == pytest.approx(sd, rel=0.1, abs=3e-4 * model.scale)


def test_an_account_finds_what_accuracies_follow() -> None:
    truth = truths()
    found = account(Belief(SEE, ROWS[:30], truth["capacity"][:30]), SEE)
    low, middle, high = found["agreement"]["capacity"]
    assert 0.8 < low <= middle <= high
    assert found["foretold"] > 0.3
    turned = account(Belief(SEE, ROWS[:30], truth["opposite"][:30]), SEE)
    assert turned["agreement"]["capacity"][2] < -0.8
    assert turned["foretold"] == pytest.approx(0, abs=0.05)
    assert in_words(turned).startswith("what foretold these trainings best: no guess (")
    unsure = account(Belief(SEE, ROWS[:3], truth["other"][:3]), SEE)
    low, _, high = unsure["agreement"]["depth"]
    assert high - low > 0.5


def test_weights_move_with_what_trainings_say() -> None:
    """Of a truth that capacity foretells its view ends ahead, of the opposite the other."""
    for truth, ahead in (("capacity", CAPACITY), ("opposite", NONE)):
        values = truths()[truth]

        def fit(count: int, values: Floats = values) -> Belief:
            return Belief(SEE, ROWS[:count], values[:count])

        found = course(fit, 3, 40)
        counts = [count for count, _ in found]
        assert (counts[0], counts[-1]) == (3, 40)
        assert counts == sorted(set(counts))
        assert all(sum(weights.values()) == pytest.approx(1) for _, weights in found)
        assert found[-1][1][ahead] > max(0.8, found[0][1][ahead])


def test_a_run_says_what_its_answer_rests_on(tmp_path: Path) -> None:
    """In its result, in the study and in the report, which reads the study alone."""
    search(MBCONV, stub, trials=FEWEST - 1, run_dir=tmp_path / "run")
    page = report(tmp_path / "run").read_text()
    assert "(too few trainings to tell what foretold them)" in page
    assert "foretold the trainings best, probability" not in page
    found = search(MBCONV, stub, trials=FEWEST, run_dir=tmp_path / "run", resume=True)
    assert found.basis is not None
    assert set(found.basis["weights"]) == {"capacity", "none"}
    # The last look at the weights is the answer's own, the first one after the opening.
    counts = [count for count, _ in found.basis["course"]]
    assert (counts[0], counts[-1]) == (3, FEWEST)
    assert found.basis["course"][-1][1] == found.basis["weights"]
    page = report(tmp_path / "run").read_text()
    assert "What the answer rests on" in page
    assert f"{found.basis['weights']['capacity']:.2f}" in page
    assert "overruled" not in page
    assert "after so many trainings" in page
    assert (tmp_path / "run" / "weights.png").stat().st_size > 5000
    search(MBCONV, stub, trials=8, run_dir=tmp_path / "other", trust=0.2)
    assert "--trust 0.2 overruled that" in report(tmp_path / "other").read_text()
    plain = search(MBCONV, stub, trials=8, sampler="random", run_dir=tmp_path / "random")
    assert plain.basis is None
    assert "What the answer rests on" not in report(tmp_path / "random").read_text()
