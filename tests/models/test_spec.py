"""ArchSpec: validated at birth, JSON both ways, a stable key, clear errors for anything else."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.choose import choose
from models.families import family, names
from models.spec import ArchSpec, StageSpec, Stem
from tests.support.strategies import specs


@given(specs())
def test_json_round_trip(spec: ArchSpec) -> None:
    again = ArchSpec.from_json(spec.to_json())
    assert again == spec
    assert again.key == spec.key


@given(specs(), specs())
def test_equal_keys_mean_equal_networks(one: ArchSpec, two: ArchSpec) -> None:
    assert (one.key == two.key) == (replace(one, name="x") == replace(two, name="x"))


def test_key_does_not_depend_on_process_or_name_or_number_type() -> None:
    spec = family("efficientnet-b0")
    code = "from models.families import family; print(family('efficientnet-b0').key)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == spec.key
    assert replace(spec, name="other").key == spec.key
    text = spec.to_json().replace('"expansion":6,', '"expansion":6.0,')
    assert ArchSpec.from_json(text).key == spec.key


def test_every_family_has_its_own_key() -> None:
    assert len({family(name).key for name in names()}) == len(names())


@given(st.text(max_size=200))
def test_any_text_is_a_clear_error(text: str) -> None:
    with pytest.raises(ValueError):
        ArchSpec.from_json(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.data())
def test_a_damaged_spec_is_valid_or_a_clear_error(data: st.DataObject) -> None:
    facts = json.loads(family("efficientnet-b0").to_json())
    target = data.draw(st.sampled_from([facts, facts["stem"], *facts["stages"]]))
    key = data.draw(st.sampled_from([*target, "unknown"]))
    if data.draw(st.booleans()):
        target[key] = data.draw(json_values)
    else:
        target.pop(key, None)
    try:
        spec = ArchSpec.from_json(json.dumps(facts))
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert ArchSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 0}, "channels 0"),
        ({"channels": -8}, "channels -8"),
        ({"channels": 10**9}, "channels 1000000000"),
        ({"channels": (8, 16)}, "2 widths for 1 layers"),
        ({"kernel": 4}, "kernel 4 is even"),
        ({"expansion": float("nan")}, "expansion nan"),
        ({"se": 1.5}, "se 1.5"),
        ({"block": "transformer"}, "transformer"),
        ({"skip": "maybe"}, "maybe"),
        ({"layers": True}, "layers True"),
        ({"groups": 3}, "only a bottleneck"),
    ],
)
def test_bad_stage(change: dict[str, object], message: str) -> None:
    good = {"block": "mbconv", "layers": 1, "channels": 16}
    with pytest.raises(ValueError, match=message):
        StageSpec(**{**good, **change})  # type: ignore[arg-type]


def test_bad_network() -> None:
    stage = StageSpec("mbconv", 1, 16)
    with pytest.raises(ValueError, match="at least one stage"):
        ArchSpec("x", Stem(8), ())
    with pytest.raises(ValueError, match="total layers 10000"):
        ArchSpec("x", Stem(8), (stage,) * 10_000)
    with pytest.raises(ValueError, match="convnext blocks and LayerNorm"):
        ArchSpec("x", Stem(8), (stage,), norm="layer")
    with pytest.raises(ValueError, match="groups do not divide"):
        StageSpec("bottleneck", 1, 100, expansion=0.5, groups=32)


def test_hostile_json_is_refused_quickly() -> None:
    for text in ("[" * 100_000, '{"a":' * 50_000, "x" * (1 << 21), '{"resolution": NaN}'):
        with pytest.raises(ValueError):
            ArchSpec.from_json(text)
    huge = '{"name":"x","stem":{"channels":8},"stages":[],"resolution":' + "9" * 5000 + "}"
    with pytest.raises(ValueError):
        ArchSpec.from_json(huge)


def test_numpys_numbers_are_numbers() -> None:
    """They become Python's own, so that keys and JSON agree; NaN and booleans stay no numbers."""
    own = ArchSpec(
        "x", Stem(8, 3, 1), (StageSpec("rexnet", 2, (16, 24), 3, 1, 1.5, se=0.25),), head=32,
        resolution=64, dropout=0.25,
    )  # fmt: skip
    stage = StageSpec(
        "rexnet", np.int64(2), tuple(np.array([16, 24])), np.int8(3), np.uint16(1),  # type: ignore[arg-type]
        np.float32(1.5), se=np.float64(0.25),  # type: ignore[arg-type]
    )  # fmt: skip
    stem = Stem(np.int32(8), np.int64(3), np.int64(1))  # type: ignore[arg-type]
    numpys = ArchSpec(
        "x", stem, (stage,), head=np.int64(32), resolution=np.int64(64), dropout=np.float64(0.25),  # type: ignore[arg-type]
    )  # fmt: skip
    assert numpys == own
    assert numpys.key == own.key
    assert numpys.to_json() == own.to_json()
    assert {type(value) for value in vars(numpys.stages[0]).values()} == {str, int, tuple, float}
    for odd in (np.bool_(True), np.float64(2.5), np.float64("nan"), np.array([1, 2])):
        with pytest.raises(ValueError, match="layers"):
            StageSpec("conv", odd, 8)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dropout"):
        replace(own, dropout=np.float32("nan"))


def test_a_byte_order_mark_before_a_spec(tmp_path: Path) -> None:
    """Windows editors write one."""
    spec = family("efficientnet-b0")
    file = tmp_path / "spec.json"
    file.write_text(spec.to_json(), encoding="utf-8-sig")
    assert choose(str(file)) == spec
    assert ArchSpec.from_json(file.read_text(encoding="utf-8")) == spec
