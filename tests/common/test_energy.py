"""Joules by the machine's counters: what is read, what wraps, what is not known."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.energy import Counter, Meter, in_words, nvidia, packages

MOST = 262_143_328_850  # microjoules after which a usual counter begins anew


def zone(root: Path, number: str, name: str, microjoules: int | str) -> Path:
    made = root / f"intel-rapl:{number}"
    made.mkdir(parents=True)
    (made / "name").write_text(f"{name}\n")
    (made / "energy_uj").write_text(f"{microjoules}\n")
    (made / "max_energy_range_uj").write_text(f"{MOST}\n")
    return made


def test_packages_are_counted_and_nothing_twice(tmp_path: Path) -> None:
    one = zone(tmp_path, "0", "package-0", 5_000_000)
    zone(tmp_path, "0:0", "core", 1)  # a part of the package
    zone(tmp_path, "1", "psys", 1)  # which the package is a part of
    two = zone(tmp_path, "2", "package-1", 0)
    meter = Meter(packages(tmp_path))
    assert meter.joules == {"CPU package 0": 0.0, "CPU package 1": 0.0}
    (one / "energy_uj").write_text("7500000")
    meter.read()
    (one / "energy_uj").write_text("8000000")
    (two / "energy_uj").write_text("1000000")
    meter.read()
    assert meter.joules == pytest.approx({"CPU package 0": 3.0, "CPU package 1": 1.0})


@given(st.lists(st.integers(0, MOST - 1), max_size=8), st.integers(0, MOST - 1))
def test_a_counter_that_begins_anew_loses_nothing(steps: list[int], first: int) -> None:
    """However often, while it is read at least once in between."""
    at = [first]
    counter = Counter("CPU", lambda: at[0] % MOST / 1e6, MOST / 1e6)
    meter = Meter([counter])
    for step in steps:
        at[0] += step
        meter.read()
    assert meter.joules["CPU"] == pytest.approx(sum(steps) / 1e6, abs=1e-3)


@pytest.mark.parametrize("name", ["energy_uj", "max_energy_range_uj", "name"])
@pytest.mark.parametrize("damage", ["missing", "folder", "text"])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, name: str, damage: str) -> None:
    """A file without the right to read it fails as a folder in its place does: by OSError."""
    file = zone(tmp_path, "0", "package-0", 5) / name
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage == "text":
        file.write_text("none")
    assert Meter(packages(tmp_path)).joules == {}


def test_without_the_folder_nothing_is_known(tmp_path: Path) -> None:
    assert packages(tmp_path / "none") == []


def test_a_counter_that_stops_or_is_reset_is_known_no_more() -> None:
    said: dict[str, float | None] = {"stops": 1.0, "is reset": 9.0, "goes on": 1.0}
    meter = Meter([Counter(name, lambda name=name: said[name]) for name in said])  # type: ignore[misc]
    said |= {"stops": None, "is reset": 2.0, "goes on": 3.0}
    meter.read()
    meter.read()
    assert meter.joules == {"goes on": 2.0}


class _Refused(Exception):
    """As NVML's own, of a GPU that does not count."""


def _nvml(counts: dict[int, int]) -> SimpleNamespace:
    def energy(handle: int) -> int:
        if handle not in counts:
            raise _Refused
        return counts[handle]

    return SimpleNamespace(
        NVMLError=_Refused,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda place: place,
        nvmlDeviceGetName=lambda handle: f"Card {handle}",
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )


def test_gpus_count_millijoules_and_one_that_does_not_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = {1: 4_000}
    monkeypatch.setitem(sys.modules, "pynvml", _nvml(counts))
    meter = Meter(nvidia())
    counts[1] += 2_500
    meter.read()
    assert meter.joules == {"GPU 1 (Card 1)": 2.5}


def test_without_the_package_or_the_driver_no_gpu_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # import raises ImportError
    assert nvidia() == []

    def init() -> None:
        raise _Refused

    without = _nvml({})
    without.nvmlInit = init
    monkeypatch.setitem(sys.modules, "pynvml", without)
    assert nvidia() == []


def test_words_say_whose_energy_it_is() -> None:
    said = in_words({"GPU 0 (Card)": 250_000.0, "CPU package 0": 1234.0})
    assert said.startswith("1.23 kJ by CPU package 0, 250 kJ by GPU 0 (Card)")
    assert "other processes" in said
