"""α, β, γ: how much deeper, wider and finer a network becomes with each step of φ.

The compound scaling of EfficientNet (arXiv:1905.11946, equation 3): depth α^φ, width β^φ,
resolution γ^φ, which multiplies the cost by about (α·β²·γ²)^φ.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from common.paths import expanded
from common.plain import make_plain

_MOST = 100.0  # |ln| of a coefficient or multiplier: products of their squares are still numbers


class Multipliers(NamedTuple):
    """Factors on the baseline's layers, channels and input side."""

    depth: float
    width: float
    resolution: float

    @property
    def product(self) -> float:
        """The cost factor that depth·width²·resolution² promises before any rounding."""
        return self.depth * self.width**2 * self.resolution**2


@dataclass(frozen=True)
class Coefficients:
    """α (depth), β (width) and γ (resolution), each positive; below 1 they shrink.

    Raises ValueError for a number that is not positive and finite.
    """

    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        make_plain(self)
        for name, value in asdict(self).items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.exp(-_MOST) < value < math.exp(_MOST):
                raise ValueError(f"{name} {value!r} is not a positive number: try 1.2, say")

    @property
    def alone(self) -> str | None:
        """The one dimension that they scale, where it is one."""
        own = [name for name, one in zip(Multipliers._fields, self.at(1), strict=True) if one != 1]
        return own[0] if len(own) == 1 else None

    @property
    def product(self) -> float:
        """α·β²·γ²: what the cost is multiplied by when φ grows by 1, before any rounding."""
        return self.at(1.0).product

    def at(self, phi: float) -> Multipliers:
        """The multipliers α^φ, β^φ, γ^φ; a negative φ shrinks.

        Raises ValueError where one of them would be beyond all networks.
        """
        if not all(abs(phi * math.log(value)) < _MOST for value in asdict(self).values()):
            raise ValueError(f"phi {phi:g} takes {self} beyond all networks: choose one nearer 0")
        return Multipliers(self.alpha**phi, self.beta**phi, self.gamma**phi)

    def phi(self, ratio: float) -> float:
        """The φ at which the nominal cost is ``ratio`` times the baseline's.

        Raises ValueError where the cost does not change with φ, or the ratio is not positive.
        """
        if not 0 < ratio < math.inf:
            raise ValueError(f"cost ratio {ratio!r} is not a positive number")
        if abs(math.log(self.product)) < 1e-9:
            raise ValueError(
                f"α·β²·γ² of {self} is 1: no φ changes the cost, so raise one coefficient"
            )
        return math.log(ratio) / math.log(self.product)

    def to_dict(self) -> dict[str, float]:
        """JSON-ready, the inverse of ``from_dict``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Coefficients:
        """Read ``{"alpha": …, "beta": …, "gamma": …}``; other keys are left alone.

        Raises ValueError naming what is missing or amiss.
        """
        names = ("alpha", "beta", "gamma")
        if not isinstance(data, dict) or any(name not in data for name in names):
            raise ValueError(f"coefficients must be an object with {names}, not {data!r:.80}")
        return cls(*(data[name] for name in names))


# Tan and Le's grid search on EfficientNet-B0 (arXiv:1905.11946, section 3.3, step 1).
PAPER = Coefficients(1.2, 1.1, 1.15)
# Dollár et al. (arXiv:2103.06877) and their code (pycls, d1_w8_g8_r1): of a cost s times as high,
# depth takes s^0.1, width² s^0.8 and resolution² s^0.1, which makes activations about √s.
FAST = (0.1, 0.8, 0.1)

NAMED = {
    "paper": PAPER,
    "fast": Coefficients(2 ** FAST[0], 2 ** (FAST[1] / 2), 2 ** (FAST[2] / 2)),
    "depth": Coefficients(2.0, 1.0, 1.0),
    "width": Coefficients(1.0, 2**0.5, 1.0),
    "resolution": Coefficients(1.0, 1.0, 2**0.5),
}
"""Rules of scaling by name; all but the paper's double the nominal cost with each φ."""


def parse_coefficients(text: str) -> Coefficients:
    """``"1.2,1.1,1.15"`` (α, β, γ), a name such as ``"fast"``, or a ``coefficients.json``'s text.

    Raises ValueError for anything else.
    """
    stripped = text.strip()
    if stripped in NAMED:
        return NAMED[stripped]
    if stripped.startswith("{"):
        try:
            data = json.loads(stripped)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not coefficients: the JSON cannot be read ({error})") from None
        return Coefficients.from_dict(data.get("coefficients", data))
    try:
        alpha, beta, gamma = (float(part) for part in stripped.split(","))
    except ValueError:
        raise ValueError(
            f"{text!r:.80} is not three coefficients: write α,β,γ such as 1.2,1.1,1.15, or one "
            f"of {', '.join(NAMED)}"
        ) from None
    return Coefficients(alpha, beta, gamma)


def read_coefficients(text: str) -> Coefficients:
    """As ``parse_coefficients``, of the file that ``text`` names where there is one.

    Raises ValueError for anything else, naming the file.
    """
    path = Path(expanded(text)) if text.strip() else Path(text)
    if not path.is_file():
        return parse_coefficients(text)
    try:
        return parse_coefficients(path.read_text("utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{text} is no coefficients.json of a scaling search: {error}") from None
