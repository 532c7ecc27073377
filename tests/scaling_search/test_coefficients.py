"""Coefficients: validation, powers, text and JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_search.coefficients import (
    NAMED,
    PAPER,
    Coefficients,
    parse_coefficients,
    read_coefficients,
)

positive = st.floats(0.3, 3.0)


def test_the_papers_product() -> None:
    assert PAPER.product == pytest.approx(1.92027)
    assert PAPER.at(2).depth == pytest.approx(1.44)
    assert PAPER.at(-1).resolution == pytest.approx(1 / 1.15)
    assert PAPER.at(0) == (1, 1, 1)


@pytest.mark.parametrize("name", NAMED)
def test_names_stand_for_rules(name: str) -> None:
    found = parse_coefficients(f" {name} ")
    assert found == NAMED[name] == read_coefficients(name)
    if name == "paper":
        assert found == Coefficients(1.2, 1.1, 1.15)
    else:
        assert found.product == pytest.approx(2)
    alone = name in ("depth", "width", "resolution")
    assert found.alone == (name if alone else None)
    assert sum(one != 1 for one in found.to_dict().values()) == (1 if alone else 3)


@pytest.mark.parametrize("ratio", [0.25, 2.0, 8.0])
def test_the_fast_rule_is_its_papers(ratio: float) -> None:
    """Depth s^0.1, width s^0.4, resolution s^0.05: arXiv:2103.06877's α = 0.8."""
    found = NAMED["fast"].at(NAMED["fast"].phi(ratio))
    assert found == pytest.approx((ratio**0.1, ratio**0.4, ratio**0.05))


def test_a_file_is_read_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fast").write_text(json.dumps(PAPER.to_dict()))
    monkeypatch.chdir(tmp_path)
    assert read_coefficients("fast") == PAPER
    with pytest.raises(ValueError, match="one of paper, fast, depth, width, resolution"):
        read_coefficients("faster")


@given(positive, positive, positive, st.floats(0.1, 10))
def test_phi_solves_the_ratio(alpha: float, beta: float, gamma: float, ratio: float) -> None:
    found = Coefficients(alpha, beta, gamma)
    if abs(math.log(found.product)) < 0.05:
        return
    assert found.at(found.phi(ratio)).product == pytest.approx(ratio, rel=1e-6)


@given(positive, positive, positive)
def test_text_and_json_both_ways(alpha: float, beta: float, gamma: float) -> None:
    found = Coefficients(alpha, beta, gamma)
    assert parse_coefficients(f"{alpha!r}, {beta!r},{gamma!r}") == found
    assert parse_coefficients(json.dumps(found.to_dict())) == found
    file = json.dumps({"coefficients": found.to_dict(), "target": 1})
    assert parse_coefficients(file) == found


@pytest.mark.parametrize(
    "text",
    ["", "1.2", "1.2,1.1", "1,2,3,4", "a,b,c", "1.2,0,1", "-1,1,1", "nan,1,1", "inf,1,1", "{}",
     "{", '{"alpha": 1}', '{"alpha": "1", "beta": 1, "gamma": 1}', '{"coefficients": 3}'],
)  # fmt: skip
def test_bad_text_is_refused_with_a_message(text: str) -> None:
    with pytest.raises(ValueError, match=r"coefficients|positive number"):
        parse_coefficients(text)


def test_unit_product_has_no_phi() -> None:
    with pytest.raises(ValueError, match="no φ changes the cost"):
        Coefficients(1, 1, 1).phi(2)
    with pytest.raises(ValueError, match="not a positive number"):
        PAPER.phi(0)


def test_numpys_numbers() -> None:
    found = Coefficients(*np.array([1.5, 1.25, 2.0], dtype=np.float32))
    assert found == Coefficients(1.5, 1.25, 2.0)
    assert json.dumps(found.to_dict()) == json.dumps(Coefficients(1.5, 1.25, 2.0).to_dict())
    assert Coefficients(np.int64(1), np.float64(1.1), 1) == Coefficients(1, 1.1, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="beta"):
        Coefficients(1.2, np.bool_(True), 1.1)  # type: ignore[arg-type]


def test_a_byte_order_mark_before_coefficients(tmp_path: Path) -> None:
    file = tmp_path / "coefficients.json"
    file.write_text(json.dumps(PAPER.to_dict()), encoding="utf-8-sig")
    assert read_coefficients(str(file)) == PAPER
