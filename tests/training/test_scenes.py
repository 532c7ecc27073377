"""``python -m training detect`` and ``segment``: drawn pictures by heart, and what is refused."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.build import build
from models.deploy import heads
from models.deploy.detectors import faster_rcnn, mask_rcnn
from models.deploy.heads import DETECTORS, OUTLINING, Head, read_head
from models.families import family
from models.pretrained import read_safetensors
from nas.space import space
from tests.support import scenes as drawn
from tests.support.command import assert_refused, in_process
from training.__main__ import main
from training.scenes import measure
from training.scenes.coco import read_coco
from training.scenes.masks import mask_of, read_masks
from training.scenes.measure import average_precision, detected, overlaps, segmented
from training.scenes.outlines import coded_mask, inside
from training.scenes.scene import IGNORED, divided
from training.scenes.vary import Varied, for_detectors, outlines_of, pixels_of

coder = pytest.importorskip("pycocotools.mask")

TINY = "mobilenet-v1-0.25-128"
QUICK = ("--epochs", 2, "--batch", 2, "--resolution", drawn.SIDE, "--device", "cpu")
LONG = ("--batch", 4, "--lr", 3e-3, "--augment", "none", "--device", "cpu")
# Its defaults are for photographs of a thousand pixels and two thousand boxes.
FEW: dict[str, Any] = {
    "channels": 32, "rpn_pre_nms_top_n_train": 100, "rpn_post_nms_top_n_train": 50,
    "box_batch_size_per_image": 32, "box_detections_per_img": 20,
}  # fmt: skip


def found_network(path: Path) -> Path:
    """A network of the search's own space as a search leaves it, other than B0 in each respect."""
    searched = space("mnasnet")
    choices = dict(searched.choices_of(family("efficientnet-b0")) or {})
    choices |= {"block1_op": "mbconv3", "block2_k": 3, "block3_se": 0, "block4_l": 2}
    path.write_text(replace(searched.spec(choices), name="found").to_json())
    return path


# ---------------------------------------------------------------- the commands


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two-stage detectors that are small enough for a test."""
    monkeypatch.setitem(heads._MAKERS, "faster-rcnn", partial(faster_rcnn, **FEW))
    monkeypatch.setitem(heads._MAKERS, "mask-rcnn", partial(mask_rcnn, **FEW))


@pytest.mark.parametrize("head", DETECTORS)
@pytest.mark.usefixtures("few")
def test_a_detector_is_written_and_read_again(
    head: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = drawn.coco(tmp_path / "data"), tmp_path / "out"
    given = ("detect", "--spec", TINY, "--data", data, "--head", head, "--out", out, *QUICK)
    done = in_process(main, given, capsys)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("AP 0.")
    assert (", of masks AP 0." in done.stdout) is (head == "mask-rcnn")
    assert done.stdout.endswith(f"{out}\n")
    assert f"{head} on {TINY}: " in done.stderr
    assert "4 pictures to learn from, 4 held out (validation), 10 objects, 3 classes" in done.stderr
    found = json.loads((out / "evaluation.json").read_text())
    model, read = read_head(out)
    assert read.classes == ("background", "red", "blue")
    again = detected(model, read, read_coco(data).held_out, torch.device("cpu"))
    assert again == {name: found[name] for name in again}
    assert len(found["losses"]) == 2
    assert not (out / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("head", ["lraspp", "deeplab"])
@pytest.mark.parametrize("kind", ["masks", "coco"])
def test_a_segmenter_is_written_and_read_again(
    head: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = getattr(drawn, kind)(tmp_path / "data"), tmp_path / "out"
    given = ("segment", "--spec", TINY, "--data", data, "--head", head, "--out", out, *QUICK)
    done = in_process(main, given, capsys)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mean IoU 0.")
    found = json.loads((out / "evaluation.json").read_text())
    model, read = read_head(out)
    assert read.classes[1:] == ("red", "blue")
    again = segmented(model, read, read_masks(data).held_out, torch.device("cpu"))
    assert again == {name: found[name] for name in again}


def test_weights_are_a_classifiers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a training with other classes; with a rate of next to nothing they stay what they were."""
    from safetensors.torch import save_file

    torch.manual_seed(3)
    network = build(replace(family(TINY), classes=7))
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    data, out = drawn.coco(tmp_path / "data"), tmp_path / "out"
    given = ("detect", "--spec", TINY, "--data", data, "--out", out, "--init",
             tmp_path / "w.safetensors", *QUICK, "--lr", 1e-12)  # fmt: skip
    assert in_process(main, given, capsys).returncode == 0
    kept = read_safetensors(str(out / "weights.safetensors"))
    for name, one in network.state_dict().items():
        if not name.startswith("head") and one.is_floating_point():
            mine = kept[f"backbone.body.{name}"]
            assert torch.allclose(mine, one, atol=1e-6), name  # norms' statistics too: kept


def test_a_stopped_training_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from training.scenes.loop import SceneTrainer

    data = drawn.coco(tmp_path / "data")
    given = ("detect", "--spec", TINY, "--data", data, "--augment", "strong", "--epochs", 3,
             *QUICK[2:])  # fmt: skip
    assert in_process(main, (*given, "--out", tmp_path / "whole"), capsys).returncode == 0
    update = SceneTrainer._update

    def stopping(run: Any, samples: Any) -> Any:
        if run.step == 3:  # in the midst of the second epoch
            signal.raise_signal(signal.SIGINT)
        return update(run, samples)

    with monkeypatch.context() as patch:
        patch.setattr(SceneTrainer, "_update", stopping)
        done = in_process(main, (*given, "--out", tmp_path / "cut"), capsys)
    assert done.returncode == 130
    assert "after step 4 of 6: python -m training detect --resume --out" in done.stderr
    assert_refused(in_process(main, ("--resume", "--out", tmp_path / "cut"), capsys),
                   "was begun by python -m training detect")  # fmt: skip
    done = in_process(main, ("detect", "--resume", "--out", tmp_path / "cut"), capsys)
    assert done.returncode == 0, done.stderr
    whole, cut = (
        read_safetensors(str(tmp_path / name / "weights.safetensors")) for name in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_workers_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = drawn.masks(tmp_path / "data")
    given = ("segment", "--spec", TINY, "--data", data, *QUICK, "--epochs", 1)
    for workers in (0, 1):
        out = ("--workers", workers, "--out", tmp_path / str(workers))
        assert in_process(main, (*given, *out), capsys).returncode == 0
    mine, theirs = (read_safetensors(str(tmp_path / n / "weights.safetensors")) for n in "01")
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


# Masks take minutes: of one network, where the others' boxes have been learned.
BY_HEART = [
    (head, name)
    for head in DETECTORS
    for name in ("rexnet-1.0", "efficientnet-b0", "found")
    if head != "mask-rcnn" or name == "found"
]


@pytest.mark.slow
@pytest.mark.parametrize(("head", "name"), BY_HEART)
@pytest.mark.usefixtures("few")
def test_a_detector_learns_by_heart(
    head: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = found_network(tmp_path / "found.json") if name == "found" else name
    given = ("detect", "--spec", spec, "--data", drawn.coco(tmp_path / "data"), "--head", head,
             "--epochs", 100, "--resolution", 64, "--out", tmp_path / "out", *LONG)  # fmt: skip
    assert in_process(main, given, capsys).returncode == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["ap50"] > 0.9
    assert head not in OUTLINING or found["mask_ap50"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rexnet-1.0", "efficientnet-b0", "found"])
@pytest.mark.parametrize("head", ["lraspp", "deeplab"])
def test_a_segmenter_learns_by_heart(
    head: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = found_network(tmp_path / "found.json") if name == "found" else name
    given = ("segment", "--spec", spec, "--data", drawn.masks(tmp_path / "data"), "--head", head,
             "--epochs", 60, "--resolution", 160, "--out", tmp_path / "out", *LONG)  # fmt: skip
    assert in_process(main, given, capsys).returncode == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["miou"] > 0.7


# ---------------------------------------------------------------- what is refused, and read


def refused(data: Path, message: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = in_process(main, (command, "--spec", TINY, "--data", data, *QUICK), capsys)
    assert_refused(done, message)
    assert len(done.stderr.splitlines()) == 1


def first(kind: str, **changes: Any) -> drawn.Facts:
    found = drawn.facts((0, 1))
    found[kind][0] |= changes
    return found


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (first("images", file_name="gone.png"), "picture 'gone.png' is in none of"),
        (first("images", width=50), "is 50x96 there and 96x96 in"),
        (first("images", id=5), "annotation 0 is of picture 0, which is not among its images"),
        (first("annotations", category_id=8), "annotation 0 is of category 8, which is not among "
         "its categories (7, 9)"),
        (first("annotations", bbox=[60, 2, 40, 10]), "outside of its picture of 96x96"),
        (first("annotations", bbox=[1, 2, 3]), "it is left, top, width and height in pixels"),
        (first("annotations", bbox=[1, 2, 3, float("nan")]), "it is left, top, width and height"),
        ({"images": []}, "is no file in COCO's format: it has the lists"),
        (first("categories", id="x"), "lacks a whole id or a name"),
    ],
)  # fmt: skip
def test_errors_in_annotations_are_told(
    changed: drawn.Facts, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn.coco(tmp_path)
    drawn.write(tmp_path, "train", changed)
    refused(tmp_path, message, "detect", capsys)


def test_a_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(tmp_path / "no", "no folder", "detect", capsys)
    refused(tmp_path, "holds no annotations to train on", "detect", capsys)
    (tmp_path / "a.json").write_text("{")
    refused(tmp_path, "cannot be read as JSON", "detect", capsys)
    (tmp_path / "b.json").write_text("{}")
    refused(tmp_path, "are both annotations for train: keep one", "detect", capsys)
    assert_refused(in_process(main, ("detect", "--spec", TINY), capsys), "--spec and --data")


def test_other_categories_in_a_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn.coco(tmp_path)
    drawn.write(tmp_path, "val", first("categories", name="green"))
    refused(tmp_path, "category 7 is 'green' in", "detect", capsys)


def test_boxes_are_cut_off_left_out_and_divided(tmp_path: Path) -> None:
    drawn.coco(tmp_path, held_out=False)
    changed = drawn.facts(tuple(range(4)))
    changed["annotations"][0]["bbox"] = [-0.5, 12, 96.9, 40]
    changed["annotations"][1]["bbox"] = [10, 10, 0, 5]
    changed["annotations"][2]["iscrowd"] = 1
    drawn.write(tmp_path, "train", changed)
    found = read_coco(tmp_path)
    assert found.train[0].objects[0].box == (0, 12, 96, 52)
    assert found.train[2].objects[0].crowd
    assert (found.left_out, found.held_out) == (1, ())
    one, two = divided(found, 0), divided(found, 1)
    assert "1 boxes without an area left out" in one.summary()
    for some in (one, two):
        assert (len(some.train), len(some.held_out)) == (3, 1)
        every = sorted(one.path for one in (*some.train, *some.held_out))
        assert every == [one.path for one in found.train]
    assert divided(found, 0) == one


@pytest.mark.parametrize(
    "where",
    ["annotations.json", "train/_annotations.coco.json", "annotations/instances_train.json"],
)
@pytest.mark.parametrize("pictures", ["beside", "images", "part"])
def test_where_annotations_and_pictures_lie(where: str, pictures: str, tmp_path: Path) -> None:
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(drawn.facts((0, 1))))
    folder = {"beside": path.parent, "images": tmp_path / "images", "part": tmp_path / "train"}
    for number in (0, 1):
        drawn.draw(folder[pictures], number)
    assert [scene.path.name for scene in read_coco(tmp_path).train] == ["0.png", "1.png"]


def test_errors_in_masks_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn.masks(tmp_path)
    mask = tmp_path / "train" / "masks" / "0.png"

    def change(image: Image.Image, message: str) -> None:
        image.save(mask)
        refused(tmp_path, message, "segment", capsys)

    change(Image.new("L", (96, 96), 3), "has the class 3 and")
    change(Image.new("L", (90, 96)), "is 90x96 and its picture")
    change(Image.new("RGB", (96, 96)), "save masks as PNG with one channel")
    mask.unlink()
    refused(tmp_path, "has no counterpart in", "segment", capsys)


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ([], "has no segmentation in the annotations"),
        ([[1]], "is neither polygons nor run lengths"),
        ({"counts": 3}, "is neither polygons nor run lengths"),
        ({"counts": "abc", "size": [96, 96]}, "is neither polygons nor run lengths"),
        ({"counts": [10, 20], "size": [96, 96]}, "runs of 30 pixels of [96, 96]"),
        ({"counts": [10, 40], "size": [5, 10]}, "is of 10x5 pixels, the picture of 96x96"),
    ],
)
@pytest.mark.parametrize("command", [("segment",), ("detect", "--head", "mask-rcnn")])
def test_objects_without_outlines_make_no_masks(
    command: tuple[str, ...],
    outline: object,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    drawn.coco(tmp_path)
    drawn.write(tmp_path, "train", first("annotations", segmentation=outline))
    done = in_process(main, (*command, "--spec", TINY, "--data", tmp_path, *QUICK), capsys)
    assert_refused(done, message)
    assert "/train2017/0.png" in done.stderr
    assert "first epoch" not in done.stderr


def test_outlines_cover_what_was_drawn(tmp_path: Path) -> None:
    """Polygons as run lengths; the smaller object over the larger one; crowds of no class."""
    by_outline, by_mask = (
        read_masks(drawn.coco(tmp_path / "a")),
        read_masks(drawn.masks(tmp_path / "b")),
    )
    for one, other in zip(by_outline.train, by_mask.train, strict=True):
        assert np.array_equal(mask_of(one), mask_of(other))
    scene = by_outline.train[0]
    (square,) = scene.objects
    counts = np.zeros((96, 96), np.uint8, order="F")
    counts[20:30, 10:12] = 1
    small = replace(square, label=2, outline=coder.encode(counts), area=20.0)
    both = mask_of(replace(scene, objects=(small, square)))
    assert (both == 2).sum() == 20
    assert (both == 1).sum() == 40**2 - 20
    crowd = replace(small, crowd=True)
    assert (mask_of(replace(scene, objects=(square, crowd))) == 1).sum() == 40**2
    assert (mask_of(replace(scene, objects=(crowd,))) == IGNORED).sum() == 20


@pytest.mark.parametrize("augment", ["none", "light", "strong"])
def test_masks_stay_on_their_objects(augment: str, tmp_path: Path) -> None:
    """However a picture is varied, a mask covers its coloured object, and its box encloses it."""
    scenes = read_coco(drawn.coco(tmp_path)).train
    varied = Varied(scenes, for_detectors(augment, (0.5, 0.5, 0.5)), outlines_of)
    seen = 0
    for place in range(len(scenes)):
        for seed in range(8):
            picture, target = varied[place, seed]
            assert len(target["masks"]) == len(target["boxes"]) == len(target["labels"])
            for mask, box in zip(target["masks"], target["boxes"], strict=True):
                colours = picture[:, mask.bool()]  # grey elsewhere, however they are distorted
                assert ((colours.amax(0) - colours.amin(0)) > 0.15).float().mean() > 0.95
                rows, columns = mask.nonzero().T
                edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                assert torch.allclose(torch.stack(edges).float(), box, atol=1.5)
                seen += 1
    assert seen >= 32


def test_crowds_and_empty_pictures_have_no_masks(tmp_path: Path) -> None:
    scene = read_coco(drawn.coco(tmp_path)).train[0]
    crowd = replace(scene, objects=(replace(scene.objects[0], crowd=True),))
    for one in (crowd, replace(scene, objects=())):
        target = outlines_of(one)
        assert target["masks"].shape == (0, 96, 96)
        assert target["boxes"].shape == (0, 4)
    model = mask_rcnn(replace(family(TINY), in_channels=3), 3, min_size=96, max_size=96, **FEW)
    varied = Varied([replace(scene, objects=()), scene], for_detectors("light", (0.5,) * 3),
                    outlines_of)  # fmt: skip
    for places in ((0,), (0, 1)):
        samples = [varied[place, 0] for place in places]
        losses = model.train()([one for one, _ in samples], [target for _, target in samples])
        assert all(torch.isfinite(loss) for loss in losses.values())


# ---------------------------------------------------------------- measures


def test_average_precision_of_known_findings(tmp_path: Path) -> None:
    scenes = read_coco(drawn.coco(tmp_path)).train
    perfect = [
        {"image_id": number, "bbox": [left, top, side, side], "category_id": label, "score": 0.9}
        for number, places in enumerate(drawn.PLACES, 1) for left, top, side, label in places
    ]  # fmt: skip
    names = ("background", "red", "blue")
    found = average_precision(scenes, names, perfect)
    assert found["ap"] == found["ap50"] == pytest.approx(1)
    half = average_precision(scenes, names, [one for one in perfect if one["category_id"] == 1])
    assert half["class_ap"] == {"red": pytest.approx(1), "blue": 0}
    assert average_precision(scenes, names, [])["ap"] == 0
    moved = [{**one, "bbox": [*one["bbox"][:3], 0.7 * one["bbox"][3]]} for one in perfect]
    found = average_precision(scenes, names, moved)
    assert (found["ap50"], found["ap75"]) == (pytest.approx(1), 0)  # each overlaps by 0.7
    crowd = [
        replace(scene, objects=tuple(replace(o, crowd=True) for o in scene.objects))
        for scene in scenes
    ]
    assert average_precision(crowd, names, perfect)["ap"] is None


def test_masks_are_measured_as_boxes_are(tmp_path: Path) -> None:
    """Findings with the right boxes and masks of another overlap: only the masks' measure falls."""
    scenes = read_coco(drawn.coco(tmp_path)).train
    names = ("background", "red", "blue")

    def findings(share: float) -> list[dict[str, Any]]:
        found = []
        for number, (scene, places) in enumerate(zip(scenes, drawn.PLACES, strict=True), 1):
            for one, (left, top, side, label) in zip(scene.objects, places, strict=True):
                mask = inside(scene, one)
                mask[top + round(share * side) :] = False
                found.append({"image_id": number, "bbox": [left, top, side, side], "score": 0.9,
                              "category_id": label, "segmentation": coded_mask(mask)})  # fmt: skip
        return found

    found = average_precision(scenes, names, findings(1), of="segm")
    assert found["ap"] == found["ap50"] == pytest.approx(1)
    found = average_precision(scenes, names, findings(0.7), of="segm")
    assert (found["ap50"], found["ap75"]) == (pytest.approx(1), 0)
    assert average_precision(scenes, names, findings(0.7))["ap"] == pytest.approx(1)
    assert average_precision(scenes, names, [], of="segm")["ap"] == 0
    crowd = [
        replace(scene, objects=tuple(replace(o, crowd=True) for o in scene.objects))
        for scene in scenes
    ]
    assert average_precision(crowd, names, findings(1), of="segm")["ap"] is None


def test_masks_are_laid_as_torchvision_lays_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time in pictures' own size, the same pixels as of the module's own answer."""
    torch.manual_seed(0)
    scenes = read_coco(drawn.coco(tmp_path)).train[:2]
    model = mask_rcnn(family(TINY), 3, min_size=64, max_size=128, **FEW).eval()
    seen: list[list[dict[str, Any]]] = []

    def see(_: Any, __: Any, findings: Any, of: str = "bbox") -> dict[str, Any]:
        seen.append(findings)
        return {"ap": 0.0, "class_ap": {}}

    monkeypatch.setattr(measure, "average_precision", see)
    head = Head("mask-rcnn", ("background", "red", "blue"), (0.5,) * 3, (0.5,) * 3, 64)
    found = detected(model, head, scenes, torch.device("cpu"))
    assert set(found) == {"ap", "class_ap", "mask_ap", "class_mask_ap"}
    with torch.no_grad():
        wanted = [
            mask[0].numpy() > 0.5
            for one in model([pixels_of(scene.path) / 255 for scene in scenes])
            for mask in one["masks"]
        ]
    assert len(wanted) == len(seen[1]) > 10
    assert any(mask.any() for mask in wanted)
    for one, mask in zip(seen[1], wanted, strict=True):
        assert one["segmentation"] == coded_mask(mask)


def test_overlaps_of_known_masks() -> None:
    confused = torch.tensor([[8, 2, 0], [0, 10, 0], [0, 0, 0]])
    found = overlaps(confused, ("a", "b", "c"))
    assert found["class_iou"] == {"a": 0.8, "b": pytest.approx(10 / 12), "c": None}
    assert found["miou"] == pytest.approx((0.8 + 10 / 12) / 2)
    assert found["pixel_accuracy"] == 0.9
