"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.command import file_name
from common.units import (
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    parse_target,
)


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
    for read in (
        parse_size,
        parse_duration,
        lambda t: parse_target(t, 4e8),
        lambda t: parse_target(t, 0.012, parse_duration),
    ):
        try:
            assert read(text) > 0
        except ValueError as error:
            assert "write a" in str(error) or "did you mean" in str(error)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12ms", 0.012), ("0.5s", 0.5), (" 1.5 MS ", 0.0015), ("250us", 2.5e-4), ("2e-3s", 0.002)],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)
    assert parse_target(text, 7.0, parse_duration) == parse_duration(text)
    assert parse_target("2x", 0.012, parse_duration) == 0.024


@pytest.mark.parametrize(
    "text", ["12", "ms", "0ms", "-1s", "1,5ms", "12 parsecs", "1e999s", "1e-400s", "nan s", "2x"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="write a number with ms or s, such as 12ms"):
        parse_duration(text)


@given(st.floats(1e-7, 1e5), st.sampled_from([("s", 1.0), ("ms", 1e-3), ("us", 1e-6)]))
def test_a_time_is_its_number_in_its_unit(value: float, unit: tuple[str, float]) -> None:
    name, seconds = unit
    assert parse_duration(f"{value!r}{name}") == pytest.approx(value * seconds, rel=1e-12)


@given(st.floats(1e-6, 1e4))
def test_a_time_reads_back_to_three_digits(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.006)


def test_formatted_times() -> None:
    assert [format_duration(s) for s in (0.0123, 0.999_9, 1.5, 0.0001, 0.25, 12.345, 240)] == [
        "12.3 ms", "1.00 s", "1.50 s", "0.100 ms", "250 ms", "12.3 s", "240 s"
    ]  # fmt: skip


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
