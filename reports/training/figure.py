"""The curves of a training."""

from __future__ import annotations

from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from reports.figures import CHOSEN, FRONT, PLAIN, SCALE, save
from reports.sections.interval import wilson
from trials.record import Evaluation


def curves(path: Path, found: Evaluation, chance: float, images: int, balance: bool) -> None:
    """The loss of each epoch, and the accuracies on the way; at the end those on the test split.

    ``images`` tell the end's accuracy; ``chance`` in [0, 1].
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.8), layout="constrained")
    losses, end = found.details["losses"], len(found.details["losses"])
    left.plot(range(1, end + 1), losses, color=PLAIN, marker="o", ms=3, lw=1.4, label="training")
    if found.loss is not None:
        left.plot(end, found.loss, "*", ms=14, color=CHOSEN, mec="black", label="test, at the end")
    left.set_ylabel("mean cross-entropy")
    epochs = [share * end for share, _ in found.curve]
    shares = [100 * accuracy for _, accuracy in found.curve]
    right.plot(epochs, shares, color=FRONT, marker="o", ms=3, lw=1.4, label="validation")
    low, high = wilson(found.accuracy, images)
    reach = [[100 * (found.accuracy - low)], [100 * (high - found.accuracy)]]
    right.errorbar(
        end, 100 * found.accuracy, yerr=reach, fmt="*", ms=14, color=CHOSEN, mec="black",
        capsize=3, label="test, at the end",
    )  # fmt: skip
    right.axhline(100 * chance, color=SCALE, lw=1, ls=":", label="chance")
    right.set_ylabel(f"{'balanced ' * balance}accuracy, %")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=8, frameon=False)
    save(figure, path)
