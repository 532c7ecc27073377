"""Parents made ready for pictures, children scored and trained, weights kept and read again."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.build import build
from models.inherit import recalibrate
from models.spec import ArchSpec, StageSpec, Stem
from training.data import Data, load
from training.evaluator import ByValue, Evaluator
from training.loop.augment import to_float
from training.loop.scores import measure
from training.loop.train import final, first, train
from training.recipe import Recipe
from training.transfer.child import REFITTED, child
from training.transfer.head import features
from training.transfer.parent import Moments, Parent, batches, keep, of_data, prepared, weights_of
from training.transfer.sources import open_parent, read_parent
from trials.record import Evaluation, Stopped

TINY = ArchSpec(
    "tiny",
    Stem(8, 1, 1),  # nothing is padded: another normalisation is taken over exactly
    (
        StageSpec("mbconv", 1, 8, 3, 1, 1),
        StageSpec("mbconv", 2, 12, 3, 2, 4),
        StageSpec("mbconv", 2, 16, 5, 2, 4),
    ),
    head=32,
    resolution=16,
    classes=7,
)
CPU = torch.device("cpu")
RECIPE = Recipe(resolution=16, reference=16, images=400, held_out=300, epochs=0, batch=32, lr=0.08,
                regularise=False, zero_init=False)  # fmt: skip


@pytest.fixture(scope="module")
def data() -> Data:
    return load("digits", size=16, progress=False)


def drawn(spec: ArchSpec, moments: Moments, seed: int = 0) -> Parent:
    """A parent whose norms are no identities."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = build(spec)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for one, low in ((norm.weight, 0.5), (norm.running_var, 0.5), (norm.bias, -0.5),
                             (norm.running_mean, -0.5)):  # fmt: skip
                one.data.copy_(low + torch.rand(one.shape, generator=generator))
    return Parent("drawn", spec, weights_of(network), moments)


def normalised(data: Data, moments: Moments) -> Tensor:
    """Some pictures, in as many channels as there are moments."""
    x = data.train.images[:20].float() / 255
    x = x.expand(-1, len(moments.mean), -1, -1)
    mean, std = (torch.tensor(one)[:, None, None] for one in moments)
    return (x - mean) / std


@pytest.mark.parametrize("moments", [Moments((0.2,), (0.5,)),
                                     Moments((0.2, 0.4, 0.6), (0.5, 0.7, 0.3))])  # fmt: skip
@torch.no_grad()
def test_another_normalisation_is_taken_over(data: Data, moments: Moments) -> None:
    """For weights of grey pictures and of colours, on grey ones."""
    parent = drawn(replace(TINY, in_channels=len(moments.mean), classes=10), moments)
    own = of_data(parent, data)
    x = to_float(data.train.images[:20], 16, data.mean, data.std)
    assert own.spec.in_channels == 1
    assert torch.allclose(
        own.network(x), parent.network(normalised(data, moments)), rtol=1e-3, atol=1e-4
    )
    assert own.moments.mean == pytest.approx(data.mean.tolist())


@torch.no_grad()
def test_weights_of_grey_pictures_take_colours(data: Data) -> None:
    grey = Moments((0.3,), (0.4,))
    parent = drawn(replace(TINY, in_channels=1, classes=10), grey)
    three = replace(
        data,
        channels=3,
        train=replace(data.train, images=data.train.images.repeat(1, 3, 1, 1)),
    )
    own = of_data(parent, three)
    x = to_float(three.train.images[:20], 16, three.mean, three.std)
    assert torch.allclose(
        own.network(x), parent.network(normalised(data, grey)), rtol=1e-3, atol=1e-4
    )


def test_preparing_keeps_the_function_and_moves_the_statistics(data: Data) -> None:
    parent = drawn(TINY, Moments((0.2,) * 3, (0.5,) * 3))
    before, after = of_data(parent, data), prepared(parent, RECIPE, data, 0, CPU, 0)
    one, other = (features(own.network, data.validation, 16, data) for own in (before, after))
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)
    name = "stages.1.0.1.running_mean"
    assert not torch.allclose(before.weights[name], after.weights[name], atol=1e-3)
    assert after.source == parent.digest != after.digest


def test_a_parent_is_prepared_at_its_childrens_resolution(data: Data) -> None:
    moments = Moments((0.2,) * 3, (0.5,) * 3)
    large = drawn(replace(TINY, resolution=224), moments)
    small = prepared(drawn(TINY, moments), RECIPE, data, 0, CPU, 0)
    ready = prepared(large, RECIPE, data, 0, CPU, 0)
    assert ready.spec == small.spec
    assert all(torch.equal(one, ready.weights[name]) for name, one in small.weights.items())


def test_the_parents_own_child_is_the_parent(data: Data) -> None:
    ready = prepared(drawn(TINY, Moments((0.2,) * 3, (0.5,) * 3)), RECIPE, data, 0, CPU, 0)
    network, found = child(ready, TINY, RECIPE, data, 5, CPU)
    told = found.details["inherited"]
    assert told["distance"] == 0
    same = network.state_dict()
    assert all(torch.equal(same[name], one) for name, one in ready.weights.items()
               if not name.startswith("head."))  # fmt: skip
    assert found.loss is not None
    assert found.loss < 1.5
    assert found.details["steps"] == 0
    assert found.seed == 5
    assert child(ready, TINY, RECIPE, data, 6, CPU)[1].accuracy == found.accuracy


@pytest.fixture(scope="module")
def trained(data: Data) -> Parent:
    """A network that knows the digits."""
    recipe = replace(RECIPE, epochs=6, lr=0.4, zero_init=True)
    spec = replace(TINY, classes=10, in_channels=1)
    network, _ = final(spec, recipe, data, 0, CPU)
    return Parent(
        "trained", spec, weights_of(network), Moments(tuple(data.mean.tolist()),
                                                      tuple(data.std.tolist()))
    )  # fmt: skip


SMALLER = replace(
    TINY,
    stages=(TINY.stages[0], replace(TINY.stages[1], layers=1),
            replace(TINY.stages[2], expansion=3)),
)  # fmt: skip


def test_a_child_knows_what_its_parent_knows(data: Data, trained: Parent) -> None:
    ready = prepared(trained, RECIPE, data, 0, CPU, 0)
    _, scored = child(ready, SMALLER, RECIPE, data, 0, CPU)
    told = scored.details["inherited"]
    assert 0 < told["distance"] < 0.6
    assert told["dropped"] == 1
    assert scored.accuracy > 0.6  # 0.1 by chance
    tuned = replace(RECIPE, epochs=2)
    network, after = child(ready, SMALLER, tuned, data, 0, CPU)
    scratch = train(SMALLER, tuned, data, 0, CPU)
    assert after.accuracy > scratch.accuracy + 0.1
    assert after.details["steps"] == 2 * (400 // 32)
    assert sum(after.details["classifier"]) > 0
    assert "classifier" not in scored.details
    held = first(data.validation, RECIPE.held_out)
    assert network.training is False
    again = measure(network, held, 16, data)
    assert (again.accuracy, again.loss) == pytest.approx((after.accuracy, after.loss), rel=1e-5)


def test_a_childs_statistics_are_of_its_own_maps(data: Data, trained: Parent) -> None:
    """Measured again by the plain network, they are the same."""
    ready = prepared(trained, RECIPE, data, 0, CPU, 0)
    network, _ = child(ready, SMALLER, RECIPE, data, 0, CPU)
    plain = build(replace(SMALLER, classes=10, in_channels=1))
    plain.load_state_dict(network.state_dict())
    few = first(first(data.train, RECIPE.images), REFITTED)
    recalibrate(plain, batches(few, 16, data))
    for name, value in plain.state_dict().items():
        assert torch.allclose(value, network.state_dict()[name], rtol=1e-3, atol=1e-4), name


def test_a_child_below_its_bar_is_not_trained(data: Data, trained: Parent) -> None:
    ready = prepared(trained, RECIPE, data, 0, CPU, 0)
    tuned = replace(RECIPE, epochs=1)
    evaluate = Evaluator(ByValue(data), tuned, "cpu", ready)
    plain = evaluate(SMALLER, 1)
    found = evaluate(SMALLER, 1, ((0.0, 0.2),))
    assert isinstance(found, Evaluation)
    ((share, before),) = found.curve
    assert share == 0
    assert 0.2 < before < found.accuracy == plain.accuracy  # looking changes nothing
    lost = evaluate(SMALLER, 1, ((0.0, 1.0),))
    assert isinstance(lost, Stopped)
    assert (lost.share, lost.evaluation.accuracy) == (0.0, before)
    assert lost.evaluation.details["steps"] == 0
    assert "inherited" in lost.evaluation.details
    assert isinstance(
        Evaluator(ByValue(data), RECIPE, "cpu", ready)(SMALLER, 1, ((0.0, 1.0),)), Evaluation
    )


def test_an_evaluator_travels_with_its_parent(data: Data, trained: Parent) -> None:
    evaluate = Evaluator(ByValue(data), RECIPE, "cpu", trained)
    again = pickle.loads(pickle.dumps(evaluate, protocol=5))
    assert again(SMALLER, 1).loss == evaluate(SMALLER, 1).loss
    with pytest.raises(ValueError, match="0 epochs are no training"):
        replace(evaluate, parent=None)(SMALLER, 1)


def test_weights_are_kept_with_what_they_are_of(tmp_path: Path, trained: Parent) -> None:
    path = tmp_path / "baseline.safetensors"
    keep(trained, path)
    again = open_parent(str(tmp_path))
    assert (again.name, again.spec, again.moments) == ("trained", trained.spec, trained.moments)
    assert again.digest == trained.digest
    assert again.facts() == trained.facts()
    save_file(dict(trained.weights), path)
    with pytest.raises(ValueError, match="does not say which network"):
        read_parent(path)
    own = open_parent(str(path), replace(trained.spec, classes=99))
    assert own.spec.classes == 10
    assert len(own.moments.mean) == 1
    with pytest.raises(ValueError, match="holds no weights"):
        open_parent(str(tmp_path.parent))
    with pytest.raises(ValueError, match="no known network"):
        open_parent("nothing")
