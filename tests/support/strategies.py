"""Hypothesis strategies that more than one test file draws from."""

from __future__ import annotations

from hypothesis import strategies as st

from models.spec import ACTIVATIONS, BLOCKS, ArchSpec, StageSpec, Stem


@st.composite
def stages(draw: st.DrawFn, convnext: bool) -> StageSpec:
    """A stage small enough to build in milliseconds."""
    kinds = ["convnext"] if convnext else [block for block in BLOCKS if block != "convnext"]
    block = draw(st.sampled_from(kinds))
    layers = draw(st.integers(1, 3))
    width = st.integers(1, 6).map(lambda c: 4 * c)
    channels = draw(width | st.lists(width, min_size=layers, max_size=layers).map(tuple))
    grouped = block == "bottleneck" and draw(st.booleans())
    expansion = {
        "mbconv": draw(st.sampled_from([1, 1.5, 3, 6])),
        "rexnet": draw(st.sampled_from([1, 6])),
        "bottleneck": 0.5,
        "convnext": 4,
    }.get(block, 1)
    return StageSpec(
        block,
        layers,
        channels,
        kernel=draw(st.sampled_from([1, 3, 5])),
        stride=draw(st.integers(1, 2)),
        expansion=expansion,
        se=draw(st.sampled_from([0, 1 / 12, 0.25])),
        skip=draw(st.sampled_from(["identity", "pool", "partial", "none"])),
        groups=2 if grouped else 1,
    )


@st.composite
def specs(draw: st.DrawFn) -> ArchSpec:
    """Any kind of network, small, at an odd resolution as likely as an even one."""
    convnext = draw(st.booleans()) and draw(st.booleans())
    return ArchSpec(
        name=draw(st.text(min_size=1, max_size=5)),
        stem=Stem(
            4 * draw(st.integers(1, 4)),
            draw(st.sampled_from([3, 4, 7])),
            draw(st.sampled_from([1, 2])),
            pool=not convnext and draw(st.booleans()),
        ),
        stages=tuple(draw(st.lists(stages(convnext), min_size=1, max_size=3))),
        head=draw(st.sampled_from([0, 24])),
        resolution=draw(st.integers(33, 48)),
        classes=draw(st.integers(2, 12)),
        in_channels=draw(st.sampled_from([1, 3])),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        norm="layer" if convnext else "batch",
        dropout=draw(st.sampled_from([0.0, 0.2])),
        drop_path=draw(st.sampled_from([0.0, 0.2])),
        divisor=draw(st.sampled_from([1, 4, 8])),
    )
