"""The family: realised targets, rates, memory, files; the studies' points."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.cost import cost
from models.families import family as named
from models.spec import ArchSpec
from scaling_search.coefficients import FAST, NAMED, PAPER, Coefficients
from scaling_search.family import PHIS, dropout, member, members, memory, phis_of, write
from scaling_search.points.point import TOLERANCE, limited
from scaling_search.points.scalable import SpecBaseline
from scaling_search.studies import (
    LADDERS,
    PUBLISHED,
    compare_study,
    parse_shares,
    single_study,
    width_study,
)
from scaling_search.surface.simplex import shares


@cache
def b0() -> SpecBaseline:
    return SpecBaseline(named("efficientnet-b0"))


def test_members_cost_what_their_phi_says() -> None:
    found = members(b0(), PAPER, (-1.0, *PHIS))
    base = cost(b0().spec).macs
    for item in found:
        assert item.reached
        assert cost(item.spec).macs == pytest.approx(base * PAPER.product**item.phi, rel=TOLERANCE)
        assert item.cost["macs"] == item.point.macs
    assert [item.spec.dropout for item in found[1:]] == pytest.approx(
        [dropout(0.2, PAPER.product**phi) for phi in PHIS]
    )
    assert found[1].spec.key == b0().spec.key
    assert {item.spec.drop_path for item in found} == {0.2}


def test_dropout_grows_as_the_papers() -> None:
    assert dropout(0.2, 1) == 0.2
    assert dropout(0.2, 2**6) == 0.5
    assert dropout(0.2, 2**20) == 0.5
    assert dropout(0.0, 0.5) == 0.0
    assert dropout(0.7, 4) == 0.7


def test_targets_are_solved_for_phi() -> None:
    base = cost(b0().spec).macs
    phis = phis_of(b0(), Coefficients(1.3, 1.2, 1.1), [base, 2 * base, 4 * base])
    assert phis[0] == 0
    for phi, ratio in zip(phis, (1, 2, 4), strict=True):
        found = member(b0(), Coefficients(1.3, 1.2, 1.1), phi)
        assert found.point.ratio == pytest.approx(ratio, rel=TOLERANCE)


@pytest.mark.parametrize("name", ["depth", "width", "resolution"])
@pytest.mark.parametrize("ratio", [0.5, 2.0, 4.0])
def test_one_dimension_alone_leaves_the_others_be(name: str, ratio: float) -> None:
    (phi,) = phis_of(b0(), NAMED[name], [ratio * cost(b0().spec).macs])
    found = member(b0(), NAMED[name], phi)
    assert found.reached
    assert found.point.ratio == pytest.approx(ratio, rel=TOLERANCE)
    realised = found.point.realised._asdict()
    assert (realised.pop(name) > 1) == (ratio > 1)
    # Widths of single stages make up for what whole layers leave of the cost.
    assert list(realised.values()) == pytest.approx([1, 1], abs=0.02)


def test_the_fast_rule_makes_fewer_activations_than_the_papers() -> None:
    """At 4 times the cost: about √4 times as many (arXiv:2103.06877), and more by the paper's."""
    base = cost(b0().spec)
    (fast,), (paper,) = (
        members(b0(), NAMED[name], phis_of(b0(), NAMED[name], [4 * base.macs]))
        for name in ("fast", "paper")
    )
    assert fast.cost["macs"] == pytest.approx(paper.cost["macs"], rel=2 * TOLERANCE)
    assert fast.cost["activations"] / base.activations == pytest.approx(2.2, abs=0.1)
    assert paper.cost["activations"] / base.activations > 2.8


@pytest.mark.parametrize("phi", [-1.0, 0.0, 1.0, 2.0, 3.0])
def test_no_member_has_more_pixels_than_are_allowed(phi: float) -> None:
    at_most = SpecBaseline(named("efficientnet-b0"), largest=256)
    found, free = member(at_most, PAPER, phi), member(b0(), PAPER, phi)
    assert found.side <= 256
    assert found.reached
    assert found.target == pytest.approx(free.target)
    if phi < 1:
        assert found.point.spec == free.point.spec
    elif phi > 1:
        assert found.point.nominal.depth > free.point.nominal.depth
        assert found.point.realised.width > free.point.realised.width


@given(
    st.floats(1, 2), st.floats(1, 2), st.floats(1, 2), st.floats(0.1, 4), st.integers(224, 600)
)  # fmt: skip
def test_what_pixels_may_not_take_depth_and_width_share(
    alpha: float, beta: float, gamma: float, phi: float, largest: int
) -> None:
    wanted = Coefficients(alpha, beta, gamma)
    if alpha * beta < 1.01:
        return
    found = limited(SpecBaseline(named("efficientnet-b0"), largest=largest), wanted, phi)
    assert found.resolution <= largest / 224 * (1 + 1e-12)
    assert found.product == pytest.approx(wanted.at(phi).product, rel=1e-6)
    assert math.log(found.depth) * math.log(beta) == pytest.approx(
        math.log(found.width) * math.log(alpha), abs=1e-9
    )
    if wanted.at(phi).resolution <= largest / 224:
        assert found == wanted.at(phi)


def test_pixels_that_are_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="below the baseline's 224"):
        SpecBaseline(named("efficientnet-b0"), largest=200)
    with pytest.raises(ValueError, match="more than 256 pixels, and neither"):
        member(SpecBaseline(named("efficientnet-b0"), largest=256), NAMED["resolution"], 1.0)


def test_the_file_holds_a_spec_and_both_multipliers(tmp_path: Path) -> None:
    (path,) = write(tmp_path / "family", [member(b0(), PAPER, 0.5, batch=8)])
    assert path.name == "phi-0.5.json"
    data = json.loads(path.read_text("utf-8"))
    spec = ArchSpec.from_json(json.dumps(data["spec"]))
    assert spec.key == data["key"]
    assert cost(spec)._asdict() == data["cost"]
    assert data["nominal"]["depth"] == pytest.approx(1.2**0.5)
    assert data["realised"]["resolution"] == spec.resolution / 224
    assert data["memory"] == {"bytes": memory(data["cost"], 8), "batch": 8}
    assert data["reached"] is True


def test_memory_by_its_formula() -> None:
    assert memory({"macs": 1, "params": 10, "activations": 100}, 32) == 4 * (30 + 4 * 32 * 100)
    assert memory({"macs": 1}, 32) is None


def test_bad_phi_and_coefficients_are_refused() -> None:
    with pytest.raises(ValueError, match="phi"):
        member(b0(), PAPER, float("nan"))
    with pytest.raises(ValueError, match="batch"):
        member(b0(), PAPER, 1.0, batch=0)
    with pytest.raises(ValueError, match="not a positive number"):
        phis_of(b0(), PAPER, [-1.0])


def test_single_study_follows_figure_3() -> None:
    entries = single_study(b0())
    assert len(entries) == sum(len(ladder) for ladder in LADDERS.values())
    macs = {(item.series, item.factor): item.cost["macs"] / 1e9 for item in entries}
    assert macs["width", 2.6] == pytest.approx(2.391, abs=5e-4)
    assert macs["depth", 8.0] == pytest.approx(3.161, abs=5e-4)
    assert macs["resolution", 1.7] == pytest.approx(1.129, abs=5e-4)
    with pytest.raises(ValueError, match="dimension 'height'"):
        single_study(b0(), {"height": (1.0,)})


def test_width_study_follows_figure_4() -> None:
    first = [item.cost["macs"] / 1e9 for item in width_study(b0()) if item.factor == 1.0]
    assert first == pytest.approx([0.386, 0.718, 0.782, 1.466], abs=6e-4)


def test_compare_study_is_at_equal_cost() -> None:
    base = cost(b0().spec).macs
    entries, left_out = compare_study(b0(), [2 * base, 4 * base], splits={"even": (0.4, 0.3, 0.3)})
    assert not left_out
    assert [item.series for item in entries[:7]] == [
        "baseline", "depth", "width", "resolution", "compound", "fast", "even"
    ]  # fmt: skip
    for item in entries[1:]:
        assert item.point.ratio == pytest.approx(item.factor, rel=TOLERANCE)
        assert item.cost["activations"] > 0
    fast = next(item for item in entries if item.series == "fast" and item.factor > 3)
    assert shares(fast.point.realised) == pytest.approx(FAST, abs=0.1)


def test_shares_as_text() -> None:
    assert parse_shares("d=0.1,w=0.8,r=0.1") == FAST
    assert parse_shares("w=1") == (0, 1, 0)
    for text in ("", "d=0.5", "d=1,d=0", "x=1", "d=-1,w=2", "d=a,w=1", "d=nan,w=1"):
        with pytest.raises(ValueError, match="is no split"):
            parse_shares(text)


def test_published_numbers_are_percentages() -> None:
    assert all(0.2 < flops < 20 and 70 < top < 82 for rows in PUBLISHED.values()
               for _, flops, top in rows)  # fmt: skip
