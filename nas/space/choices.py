"""What may vary in a network, place by place: a whole stage, or a single layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from common.plain import plain
from models.spec import StageSpec

Value = int | float | str
Choices = dict[str, Value]
Operator = Callable[[int, int], StageSpec]  # (channels, stride) → what stands in a layer's place


@dataclass(frozen=True)
class StageChoices:
    """A stage with choices of its own.

    values  each choice's name and its menu, in ascending order where there is one
    make    makes the stage of one value each, given by name; every combination must be a stage

    Raises ValueError for a menu that is empty or holds a value twice, and where ``make`` does not
    take the choices' names.
    """

    values: Mapping[str, tuple[Value, ...]]
    make: Callable[..., StageSpec]

    def __post_init__(self) -> None:
        menus = {name: _menu(f"the menu of {name}", menu) for name, menu in self.values.items()}
        object.__setattr__(self, "values", menus)
        try:
            inspect.signature(self.make).bind(**menus)
        except TypeError as error:
            raise ValueError(f"make must take the choices {list(menus)} by name: {error}") from None

    def label(self, i: int, name: str) -> str:
        """What the choice is called in a space whose i-th place this is."""
        return f"block{i}_{name}"

    def stage(self, values: Mapping[str, Value], cin: int) -> StageSpec | None:
        """The stage of these values, whatever the channels ``cin`` that come in."""
        return self.make(**values)

    def may_be_absent(self, cin: int) -> bool:
        """Whether one of the values leaves nothing here."""
        return False


@dataclass(frozen=True)
class LayerChoices:
    """A layer of fixed channels and stride that may be any of several operators.

    operators   the value that chooses each, in ascending order where there is one, and what makes
                it of (channels, stride). None is the identity: no layer at all, or a 1×1
                convolution with norm and no activation where stride or channels change

    A layer that repeats the one before it lengthens that stage: equal layers in a row are one.

    Raises ValueError where there are no operators.
    """

    channels: int
    stride: int
    operators: Mapping[Any, Operator | None]

    def __post_init__(self) -> None:
        menu = _menu("the menu of a layer", self.operators)
        made = dict(zip(menu, self.operators.values(), strict=True))
        object.__setattr__(self, "operators", made)

    @property
    def values(self) -> Mapping[str, tuple[Value, ...]]:
        """As ``StageChoices.values``, of the one choice that a layer has."""
        return {"op": tuple(self.operators)}

    def label(self, i: int, name: str) -> str:
        """What the choice is called in a space whose i-th place this is."""
        return f"layer{i}"

    def stage(self, values: Mapping[str, Value], cin: int) -> StageSpec | None:
        """What stands here when ``cin`` channels come in; None for nothing."""
        operator = self.operators[values["op"]]
        if operator is not None:
            return operator(self.channels, self.stride)
        if self._keeps_shape(cin):
            return None
        return StageSpec("projection", 1, self.channels, 1, self.stride, skip="none")

    def may_be_absent(self, cin: int) -> bool:
        """Whether one of the values leaves nothing here."""
        return None in self.operators.values() and self._keeps_shape(cin)

    def _keeps_shape(self, cin: int) -> bool:
        return self.stride == 1 and self.channels == cin


class Place(Protocol):
    """What may stand in one place of a template, as ``StageChoices`` and ``LayerChoices`` say."""

    @property
    def values(self) -> Mapping[str, tuple[Value, ...]]: ...

    def label(self, i: int, name: str) -> str: ...

    def stage(self, values: Mapping[str, Value], cin: int) -> StageSpec | None: ...

    def may_be_absent(self, cin: int) -> bool: ...


def joined(before: StageSpec, layer: StageSpec) -> StageSpec | None:
    """Both as one stage, where ``layer`` is more of what ``before`` is made of; else None."""
    if isinstance(before.channels, tuple) or layer.stride > 1:
        return None
    if layer != replace(before, layers=layer.layers, stride=1):
        return None
    return replace(before, layers=before.layers + layer.layers)


def _menu(what: str, values: Iterable[Value]) -> tuple[Value, ...]:
    menu = tuple(plain(value) for value in values)
    if not menu:
        raise ValueError(f"{what} is empty: give at least one value")
    if len(set(menu)) < len(menu):  # 1, 1.0 and True are one value
        raise ValueError(f"{what}, {menu}, holds a value twice: leave one out")
    return menu
