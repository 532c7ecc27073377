"""Where networks look: the maps against their definitions, and the command on hostile names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import image
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from models.build import build
from models.deploy.preprocessing import Preprocessing
from models.families import family
from models.spec import ArchSpec, StageSpec, Stem
from reports.__main__ import main
from reports.cam.figure import blended
from reports.cam.maps import CAM, GRAD_CAM, Maps, Place, enlarged, last_maps, maps, method, place
from tests.support.command import assert_refused, in_process
from tests.whole.test_fuzz_page import HOSTILE, opened
from training.predict import Predictor
from training.transfer.parent import Moments, Parent, keep, weights_of
from trials.store.header import FILE_NAME, new_header

SIDE = 16
SPEC = ArchSpec(
    "tiny", Stem(8), (StageSpec("mbconv", 1, 8, 3, 2, 2, se=0.25),), resolution=SIDE, classes=3
)


def network(spec: ArchSpec, seed: int = 0) -> nn.Module:
    """Random, its batch norms' statistics included."""
    torch.manual_seed(seed)
    made = build(spec).eval()
    for name, buffer in made.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    return made


def finder(spec: ArchSpec) -> nn.Module:
    """Its first class is told by how bright pictures are, nothing else of them is seen."""
    made = network(spec)
    with torch.no_grad():
        for weight in made.parameters():
            weight.zero_()
        made.stem[0].weight[0, :, 1, 1] = 1 / 3  # type: ignore[index,union-attr]
        made.stem[1].weight[0] = 1  # type: ignore[index,union-attr]
        made.head[-1].weight[0, 0] = 1  # type: ignore[index,union-attr]
    return made


def test_the_map_is_the_weighted_sum_worked_out_by_hand() -> None:
    """Two maps of 2×2 pixels, weights 2 and -1: nothing of the network but its ends takes part."""
    made = network(replace(SPEC, resolution=8))
    features = torch.tensor([[1.0, 0.0], [3.0, 2.0]]), torch.tensor([[1.0, 4.0], [0.0, 1.0]])
    given = torch.zeros(1, 8, 2, 2)
    given[0, 0], given[0, 1] = features
    made.stages[0].register_forward_hook(lambda *_: given)  # type: ignore[index,union-attr]
    with torch.no_grad():
        weight = made.head[-1].weight.zero_()  # type: ignore[index,union-attr,operator]
        weight[1, :2] = torch.tensor([2.0, -1.0])
    found = maps(made, torch.zeros(1, 3, 8, 8))
    assert method(made) == CAM
    assert found.of.tolist() == [1]
    assert found.values[0].tolist() == [[1.0, -4.0], [6.0, 3.0]]
    logits = torch.tensor([0.0, 6 / 4, 0.0])  # the mean of the map; the biases are 0
    assert found.shares[0].item() == pytest.approx(logits.softmax(0)[1].item(), rel=1e-5)


@given(st.integers(0, 99), st.integers(0, 2), st.sampled_from((0, 16)))
@settings(max_examples=15, deadline=None)
def test_the_mean_of_a_map_is_the_logit_and_gradients_give_the_same_map(
    seed: int, of: int, head: int
) -> None:
    """The identity of Selvaraju et al. 2017, section 3.1: Grad-CAM's weights are CAM's over Z."""
    made = network(replace(SPEC, head=head), seed)
    pictures = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    found = maps(made, pictures, of)
    with torch.no_grad():
        logits = made(pictures)[:, of] - made.head[-1].bias[of]  # type: ignore[index,union-attr,operator]
    torch.testing.assert_close(found.values.mean((1, 2)), logits, atol=1e-5, rtol=1e-4)
    by_gradient = maps(made, pictures, of, last_maps(made))
    pixels = found.values[0].numel()
    torch.testing.assert_close(
        pixels * by_gradient.values, found.values.relu(), atol=1e-5, rtol=1e-4
    )
    assert torch.equal(by_gradient.of, found.of)


def test_gradients_are_those_of_the_layer_that_is_named() -> None:
    """Against differences: the logit's change by a shift of one of the layer's maps."""
    made = network(SPEC).double()
    picture = torch.randn(1, 3, SIDE, SIDE, dtype=torch.float64)
    layer, shift = made.stages[0], torch.zeros(1, 8, 1, 1, dtype=torch.float64)  # type: ignore[index]
    kept: list[Tensor] = []

    def logit(of: int, number: int, by: float) -> float:
        shift.zero_()[0, number] = by
        handle = layer.register_forward_hook(lambda _m, _a, out: (kept.append(out), out + shift)[1])
        with torch.no_grad():
            found = float(made(picture)[0, of])
        handle.remove()
        return found

    slopes = [(logit(2, k, 1e-4) - logit(2, k, -1e-4)) / 2e-4 for k in range(8)]
    pixels = kept[0][0, 0].numel()
    wanted = (torch.tensor(slopes).view(8, 1, 1) / pixels * kept[0][0]).sum(0).relu()
    found = maps(made, picture, 2, "stages.0").values[0]
    torch.testing.assert_close(found, wanted.float(), atol=1e-5, rtol=1e-3)
    assert found.max() > 0


@pytest.mark.parametrize(("top", "left"), [(0, 0), (0, 12), (12, 0), (12, 12)])
@pytest.mark.parametrize("layer", [None, "stem", "stem.2", "stages.0"])
def test_the_corner_that_is_seen_lights_up(top: int, left: int, layer: str | None) -> None:
    spec = ArchSpec(
        "finder", Stem(8), (StageSpec("projection", 1, 8, 1, 1),), resolution=SIDE, classes=2
    )
    picture = torch.zeros(1, 3, SIDE, SIDE)
    picture[:, :, top : top + 4, left : left + 4] = 1
    made = finder(spec)
    found = maps(made, picture, 0, layer)
    assert found.values.shape == (1, SIDE // 2, SIDE // 2)
    heat = enlarged(found, SIDE)[0].numpy()
    inside = np.zeros((SIDE, SIDE), bool)
    inside[top : top + 4, left : left + 4] = True
    assert heat[inside].mean() > 0.6
    assert heat[~inside].mean() < 0.1
    drawn = blended(np.zeros((SIDE, SIDE, 3)), heat)
    redder = (drawn[..., 0] - drawn[..., 2]) > 0
    assert redder[inside].mean() > 0.6, "red is where it looks"
    assert redder[~inside].mean() < 0.1, "and blue elsewhere"


def test_a_norm_between_the_mean_and_the_classifier_needs_gradients() -> None:
    made = network(replace(family("convnext-t"), resolution=64, classes=2))
    assert method(made) == GRAD_CAM
    assert maps(made, torch.randn(1, 3, 64, 64)).values.shape == (1, 2, 2)
    expanding = "stages.0.0.0.body.3"  # a linear layer between permutations
    assert isinstance(made.get_submodule(expanding), nn.Linear)
    with pytest.raises(ValueError, match="no maps"):
        maps(made, torch.randn(1, 3, 64, 64), layer=expanding)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ("stagse.0", "did you mean stages.0"),
        ("", "no layer"),
        ("head.0", "no maps"),  # the mean itself
        ("head.3", "no maps"),
        ("stages.0.0.6.body.1", "no maps"),  # squeeze-and-excitation's one pixel
    ],
)
def test_layers_without_maps_are_refused(layer: str, says: str) -> None:
    made = network(SPEC)
    with pytest.raises(ValueError, match=says):
        maps(made, torch.randn(1, 3, SIDE, SIDE), layer=layer)


def test_what_is_measured_leaves_the_network_as_it_was() -> None:
    made, pictures = network(SPEC), torch.randn(2, 3, SIDE, SIDE)
    before, state = made(pictures), {k: v.clone() for k, v in made.state_dict().items()}
    for layer in (None, "stem.1", "stages.0"):
        maps(made, pictures, layer=layer)
    assert torch.equal(made(pictures), before)
    assert all(torch.equal(v, state[k]) for k, v in made.state_dict().items())


@pytest.mark.parametrize(
    ("name", "layer", "start", "stride"),
    [
        ("resnet-18", "stem.0", 0, 2),
        ("resnet-18", "stages.1", 0, 8),
        ("resnet-18", "stages.1.0.0.body.0", 0, 8),
        ("efficientnet-b0", "stages.3", 0, 16),
        ("rexnet-1.0", "stages.1", 0, 4),
        ("convnext-t", "stages.0", 1.5, 4),
        ("convnext-t", "stages.3", 15.5, 32),
    ],
)
def test_maps_lie_where_their_layer_looks(name: str, layer: str, start: float, stride: int) -> None:
    """Against gradients: of kernels of ones, the middle of the pixels that one pixel depends on."""
    made = build(replace(family(name), resolution=224))
    assert place(made, layer) == (start, stride)
    if name != "resnet-18":
        return
    for weight in made.parameters():
        nn.init.ones_(weight) if weight.dim() > 1 else nn.init.constant_(weight, 1e-3)
    made.stem[3] = nn.AvgPool2d(3, 2, 1)  # type: ignore[index,operator]  # a maximum has one pixel
    made.eval().double()
    kept: list[Tensor] = []
    made.get_submodule(layer).register_forward_hook(lambda _m, _a, out: kept.append(out))
    picture = torch.ones(1, 3, 224, 224, dtype=torch.float64, requires_grad=True)
    made(picture)
    row, column = kept[0].shape[2] // 2, kept[0].shape[3] // 2 - 1
    (slope,) = torch.autograd.grad(kept[0][0, 0, row, column], picture)
    seen = slope[0].sum(0)
    middle = [float((seen.sum(1 - way) * torch.arange(224)).sum() / seen.sum()) for way in (0, 1)]
    assert middle == pytest.approx([start + row * stride, start + column * stride], abs=1e-6)


def laid(values: Tensor, side: int, start: float, stride: int) -> Tensor:
    nobody = torch.zeros(len(values))
    return enlarged(Maps(nobody, nobody, values, Place(start, stride)), side)


def test_a_map_of_one_value_is_drawn_as_nothing() -> None:
    assert laid(torch.full((1, 3, 3), 1 / 3), 12, 1.5, 4).abs().max() == 0


@given(st.integers(1, 6), st.integers(2, 9), st.integers(0, 99))
def test_patches_are_enlarged_as_by_torch(count: int, stride: int, seed: int) -> None:
    values = torch.rand(2, count, count, generator=torch.Generator().manual_seed(seed))
    side = count * stride
    low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
    shares = (values - low) / (high - low).clamp(min=1e-12)
    wanted = F.interpolate(shares[:, None], side, mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(laid(values, side, (stride - 1) / 2, stride), wanted)


# ---------------------------------------------------------------- the command


def trained(folder: Path, spec: ArchSpec, classes: tuple[str, ...]) -> Path:
    """A directory as ``python -m training`` leaves it, without its evaluation."""
    folder.mkdir(parents=True)
    made = network(replace(spec, classes=len(classes)))
    save_file(weights_of(made), folder / "weights.safetensors")
    (folder / "spec.json").write_text(replace(spec, classes=len(classes)).to_json())
    channels = spec.in_channels
    Preprocessing(
        classes, (0.4,) * channels, (0.3,) * channels, spec.resolution,
        "RGB" if channels == 3 else "L",
    ).write(folder)  # fmt: skip
    return folder


def searched(folder: Path, classes: tuple[str, ...]) -> Path:
    """A run of ``nas.search`` that ended with weights."""
    folder.mkdir(parents=True)
    spec = replace(SPEC, name="found", resolution=24, classes=len(classes))
    parent = Parent("found", spec, weights_of(network(spec)), Moments((0.5,) * 3, (0.2,) * 3))
    keep(parent, folder / "baseline.safetensors")
    (folder / "baseline.json").write_text(spec.to_json())
    facts = {"kind": "nas", "seed": 0, "data": {"classes": list(classes)}}
    header = new_header(facts, ["maximize"], "run", None)
    (folder / FILE_NAME).write_text(json.dumps(header.to_dict()))
    return folder


def pictures(folder: Path, names: tuple[str, ...]) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in names:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


CLASSES = ("cat", "<b>$x_", "개 & co")


def test_networks_of_every_kind_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = ("<img src=x>", "$\\nothing$", "b\udcff\n", "picture")
    seen = pictures(tmp_path / "seen", odd)
    (seen / "broken.png").write_bytes(b"no picture")
    grey = trained(tmp_path / "$gr_ey <i>", replace(SPEC, in_channels=1), CLASSES)
    run = searched(tmp_path / "run", CLASSES)
    given = [trained(tmp_path / "colour", SPEC, CLASSES), grey, run, run / "baseline.safetensors"]
    out = tmp_path / "out"
    done = in_process(main, ["cam", *given, "--pictures", seen, "--out", out], capsys)
    assert done.returncode == 0, done.stderr
    assert "broken.png: not a picture" in done.stderr
    assert done.stdout.splitlines() == [str(out / "cam.png"), str(out / "cam.html")]
    page = opened(out / "cam.html")
    assert page.attributes["class"].count("seen") == 1  # photographs: no dark page inverts them
    assert "drawn" not in page.attributes["class"]
    for text in ("<img src=x>.png", "b\\udcff\n.png", "$gr_ey <i>", "24 pixels", "4×4", CAM):
        assert text in page.text
    height, width = image.imread(out / "cam.png").shape[:2]
    assert width / height == pytest.approx(5 / (4 * 1.12), rel=0.02), "4 pictures, 1 + 4 columns"
    for one in Predictor(grey, "cpu")([seen / "picture.png"]):
        assert f"{one.best}, {100 * one.top(1)[0][1]:.0f} %" in page.text


def test_a_class_and_a_layer_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = pictures(tmp_path / "seen", tuple("abcdefghij"))
    run = trained(tmp_path / "run", SPEC, (*CLASSES[:2], HOSTILE))
    for which in (run, run / "weights.safetensors"):
        done = in_process(main, ["cam", which, "--pictures", seen, "--out", tmp_path / "out",
                                 "--class", HOSTILE, "--layer", "stem", "--images", 3],
                          capsys)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "3 of 10 pictures" in done.stderr
    page = opened(tmp_path / "out" / "cam.html")
    assert f"Maps of the class {HOSTILE}, by 1 networks on 3 pictures." in page.text
    assert all(f"{name}.png" in page.text for name in "adg"), "evenly of all"
    assert "Grad-CAMstem" in page.text


def test_what_cannot_be_looked_at_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, run = pictures(tmp_path / "seen", ("a",)), trained(tmp_path / "run", SPEC, CLASSES)
    (tmp_path / "empty").mkdir()

    def refused(says: str, *given: object, network: object = run, of: object = seen) -> None:
        line = ["cam", network, "--pictures", of, "--out", tmp_path / "out", *given]
        assert_refused(in_process(main, line, capsys), says)

    refused("knows no class 'cta': it knows cat", "--class", "cta")
    refused("no layer 'stage.0': did you mean stages.0", "--layer", "stage.0")
    refused("no maps of several pixels", "--layer", "head.0")
    refused("no pictures in the folder", of=tmp_path / "empty")
    refused("none of 1 pictures could be read", of=run / "spec.json")
    refused("holds no weights", network=seen)
    refused("lower --images", "--images", 300, of=pictures(tmp_path / "many", tuple(
        str(number) for number in range(201))))  # fmt: skip
    assert not (tmp_path / "out").exists(), "nothing is left of what was refused"
