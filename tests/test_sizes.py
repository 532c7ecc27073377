"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.command import file_name
from models.sizes import format_size, parse_size, parse_target


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("400M", 4e8),
        ("1.5G", 1.5e9),
        ("1.5b", 1.5e9),
        ("12", 12),
        ("4e8", 4e8),
        (" 2 k ", 2000),
        (".5T", 5e11),
    ],
)
def test_reads(text: str, value: float) -> None:
    assert parse_size(text) == value


@pytest.mark.parametrize(
    "text", ["400X", "", "M", "-3M", "0", "nan", "inf", "1e999", "1,5G", "4 00M", "٣M"]
)
def test_refuses_with_the_value_and_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match="write a number"):
        parse_size(text)


@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    for read in (parse_size, lambda t: parse_target(t, 4e8)):
        try:
            assert read(text) > 0
        except ValueError as error:
            assert "write a" in str(error)


def test_targets() -> None:
    assert parse_target("2x", 385_814_752) == 771_629_504
    assert parse_target("0.5X", 4e8) == 2e8
    assert parse_target("800M", 4e8) == 8e8


@given(st.floats(1, 1e14))
def test_format_reads_back_to_three_digits(value: float) -> None:
    assert parse_size(format_size(value)) == pytest.approx(value, rel=0.006)


def test_format() -> None:
    assert [
        format_size(v) for v in (385_814_752, 1_827_141_392, 999_999_999, 37_745_884_192, 5)
    ] == ["386M", "1.83G", "1.00G", "37.7G", "5"]


@given(st.text(max_size=200))
def test_any_name_becomes_one_file_name(text: str) -> None:
    """A network's name comes from a file that anybody may have written."""
    name = file_name(text)
    assert 0 < len(name) <= 100
    assert not {"/", "\\", "\0"} & set(name)
    assert not name.startswith(".")
    assert file_name("nas-400M-mnist") == "nas-400M-mnist"
