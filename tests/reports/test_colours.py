"""The chosen network's mark is told from all others by its colour, deuteranopes included, and by
its shape."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from reports.figures import _MARKS, _STAR, BELIEVED, CHOSEN, FRONT, PLAIN, SCALE

Colour = NDArray[np.float64]
# Machado, Oliveira and Fernandes 2009 (IEEE TVCG 15), deuteranomaly of severity 1, on linear RGB.
DEUTERANOPE = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
     [-0.011820, 0.042940, 0.968881]]
)  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])
TOLD = 30.0  # CIE76; 2.3 is just noticeable, and marks are small


def linear(text: str) -> Colour:
    """``#rrggbb`` in linear RGB."""
    values = np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour: Colour) -> Colour:
    """CIE L*a*b*, D65."""
    xyz = TO_XYZ @ np.clip(colour, 0, 1) / WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("other", [FRONT, PLAIN, SCALE, BELIEVED])
@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPE], ids=["all", "deuteranopes"])
def test_the_chosen_one_has_a_colour_of_its_own(other: str, seen: Colour) -> None:
    one, two = (lab(seen @ linear(colour)) for colour in (CHOSEN, other))
    assert float(np.linalg.norm(one - two)) > TOLD


def test_the_chosen_one_has_a_shape_of_its_own() -> None:
    assert _STAR["marker"] == "*"
    assert [mark["marker"] for mark in _MARKS].count("*") == 1  # itself, trained again
    assert [mark["color"] for mark in _MARKS if mark["marker"] == "*"] == [CHOSEN]
