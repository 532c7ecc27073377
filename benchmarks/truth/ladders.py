"""The two ladders from EfficientNet-B0 side by side, and what each rounding rule does.

``python -m benchmarks.truth.ladders`` prints the tables of docs/networks.md. Nothing is built:
seconds.
"""

from __future__ import annotations

from common.units import format_size
from models.cost import cost
from models.families import EFFICIENTNET_MULTIPLIERS, family
from models.scale import round_channels, round_layers, scale
from models.spec import ArchSpec

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15  # arXiv:1905.11946, section 3.3
PHIS = (0, 0.5, 1, 2, 3, 4, 5, 6)
B0 = family("efficientnet-b0")


def main() -> None:
    """Print the tables."""
    ladders()
    print()
    rounding()
    print()
    below()


def line(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def powers(phi: float) -> ArchSpec:
    """B0 scaled by α^φ, β^φ, γ^φ."""
    return scale(B0, ALPHA**phi, BETA**phi, GAMMA**phi)


def ladders() -> None:
    """Released networks against the powers of the coefficients."""
    line(
        "released",
        "depth",
        "width",
        "pixels",
        "parameters",
        "FLOPs",
        "× B0",
        "φ",
        "α^φ",
        "β^φ",
        "pixels",
        "parameters",
        "FLOPs",
        "× B0",
        "2^φ",
        "(α·β²·γ²)^φ",
    )
    line(*["---:"] * 16)
    base = cost(B0).macs
    for phi, (name, multipliers) in zip(PHIS, EFFICIENTNET_MULTIPLIERS.items(), strict=True):
        width, depth, side, _ = multipliers
        one, two = family(name), powers(phi)
        product = (ALPHA * BETA**2 * GAMMA**2) ** phi
        line(
            name,
            depth,
            width,
            side,
            *sizes(one, base),
            f"{phi:g}",
            f"{ALPHA**phi:.3f}",
            f"{BETA**phi:.3f}",
            two.resolution,
            *sizes(two, base),
            f"{2**phi:.3g}",
            f"{product:.3g}",
        )


def sizes(spec: ArchSpec, base: int) -> tuple[str, str, str]:
    found = cost(spec)
    return format_size(found.params), format_size(found.macs), f"{found.macs / base:.3g}"


def rounding() -> None:
    """Channels and layers of the released networks, and what was asked for."""
    line(
        "network",
        "stem, stages, head",
        "layers of the stages",
        "total",
        "layers asked for",
        "worst width error",
    )
    line(*["---"] * 6)
    stages = [stage.layers for stage in B0.stages]
    plain = [B0.stem.channels, *(stage.widths[0] for stage in B0.stages), B0.head]
    for name, (width, depth, *_) in EFFICIENTNET_MULTIPLIERS.items():
        channels = [round_channels(c, width) for c in plain]
        layers = [round_layers(n, depth) for n in stages]
        worst = max((c / (p * width) - 1 for c, p in zip(channels, plain, strict=True)), key=abs)
        line(
            name,
            " ".join(map(str, channels)),
            " ".join(map(str, layers)),
            sum(layers),
            f"{sum(stages) * depth:.1f}",
            f"{100 * worst:+.1f} %",
        )


def below() -> None:
    """Smaller than the baseline."""
    line("network", "layers", "pixels", "parameters", "FLOPs", "× its baseline")
    line(*["---"] * 6)
    for phi in (-1, -2, -3):
        spec = powers(phi)
        _below(f"efficientnet-b0, φ = {phi}", spec, cost(B0).macs)
    v1 = family("mobilenet-v1")
    for alpha, rho in ((0.75, 1), (0.5, 160 / 224), (0.25, 128 / 224), (0.01, 128 / 224)):
        spec = scale(v1, width=alpha, resolution=rho)
        _below(f"mobilenet-v1, α = {alpha}, ρ = {rho:.3f}", spec, cost(v1).macs)


def _below(name: str, spec: ArchSpec, base: int) -> None:
    layers = sum(stage.layers for stage in spec.stages)
    line(name, layers, spec.resolution, *sizes(spec, base))


if __name__ == "__main__":
    main()
