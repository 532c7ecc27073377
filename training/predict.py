"""What a trained network says of pictures: class names and probabilities.

    predictor = Predictor(Path("runs/train-…"))
    for one in predictor(["a.jpg", "b.png"]):
        print(one.path, one.best)

Pictures are decoded as those of the training were, and normalised by its moments; but each file of
more than 8 bits is scaled by its own values, where the training had one scale for all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from models.build import build
from models.choose import read
from models.deploy.preprocessing import WEIGHTS, Preprocessing, read_preprocessing
from models.pretrained import load_weights, read_safetensors
from models.spec import ArchSpec
from training.data import Data
from training.device import choose_device
from training.loop.augment import to_float
from training.pictures import reading
from training.pictures.deep import Scale, Scales
from training.pictures.reading import Pictures

_BATCH = 64  # through the network
_READ = 8 * _BATCH  # at once, which keeps the decoding threads busy
_LUMA = 0.299, 0.587, 0.114  # ITU-R BT.601, as Pillow makes grey of colours


def expected_by(data: Data, side: int) -> Preprocessing:
    """What a network that was trained on ``data`` at ``side`` pixels expects."""
    mean, std = (tuple(map(float, one.tolist())) for one in (data.mean, data.std))
    deep = data.findings.scales._asdict().items()
    return Preprocessing(
        data.classes,
        mean,
        std,
        side,
        "L" if data.channels == 1 else "RGB",
        scales={kind: tuple(scale) for kind, scale in deep if scale is not None},
    )


@dataclass(frozen=True)
class Prediction:
    """A picture's probabilities, by class; ``error`` says why there are none."""

    path: str
    probabilities: dict[str, float]
    error: str | None = None

    @property
    def best(self) -> str | None:
        """The likeliest class; None of a picture that could not be read."""
        return max(self.probabilities, key=self.probabilities.__getitem__, default=None)

    def top(self, count: int) -> list[tuple[str, float]]:
        """The ``count`` likeliest classes, the likeliest first."""
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return ranked[:count]


class Predictor:
    """A directory of ``python -m training`` as a classifier; or with ``of`` any other network.

    expects  what its pictures are like
    spec     the network
    network  its module, in evaluation mode

    Raises ValueError where the directory lacks the network, its weights or its preprocessing.
    """

    def __init__(self, directory: Path, device: str = "auto") -> None:
        expects = read_preprocessing(directory)
        spec = read(directory / "spec.json").spec
        network = build(spec)
        load_weights(network, read_safetensors(str(directory / WEIGHTS)))
        self._take(spec, network, expects, device)

    @classmethod
    def of(
        cls, spec: ArchSpec, network: nn.Module, expects: Preprocessing, device: str = "auto"
    ) -> Predictor:
        """The built ``network`` of ``spec``, with its weights; it is moved and evaluates from now.

        Raises ValueError where ``expects`` is of another network.
        """
        made = cls.__new__(cls)
        made._take(spec, network, expects, device)
        return made

    def _take(self, spec: ArchSpec, network: nn.Module, expects: Preprocessing, on: str) -> None:
        expects.check(spec)
        self.spec, self.expects, self._device = spec, expects, choose_device(on)
        self._scales = Scales(**{kind: Scale(*pair) for kind, pair in expects.scales.items()})
        self.network = network.eval().to(self._device).to(memory_format=torch.channels_last)

    def __call__(self, paths: Sequence[str | os.PathLike[str]]) -> list[Prediction]:
        """One prediction a picture, in order; a picture that cannot be read has an ``error``."""
        names = [os.fspath(path) for path in paths]
        found: list[Prediction] = []
        for start in range(0, len(names), _READ):
            found += self._some(names[start : start + _READ])
        return found

    def _some(self, names: list[str]) -> list[Prediction]:
        pictures = self.read(names)
        reasons = dict(pictures.skipped)
        batches = torch.split(pictures.images, _BATCH)
        rows = torch.cat([self.probabilities(batch) for batch in batches]).tolist()
        classes = self.expects.classes
        return [
            Prediction(name, {}, reasons[name])
            if name in reasons
            else Prediction(name, dict(zip(classes, row, strict=True)))
            for name, row in zip(names, rows, strict=True)
        ]

    def read(self, names: Sequence[str]) -> Pictures:
        """The files as squares of its side, uint8 (N, 3, side, side), RGB."""
        return reading.read("", names, self.expects.side, self._scales, progress=False)

    @torch.inference_mode()
    def probabilities(self, pixels: Tensor) -> Tensor:
        """(N, classes) of uint8 (N, 3, side, side), RGB; or (N, 1, side, side), grey."""
        probabilities: Tensor = self.network(self.prepared(pixels)).float().softmax(1).cpu()
        return probabilities

    def prepared(self, pixels: Tensor) -> Tensor:
        """Pixels as ``probabilities`` takes them, as the network does: float32, normalised."""
        if self.expects.channels == "L" and pixels.shape[1] == 3:
            luma = torch.tensor(_LUMA)[:, None, None]
            pixels = (pixels * luma).sum(1, keepdim=True).round().clamp(0, 255).to(torch.uint8)
        mean, std = (
            torch.tensor(one, device=self._device) for one in (self.expects.mean, self.expects.std)
        )
        on = pixels.to(self._device)
        return to_float(on, self.expects.side, mean, std, channels_last=True)
