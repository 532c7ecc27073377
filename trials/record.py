"""What one trial came to: `Evaluation`, `Stopped` or `Failure`, plain data, JSON both ways."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import platform
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from typing import Any

FAILURE_KINDS = ("exception", "worker died", "timeout", "out of memory", "diverged")
_PACKAGES = ("numpy", "optuna", "torch", "torchvision")

# Accuracies at shares in [0, 1) of a training, by rising share; at 0 it has not begun.
Rungs = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Evaluation:
    """What a network turned out to be worth.

    `accuracy` in [0, 1], on the validation split; `loss` finite or None; `seconds` the wall time
    it took; `recipe` the hash or name of the training settings; `details` any further JSON
    (images, epochs, losses); `curve` what was measured on the way, where it was asked for. Raises
    ValueError, naming the value, for anything else: a NaN accuracy is not an evaluation but a
    `Failure`.
    """

    accuracy: float
    seed: int
    seconds: float
    loss: float | None = None
    recipe: str | None = None
    device: str = "unspecified"
    versions: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    curve: Rungs = ()

    def __post_init__(self) -> None:
        accuracy = _number("accuracy", self.accuracy)
        if not 0 <= accuracy <= 1:
            raise ValueError(f"accuracy must lie in [0, 1], got {accuracy!r} (a percentage?)")
        loss = None if self.loss is None else _number("loss", self.loss)
        for name, value in (
            ("accuracy", accuracy),
            ("loss", loss),
            ("seed", _seed(self.seed)),
            ("seconds", _duration(self.seconds)),
            ("versions", _json_dict("versions", self.versions)),
            ("details", _json_dict("details", self.details)),
            ("curve", as_rungs(self.curve)),
        ):
            object.__setattr__(self, name, value)
        if not (self.recipe is None or isinstance(self.recipe, str)):
            raise ValueError(f"recipe must be a string or None, got {self.recipe!r}")
        _strings(device=self.device, **self.versions)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dict, the inverse of `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Evaluation:
        """Raises ValueError for unknown or missing keys and for bad values."""
        return cls(**_checked_keys(cls, {"curve": (), **data}))  # earlier versions stored none


@dataclass(frozen=True)
class Stopped:
    """A training that was ended on the way, as losing: what had been measured by then.

    The accuracy of `evaluation` is that of the last point of its curve, at `share` of the training.
    Raises ValueError for an evaluation without a curve.
    """

    evaluation: Evaluation

    def __post_init__(self) -> None:
        if not self.evaluation.curve:
            raise ValueError("a stopped training needs a curve that says where it ended")

    @property
    def share(self) -> float:
        """The share of the training, in [0, 1), after which it was stopped; 0: before it."""
        return self.evaluation.curve[-1][0]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dict, the inverse of `from_dict`."""
        return self.evaluation.to_dict()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Stopped:
        """Raises ValueError for unknown or missing keys and for bad values."""
        return cls(Evaluation.from_dict(data))


@dataclass(frozen=True)
class Failure:
    """Why a trial has no evaluation: `reason` is one line for people, `kind` of FAILURE_KINDS."""

    reason: str
    traceback: str = ""
    seconds: float = 0.0
    kind: str = "exception"

    def __post_init__(self) -> None:
        _strings(reason=self.reason, traceback=self.traceback)
        if self.kind not in FAILURE_KINDS:
            raise ValueError(f"failure kind must be one of {FAILURE_KINDS}, got {self.kind!r}")
        object.__setattr__(self, "seconds", _duration(self.seconds))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dict, the inverse of `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Failure:
        """Raises ValueError for unknown or missing keys and for bad values."""
        return cls(**_checked_keys(cls, data))


Outcome = Evaluation | Stopped | Failure


def as_evaluation(value: object, seed: int, seconds: float) -> Evaluation | Stopped:
    """Wrap what a user's evaluate returned: an `Evaluation` as it is, or an accuracy in [0, 1].

    Any real scalar counts as an accuracy (numpy and zero-dimensional tensors too). Raises
    FloatingPointError for NaN and infinity (the training diverged), ValueError for the rest.
    """
    if isinstance(value, Evaluation | Stopped):
        return value
    if isinstance(value, str | bytes | bool) or not hasattr(value, "__float__"):
        raise ValueError(
            f"evaluate must return an Evaluation or an accuracy in [0, 1], got {value!r}"
        )
    accuracy = float(value)
    if not math.isfinite(accuracy):
        raise FloatingPointError(f"accuracy is {accuracy}")
    return Evaluation(accuracy, seed=seed, seconds=seconds, versions=installed_versions())


def trial_seed(study_seed: int, number: int) -> int:
    """A seed in [0, 2³¹) for trial `number`: it depends on nothing else, above all not on time."""
    digest = hashlib.sha256(f"{study_seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on; imports none of them."""
    return dict(_installed_versions())


@functools.cache
def _installed_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def as_rungs(value: object) -> Rungs:
    """Pairs (share, accuracy), as JSON may have them. Raises ValueError for anything else."""
    if not isinstance(value, list | tuple) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in value
    ):
        raise ValueError(f"rungs must be pairs of a share and an accuracy, got {value!r:.200}")
    rungs = tuple((_number("share", share), _number("accuracy", at)) for share, at in value)
    shares = [share for share, _ in rungs]
    rising = all(a < b for a, b in itertools.pairwise([*shares, 1.0]))
    if not rising or any(share < 0 for share in shares):
        raise ValueError(f"shares must rise from 0 to below 1, got {shares}")
    if not all(0 <= accuracy <= 1 for _, accuracy in rungs):
        raise ValueError(f"accuracies must lie in [0, 1], got {rungs}")
    return rungs


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def _duration(value: object) -> float:
    seconds = _number("seconds", value)
    if seconds < 0:
        raise ValueError(f"seconds must not be negative, got {seconds!r}")
    return seconds


def _seed(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"seed must be an integer, got {value!r}")
    return value


def _strings(**values: object) -> None:
    for name, value in values.items():
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a string, got {value!r}")


def _json_dict(name: str, value: object) -> dict[str, Any]:
    """A deep copy as JSON will give it back (tuples as lists), so that both ways are equal."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a dict, got {value!r}")
    try:
        copy: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be plain JSON ({error}), got {value!r}") from None
    return copy


def _checked_keys(cls: type[Evaluation] | type[Failure], data: dict[str, Any]) -> dict[str, Any]:
    known = {item.name for item in fields(cls)}
    if set(data) != known:
        unknown, missing = sorted(set(data) - known), sorted(known - set(data))
        raise ValueError(f"not a stored {cls.__name__}: unknown keys {unknown}, missing {missing}")
    return data
