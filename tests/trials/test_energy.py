"""A run's energy: kept in its directory, the sum of its parts, or nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from common.energy import Counter
from nas.objective import Objective
from nas.search import search
from nas.search.ending import as_json, summary
from reports.nas import report
from tests.nas.test_nas_search import MBCONV, stub
from trials import energy
from trials.energy import FILE_NAME, kept
from trials.energy import metered as metered_beside


class Device:
    """A counter that a test moves."""

    def __init__(self, name: str = "CPU package 0") -> None:
        self.joules = 100.0
        self.counter = Counter(name, lambda: self.joules)


def metered(
    directory: Path, goes_on: bool, counters: Sequence[Counter]
) -> AbstractContextManager[None]:
    """Of a run that is begun."""
    (directory / "run.json").touch()
    return metered_beside(directory / "run.json", goes_on, counters)


def test_a_run_that_goes_on_sums_its_parts(tmp_path: Path) -> None:
    one = Device()
    with metered(tmp_path, False, [one.counter]):
        one.joules += 5
    one.joules += 1000  # between the parts
    with metered(tmp_path, True, [one.counter]):
        one.joules += 7
    assert kept(tmp_path) == {"CPU package 0": 12.0}
    with metered(tmp_path, False, [one.counter]):  # a new run of the directory
        one.joules += 1
    assert kept(tmp_path) == {"CPU package 0": 1.0}


def test_a_part_that_was_not_counted_leaves_the_whole_unknown(tmp_path: Path) -> None:
    one, other = Device(), Device("GPU 0")
    with metered(tmp_path, True, [one.counter]):  # begun by an earlier version
        one.joules += 5
    assert kept(tmp_path) is None
    with metered(tmp_path, False, [one.counter, other.counter]):
        one.joules += 5
    with metered(tmp_path, True, [one.counter]):
        one.joules += 5
    assert kept(tmp_path) == {"CPU package 0": 10.0}
    with metered(tmp_path, True, []):
        pass
    assert kept(tmp_path) is None


@pytest.mark.parametrize("begins", [True, False])
def test_a_stopped_run_keeps_what_it_took_if_it_is_one(tmp_path: Path, begins: bool) -> None:
    one = Device()

    def stopped() -> None:
        with metered_beside(tmp_path / "run.json", False, [one.counter]):
            if begins:
                (tmp_path / "run.json").touch()
            one.joules += 5
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert kept(tmp_path) == ({"CPU package 0": 5.0} if begins else None)


def test_a_counter_is_read_while_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often than it begins anew; what is read is kept at once, for a kill leaves that."""
    monkeypatch.setattr(energy, "_SECONDS", 0.0)
    at = [0.0]

    def read() -> float:
        at[0] += 30
        return at[0] % 100

    with metered(tmp_path, False, [Counter("CPU", read, 100.0)]):
        while (now := kept(tmp_path)) is None or now["CPU"] < 300:
            pass
    found = kept(tmp_path)
    assert found is not None
    assert found["CPU"] == pytest.approx(at[0] - 30)


@pytest.mark.parametrize("text", ["", "[]", '{"CPU": "much"}', '{"CPU": null}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(ValueError, match=rf"{FILE_NAME} is damaged .*remove it"):
        kept(tmp_path)


def test_a_search_says_what_it_took_where_that_is_known(tmp_path: Path) -> None:
    found = search(MBCONV, stub, trials=6, run_dir=tmp_path)
    aim = Objective(400e6)
    report(tmp_path)
    page = tmp_path / "report.html"
    assert "energy:" not in summary(found, aim, tmp_path, "macs")
    assert "Energy" not in page.read_text("utf-8")
    assert as_json(found, aim, tmp_path, "macs")["energy"] is None
    (tmp_path / FILE_NAME).write_text(json.dumps({"CPU package 0": 1234.0}))
    report(tmp_path)
    assert "energy: 1.23 kJ by CPU package 0" in summary(found, aim, tmp_path, "macs")
    assert "Energy: 1.23 kJ by CPU package 0" in page.read_text("utf-8")
    assert as_json(found, aim, tmp_path, "macs")["energy"] == {"CPU package 0": 1234.0}
