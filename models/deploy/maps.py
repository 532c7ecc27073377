"""Which of a network's maps detectors and segmenters take."""

from __future__ import annotations

from models.spec import ArchSpec


def last_maps(spec: ArchSpec, least: int = 4) -> dict[int, int]:
    """Of each stride of ``least`` or more the last part that puts it out, as ``models.cost.parts``
    numbers them: the stem 0. Strides are against the image, the smallest first.

    Raises ValueError where there is none.
    """
    strides = [spec.stem.stride * (2 if spec.stem.pool else 1)]
    for stage in spec.stages:
        strides.append(strides[-1] * stage.stride)
    made = {stride: number for number, stride in enumerate(strides) if stride >= least}
    if not made:
        raise ValueError(f"{spec.name!r:.80} has no map of a stride of {least} or more")
    return made


def low_and_high(spec: ArchSpec) -> tuple[int, int]:
    """The strides of the maps that LR-ASPP takes.

    Raises ValueError where there is none of stride 8, or none after it.
    """
    strides = tuple(last_maps(spec))
    if 8 not in strides or strides[-1] == 8:
        raise ValueError(
            f"{spec.name!r:.80} has maps of strides {strides} and LR-ASPP takes 8 and a later "
            "one: give a network that has both"
        )
    return 8, strides[-1]
