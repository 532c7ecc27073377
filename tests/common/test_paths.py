"""Places as people write them, and places that cannot be written."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.command import path, storage_url
from common.paths import check_directory, check_file, check_place, expanded


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "été chez nous"))
    monkeypatch.delenv("NOT_SET", raising=False)
    return tmp_path / "été chez nous"


@pytest.mark.parametrize("text", ["~/a b", "$HOME/a b", "${HOME}/a b"])
def test_the_home_is_put_in(text: str, home: Path) -> None:
    assert path(text) == home / "a b"
    assert storage_url(f"sqlite:///{text}") == f"sqlite:///{home}/a b"


@given(st.text(st.characters(exclude_characters="$~\0", exclude_categories=["Cs"]), min_size=1))
def test_any_other_name_is_taken_as_it_is(text: str) -> None:
    if text.strip():
        assert expanded(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty path"),
        (" ", "empty path"),
        ("$NOT_SET/x", "NOT_SET is not set"),
        ("${NOT_SET}", "NOT_SET is not set"),
        ("~nobody-of-this-name/x", "not known here"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, message: str) -> None:
    for read in (path, lambda text: storage_url(f"sqlite:///{text}")):
        if text or read is path:
            with pytest.raises(argparse.ArgumentTypeError, match=message):
                read(text)


def test_a_directory_that_exists_by_the_name_as_written(tmp_path: Path) -> None:
    for name in ("$RECYCLE", "~x", "cost in $HOME"):
        (tmp_path / name).mkdir()
        assert expanded(name) == name


def test_passwords_are_left_alone() -> None:
    url = "postgresql://user:pa$HOME~@host/study"
    assert storage_url(url) == url
    assert storage_url("sqlite://") == "sqlite://"


def test_a_writable_directory_is_made_and_left_empty(tmp_path: Path) -> None:
    check_directory(tmp_path / "a" / "b c")
    assert list((tmp_path / "a" / "b c").iterdir()) == []
    check_file(tmp_path / "d" / "file.csv")
    assert (tmp_path / "d").is_dir()


def test_a_place_is_tried_without_a_trace(tmp_path: Path) -> None:
    check_place(tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot write in"):
        check_place(tmp_path / "file" / "below")


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for bad in ("file", "file/below", "x" * 300, "nul\0"):
        with pytest.raises(ValueError, match="cannot write in"):
            check_directory(tmp_path / bad)
    with pytest.raises(ValueError, match="name a file"):
        check_file(tmp_path)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, which nobody can write")
def test_an_existing_directory_that_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="cannot write in '/proc/self'"):
        check_directory(Path("/proc/self"))
