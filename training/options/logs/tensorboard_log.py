"""TensorBoard's event files: a folder for each training, below one for the group."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.paths import check_directory

_ENDED = "ended"  # a file beside a training's events, where no more will come


class TensorBoard:
    """``DIR/GROUP/NAME``, as ``training.options.logs.entry.Log`` says.

    Raises ImportError without the library.
    """

    def __init__(self, place: str, group: str) -> None:
        from torch.utils.tensorboard import SummaryWriter  # needs the library

        self._writer = SummaryWriter
        self.name, self._folder = f"tensorboard:{place}", Path(place) / group
        check_directory(self._folder)
        self.there = {path.parent.name for path in self._folder.glob(f"*/{_ENDED}")}

    def entry(self, name: str) -> _Entry:
        """The training of that name."""
        return _Entry(self._writer(str(self._folder / name)), self._folder / name / _ENDED)


class _Entry:
    def __init__(self, writer: Any, ended: Path) -> None:
        self._writer, self._ended = writer, ended

    def at(self, epoch: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()  # TensorBoard shows what is on the disk

    def end(
        self, facts: Mapping[str, Any], numbers: Mapping[str, float], failure: str | None = None
    ) -> None:
        if failure is not None:
            self._writer.add_text("failure", failure)
        plain = {k: v for k, v in facts.items() if isinstance(v, bool | int | float | str)}
        self._writer.add_hparams(plain, dict(numbers), run_name=".")
        self._writer.close()
        self._ended.touch()
