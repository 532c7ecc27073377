"""A network as data: ``ArchSpec`` and its stages, validated at birth, JSON both ways.

Everything else (cost, module, drawing, export) reads an ``ArchSpec``; nothing else describes a
network. Two specs with the same ``key`` are the same network, whatever they are called. NumPy's
numbers are taken for Python's own.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from typing import Any

from common.plain import make_plain, plain

BLOCKS = ("conv", "projection", "dsconv", "mbconv", "rexnet", "basic", "bottleneck", "convnext")
SKIPS = ("identity", "pool", "partial", "none")
ACTIVATIONS = ("relu", "relu6", "silu", "gelu", "hardswish")

MAX_CHANNELS = 1 << 16
MAX_LAYERS = 2000
MAX_RESOLUTION = 8192
MAX_JSON = 1 << 20


@dataclass(frozen=True)
class StageSpec:
    """A run of ``layers`` blocks of one kind.

    block       what is repeated; ``models.plan`` says what each kind is made of
    channels    output channels, one number or one for each layer (ReXNet)
    stride      of the first layer; the others have stride 1
    expansion   hidden width: times the input (mbconv, rexnet), times the output (bottleneck,
                convnext); no meaning for conv, projection, dsconv and basic, where it is 1
    se          squeeze-and-excitation ratio, 0 for none: of the block's input channels
                (mbconv) or of the hidden width (rexnet)
    skip        identity: added where stride is 1 and the widths agree; partial: where stride is 1
                and the block does not narrow, added to the first channels; pool: always, through
                a 3×3 average pool, added to the channels both have; none. Basic and bottleneck
                blocks with ``identity`` project where shapes differ (ResNet's option B).
    groups      of the k×k convolution of a bottleneck
    """

    block: str
    layers: int
    channels: int | tuple[int, ...]
    kernel: int = 3
    stride: int = 1
    expansion: float = 1
    se: float = 0
    skip: str = "identity"
    groups: int = 1

    def __post_init__(self) -> None:
        make_plain(self)
        _one_of("block", self.block, BLOCKS)
        _one_of("skip", self.skip, SKIPS)
        _integer("layers", self.layers, 1, MAX_LAYERS)
        _integer("kernel", self.kernel, 1, 31)
        _integer("stride", self.stride, 1, 4)
        _integer("groups", self.groups, 1, MAX_CHANNELS)
        _real("expansion", self.expansion, 1 / 64, 64)
        _real("se", self.se, 0, 1)
        if isinstance(self.channels, list | tuple):
            object.__setattr__(self, "channels", tuple(plain(width) for width in self.channels))
        widths = self.channels if isinstance(self.channels, tuple) else (self.channels,)
        for width in widths:
            _integer("channels", width, 1, MAX_CHANNELS)
        if isinstance(self.channels, tuple) and len(widths) != self.layers:
            raise ValueError(
                f"channels lists {len(widths)} widths for {self.layers} layers: give one for "
                "each layer, or one number for all"
            )
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even: use an odd kernel such as 3 or 5")
        if self.groups > 1:
            self._check_groups(widths)

    def _check_groups(self, widths: tuple[int, ...]) -> None:
        if self.block != "bottleneck":
            raise ValueError(f"groups {self.groups} in a {self.block}: only a bottleneck has them")
        for width in widths:
            if self.hidden(width, width) % self.groups:
                raise ValueError(
                    f"{self.groups} groups do not divide the hidden width "
                    f"{self.hidden(width, width)} of {width} channels: choose other channels"
                )

    @property
    def widths(self) -> tuple[int, ...]:
        """Output channels of each layer."""
        if isinstance(self.channels, tuple):
            return self.channels
        return (self.channels,) * self.layers

    def hidden(self, cin: int, cout: int) -> int:
        """Hidden width of a layer with ``cin`` input and ``cout`` output channels."""
        base = cin if self.block in ("mbconv", "rexnet") else cout
        return max(1, round_half_up(base * self.expansion))


@dataclass(frozen=True)
class Stem:
    """The first convolution: channels, kernel, stride; ``pool`` adds ResNet's 3×3/2 max pool."""

    channels: int
    kernel: int = 3
    stride: int = 2
    pool: bool = False

    def __post_init__(self) -> None:
        make_plain(self)
        _integer("stem channels", self.channels, 1, MAX_CHANNELS)
        _integer("stem kernel", self.kernel, 1, 31)
        _integer("stem stride", self.stride, 1, 4)
        if not isinstance(self.pool, bool):
            raise ValueError(f"stem pool {self.pool!r} is not true or false")


@dataclass(frozen=True)
class ArchSpec:
    """A whole network: stem, stages, head, and the settings that all layers share.

    name        a label; not part of ``key``
    resolution  side of the square input in pixels at which the network is costed
    head        channels of the last 1×1 convolution before the pool, 0 for none
    divisor     channels are rounded to multiples of this when the spec is scaled
    norm        "batch" or "layer" (ConvNeXt: LayerNorm over channels, biased convolutions)
    norm_eps, norm_momentum    PyTorch's convention (momentum 0.01 is TensorFlow's 0.99)
    dropout     before the classifier; ``drop_path``: stochastic depth's rate at the last block,
                growing linearly from 0 (EfficientNet: 0.2)
    layer_scale initial value of ConvNeXt's per-channel residual scale
    """

    name: str
    stem: Stem
    stages: tuple[StageSpec, ...]
    head: int = 0
    resolution: int = 224
    classes: int = 1000
    in_channels: int = 3
    activation: str = "relu"
    norm: str = "batch"
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1
    dropout: float = 0.0
    drop_path: float = 0.0
    layer_scale: float = 1e-6
    divisor: int = 8

    def __post_init__(self) -> None:
        make_plain(self)
        object.__setattr__(self, "stages", tuple(self.stages))
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 200:
            raise ValueError(f"name {self.name!r:.60} is not a text of 1 to 200 characters")
        if any("\ud800" <= letter <= "\udfff" for letter in self.name):
            raise ValueError(f"name {self.name!r:.60} cannot be written as UTF-8: half a character")
        if not self.stages:
            raise ValueError("a network needs at least one stage: stages is empty")
        layers = sum(stage.layers for stage in self.stages)
        _integer("total layers", layers, 1, MAX_LAYERS)
        _integer("head", self.head, 0, MAX_CHANNELS)
        _integer("resolution", self.resolution, 1, MAX_RESOLUTION)
        _integer("classes", self.classes, 1, 1 << 20)
        _integer("in_channels", self.in_channels, 1, 1024)
        _integer("divisor", self.divisor, 1, 1024)
        _one_of("activation", self.activation, ACTIVATIONS)
        _one_of("norm", self.norm, ("batch", "layer"))
        _real("norm_eps", self.norm_eps, 1e-12, 1)
        _real("norm_momentum", self.norm_momentum, 0, 1)
        _real("dropout", self.dropout, 0, 0.999)
        _real("drop_path", self.drop_path, 0, 0.999)
        _real("layer_scale", self.layer_scale, 0, 100)
        self._check_blocks_against_norm()

    def _check_blocks_against_norm(self) -> None:
        for stage in self.stages:
            if (stage.block == "convnext") != (self.norm == "layer"):
                raise ValueError(
                    f"block {stage.block} with norm {self.norm}: convnext blocks and LayerNorm "
                    "go together, every other block takes batch norm"
                )

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits that name this network; equal for equal specs, on any machine."""
        facts = asdict(self)
        del facts["name"]
        text = json.dumps(_normal(facts), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """One line of JSON that ``from_json`` reads back to an equal spec."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ArchSpec:
        """The spec that ``to_json`` wrote, whatever byte-order mark an editor put before it.

        Raises ValueError, with the offending value, for anything else.
        """
        if len(text) > MAX_JSON:
            raise ValueError(f"{len(text)} characters of JSON: a spec has at most {MAX_JSON}")
        try:
            facts = json.loads(text.removeprefix("\ufeff"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not a network spec: the JSON cannot be read ({error})") from None
        facts = dict(_mapping(facts, cls, "spec"))
        facts["stem"] = Stem(**_mapping(facts.get("stem"), Stem, "stem"))
        stages = facts.get("stages")
        if not isinstance(stages, list) or len(stages) > MAX_LAYERS:
            raise ValueError(f"stages must be a list of at most {MAX_LAYERS} stages")
        facts["stages"] = tuple(
            StageSpec(**_mapping(stage, StageSpec, f"stage {i}")) for i, stage in enumerate(stages)
        )
        return cls(**facts)


def round_half_up(value: float) -> int:
    """The nearest integer, halves upwards (Python's ``round`` takes them to the even one)."""
    return math.floor(value + 0.5)


def _mapping(value: object, cls: type[Any], what: str) -> dict[str, Any]:
    """``value`` as keyword arguments of ``cls``, or ValueError naming what is amiss."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object, not {value!r:.60}")
    known = {field.name for field in fields(cls)}
    if unknown := sorted(set(value) - known):
        raise ValueError(
            f"{what} has the unknown key {unknown[0]!r:.60}: known are {sorted(known)}"
        )
    required = [field.name for field in fields(cls) if field.default is MISSING]
    if missing := [name for name in required if name not in value]:
        raise ValueError(f"{what} lacks {missing[0]!r}")
    return value


def _normal(value: Any) -> Any:
    """Numbers that compare equal made to print equal (6 and 6.0), so that keys agree."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _normal(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value]
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number that a spec can hold")


def _one_of(what: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{what} {value!r:.60} is unknown: choose one of {', '.join(allowed)}")


def _integer(what: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{what} {value!r:.60} is not a whole number from {low} to {high}")


def _real(what: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{what} {value!r:.60} is not a number from {low:g} to {high:g}")
