"""The study of ranks: numerical ranks, random blocks, design rules, a network's own layers."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.build import build
from models.spec import ArchSpec, StageSpec, Stem
from reports.__main__ import main
from reports.ranks.blocks import BLOCKS, NONLINEARITIES, draw, outputs
from reports.ranks.layers import layers
from reports.ranks.rank import TOLERANCES, check_tolerance, ranks
from reports.ranks.rules import RULES, claims, verdict
from reports.ranks.study import RATIOS, Ranks, half_width, study
from training.__main__ import main as train
from training.transfer.parent import Moments, Parent, keep, weights_of

ONE, DEEP = "1×1 convolution", "bottleneck, depthwise"


@given(st.integers(1, 12), st.integers(12, 30), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_a_product_has_the_rank_that_its_factors_leave(rank: int, rows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(rows, rank, generator=generator, dtype=torch.float64)
    right = torch.randn(rank, 2 * rows, generator=generator, dtype=torch.float64)
    orthogonal = torch.linalg.qr(left)[0] @ torch.linalg.qr(right.T)[0].T  # singular values of 1
    assert ranks(torch.stack([orthogonal.float(), torch.zeros(rows, 2 * rows)])).tolist() == [
        [rank] * len(TOLERANCES),
        [0] * len(TOLERANCES),
    ]


def test_a_tolerance_counts_shares_of_the_greatest_singular_value() -> None:
    matrix = torch.diag(torch.tensor([50.0, 4.0, 0.3, 0.004]))
    assert ranks(matrix, (1e-1, 1e-2, 1e-3, 1e-5)).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("tolerance", [0.0, 1e-7, 1.0, float("nan")])
def test_tolerances_that_say_nothing_are_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance"):
        check_tolerance(tolerance)


@pytest.mark.parametrize("block", BLOCKS)
def test_networks_computed_together_are_those_computed_alone(block: str) -> None:
    inputs, kernels = draw(block, 5, 13, 3, torch.Generator().manual_seed(0))
    together = outputs(inputs, kernels, F.silu)
    assert together.shape[:2] == (3, 13)
    assert together.shape[2] > 13
    for n in range(3):
        x = inputs[n]
        for i, kernel in enumerate(kernels):
            groups = x.shape[1] // kernel.shape[2]
            x = F.conv2d(x, kernel[n], padding=kernel.shape[-1] // 2, groups=groups)
            x = F.batch_norm(x, None, None, training=True)
            x = x if i and i == len(kernels) - 1 else F.silu(x)
        if len(kernels) > 1:
            x[:, :5] += inputs[n]
        torch.testing.assert_close(together[n], x.transpose(0, 1).flatten(1), atol=1e-4, rtol=1e-4)


def test_without_a_nonlinearity_a_layer_has_the_rank_of_its_input() -> None:
    inputs, kernels = draw(ONE, 6, 24, 20, torch.Generator().manual_seed(0))
    linear = outputs(inputs, kernels, NONLINEARITIES["none"])
    assert ranks(linear, (1e-4,)).unique().tolist() == [6]
    assert ranks(outputs(inputs, kernels, F.relu6), (1e-4,)).min() > 6


def test_a_depthwise_bottleneck_has_no_more_rank_than_its_hidden_channels_and_its_shortcut() -> (
    None
):
    inputs, kernels = draw(DEEP, 1, 40, 10, torch.Generator().manual_seed(0))
    found = ranks(outputs(inputs, kernels, F.silu), (1e-5,))
    assert found.max() <= 6 + 1


def test_study_is_what_its_seed_says_and_its_table_what_was_measured() -> None:
    found, again = study(60, 3, watch=(ONE,)), study(60, 3, watch=(ONE,))
    assert found.networks == 100  # five widths at ten ratios, at least one network each
    one = found.of(ONE, "SiLU", 0.4, 1e-2)
    assert np.array_equal(one, again.of(ONE, "SiLU", 0.4, 1e-2))
    assert ((one > 0) & (one <= 1)).all()
    table = found.table()
    row = table[
        (table.nonlinearity == "SiLU") & (table.dimension_ratio == 0.4) & (table.tolerance == 1e-2)
    ].iloc[0]
    assert row["mean"] == pytest.approx(one.mean())
    assert row["mean_low"] <= row["mean"] <= row["mean_high"]
    assert half_width(np.array([0.1, 0.3])) == pytest.approx(1.645 * 0.1)


def made(levels: dict[tuple[str, str], list[float]], noise: float) -> Ranks:
    """Curves at the given levels, with so much noise between networks."""
    rng = np.random.default_rng(0)
    found = {
        (block, f): np.array(levels.get((block, f), [0.5] * len(RATIOS)))[:, None, None]
        + noise * rng.standard_normal((len(RATIOS), 40, 1))
        for block in BLOCKS
        for f in NONLINEARITIES
    }
    return Ranks(RATIOS, (0.1,), found)


def test_rules_are_held_contradicted_or_not_told() -> None:
    knee = [0.1, 0.3, 0.6, 0.62, 0.65, 0.7, 0.75, 0.8, 0.9, 1.0]
    higher = [min(1.0, level + 0.1) for level in knee]
    of = {(block, f): knee for block in BLOCKS for f in NONLINEARITIES}
    of |= {(block, f): higher for block in list(BLOCKS)[:2] for f in ("ELU", "SiLU")}
    told = claims(made(of, 0.01), 0.1)
    assert {rule: verdict(rule, told) for rule in RULES} == dict.fromkeys(RULES, "held")
    falling = claims(made({key: level[::-1] for key, level in of.items()}, 0.01), 0.1)
    assert verdict("dimension", falling) == "contradicted"
    flat = claims(made({}, 0.01), 0.1)
    assert verdict("dimension", flat) == "not told"
    assert len(flat) == len(told) == 17


SPEC = ArchSpec(
    "small", Stem(8), (StageSpec("mbconv", 2, 8, 3, 1, 4, se=0.25),), 16, resolution=16, classes=10
)


def test_layers_are_measured_where_their_norm_and_activation_leave_them() -> None:
    torch.manual_seed(0)
    network, pictures = build(SPEC).eval(), torch.randn(40, 3, 16, 16)
    found = layers(network, pictures)
    block = ["1×1", "3×3 depthwise", "1×1"]
    assert [one.kind for one in found] == ["3×3", *block, *block, "1×1"]
    assert found[1].dimension_ratio == 8 / 32
    assert found[2].dimension_ratio == 1
    assert all(one.columns == 2 * one.channels_out for one in found)
    stem = nn.Sequential(*list(network.stem))  # what leaves it has been through the activation
    with torch.no_grad():
        whole = stem(pictures).transpose(0, 1).flatten(1)
    # Of random weights nothing is lost by drawing pixels, at a tolerance that is fine enough.
    fine = TOLERANCES.index(1e-5)
    assert found[0].ratios[fine] == ranks(whole)[fine] / 8


def test_layers_of_fewer_pixels_than_channels_are_left_out() -> None:
    """16 pixels: of the stem's 8 channels a rank can be told, of 16 and 32 none."""
    found = layers(build(SPEC), torch.randn(1, 3, 8, 8))
    assert [one.measured for one in found] == [one.channels_out < 16 for one in found]
    assert all(math.isnan(one.ratios[0]) for one in found if not one.measured)
    with pytest.raises(ValueError, match="1 pictures of 4 pixels no convolution has more pixels"):
        layers(build(SPEC), torch.randn(1, 3, 4, 4))


def test_command_writes_curves_and_says_of_each_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["ranks", "--networks", "50", "--tolerance", "0.05", "--out", str(tmp_path)])
    said = capsys.readouterr().out
    assert "50 networks a block, tolerance 0.05" in said
    assert all(says in said for says in RULES.values())
    table = pd.read_csv(tmp_path / "ranks.csv")
    assert len(table) == len(BLOCKS) * len(NONLINEARITIES) * len(RATIOS) * (len(TOLERANCES) + 1)
    assert (tmp_path / "ranks.png").stat().st_size > 10_000


def test_command_measures_the_layers_of_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    grey = Moments((0.2,), (0.3,))
    spec = ArchSpec.from_json(SPEC.to_json().replace('"in_channels":3', '"in_channels":1'))
    weights = tmp_path / "mine.safetensors"
    keep(Parent("mine", spec, weights_of(build(spec)), grey), weights)
    main(["ranks", "--weights", str(weights), "--data", "digits", "--out", str(tmp_path)])
    said = capsys.readouterr().out
    assert "mine on 256 pictures of digits, 16 pixels" in said
    assert "| head.0 | 1×1 | 8 | 16 | 0.50 |" in said
    table = pd.read_csv(tmp_path / "layers.csv")
    assert set(table["weights"]) == {"trained", "fresh weights"}
    assert len(table) == 2 * 8 * len(TOLERANCES)
    assert (tmp_path / "layers.png").stat().st_size > 10_000


def test_command_measures_a_trainings_directory_on_its_own_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, run = tmp_path / "spec.json", tmp_path / "trained"
    spec.write_text(dataclasses.replace(SPEC, resolution=8, head=400).to_json())
    train(["--spec", str(spec), "--data", "digits", "--epochs", "1", "--device", "cpu",
           "--out", str(run)])  # fmt: skip
    capsys.readouterr()
    main(["ranks", "--weights", str(run), "--images", "6"])
    said, noted = capsys.readouterr()
    assert "trained on 6 pictures of digits, 8 pixels" in said
    assert "pictures: digits, those of the run that is used" in noted
    assert "left out: 1 of 8 convolutions, first head.0" in noted
    assert "| head.0 | 1×1 | 8 | 400 | 0.02 | – | – |" in said
    assert "| mean of 4 | 1×1 |" in said  # of five


def test_command_refuses_what_cannot_be_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tolerance 2"):
        main(["ranks", "--tolerance", "2"])
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises((ValueError, OSError), match="file"):
        main(["ranks", "--out", str(place / "below")])
