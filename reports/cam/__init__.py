"""Several networks' class activation maps on the same pictures, side by side.

Figure 7 of arXiv:1905.11946 compares EfficientNet-B0 with itself scaled in one dimension and in
all three, on four pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.paths import check_directory
from common.plain import printable
from common.units import format_size
from models.cost import cost
from reports.cam.figure import draw
from reports.cam.looked import Looked
from reports.page import Page

PICTURE, PAGE = "cam.png", "cam.html"
_READING = (
    "A map says where the evidence for a class lies, not what it is, nor that it is right. CAM "
    "(arXiv:1512.04150) weights the last maps by the class's weights in the linear layer; Grad-CAM "
    "(arXiv:1610.02391) weights any layer's maps by the class's mean gradient and leaves out what "
    "speaks against the class. Each map is drawn from its own least value to its own greatest: "
    "colours compare places of one picture, not networks. A map has few pixels, each laid over the "
    "middle of what it looks at, and is enlarged bilinearly: its edges mean nothing."
)


def report(
    directory: Path, pictures: Sequence[str], looked: Sequence[Looked], of: str | None
) -> list[Path]:
    """Write ``cam.png``, a row a picture and a column a network, and ``cam.html`` around it.

    ``of`` is the class that was asked for, None: each picture's likeliest by each network.
    """
    check_directory(directory)
    picture, page = directory / PICTURE, Page("Where networks look")
    draw(picture, pictures, looked)
    chosen = "the class that each takes for the likeliest" if of is None else f"the class {of}"
    page.lead(f"Maps of {chosen}, by {len(looked)} networks on {len(pictures)} pictures.")
    caption = f"Left the pictures, then a network a column: maps of {chosen}."
    page.figure(picture, caption, "seen")
    page.note(_READING)
    page.heading("The networks")
    head = ["", "network", "FLOPs", "parameters", "input", "map", "by", "of layer"]
    page.table(head, [_row(number, one) for number, one in enumerate(looked, 1)])
    page.heading("What they say")
    told = [one.told() for one in looked]
    rows = [[printable(name), *said] for name, *said in zip(pictures, *told, strict=True)]
    page.table(["picture", *(str(number) for number in range(1, len(looked) + 1))], rows)
    page.write(directory / PAGE)
    return [picture, directory / PAGE]


def _row(number: int, one: Looked) -> list[str]:
    counted, (height, width) = cost(one.spec), one.maps.values.shape[1:]
    sizes = [format_size(counted.macs), format_size(counted.params)]
    side = f"{one.pixels.shape[-1]} pixels"
    return [str(number), one.name, *sizes, side, f"{height}×{width}", one.method, one.layer]
