"""A trained network used as its users will: by its directory, and as an ONNX file."""

from __future__ import annotations

import contextlib
import csv
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.__main__ import main as models_command
from models.deploy.export import export
from models.deploy.preprocessing import RESIZE, Preprocessing, read_preprocessing
from models.families import family
from tests.support.command import assert_refused, in_process
from tests.support.docs import DOCS, example
from training.__main__ import main
from training.data import load
from training.pictures.images import decode
from training.predict import Predictor

SIDE = 24


def paint(folder: Path, count: int = 60) -> Path:
    """Classes told by brightness alone, far from what pixels in 0…1 or ImageNet's moments mean."""
    rng = np.random.default_rng(0)
    for level, name in enumerate(("10", "2", "été & co")):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = 100 + 18 * level + rng.integers(0, 5, (30, 40, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(pictures, the directory of a training on them)."""
    folder = tmp_path_factory.mktemp("own pictures")
    pictures, out = paint(folder / "data"), folder / "trained"
    main(["--spec", "mobilenet-v1-0.25-128", "--data", str(pictures), "--epochs", "30",
          "--batch", "16", "--resolution", str(SIDE), "--device", "cpu",
          "--out", str(out)])  # fmt: skip
    return pictures, out


def test_what_is_needed_is_beside_the_weights(trained: tuple[Path, Path]) -> None:
    pictures, out = trained
    found = json.loads((out / "preprocessing.json").read_text("utf-8"))
    data = load(pictures, size=SIDE, progress=False)
    assert found["classes"] == list(data.classes)
    assert found["mean"] == pytest.approx(data.mean.tolist())
    assert found["std"] == pytest.approx(data.std.tolist())
    assert (found["side"], found["channels"], found["resize"]) == (SIDE, "RGB", RESIZE)


def test_pictures_are_told_as_well_as_the_training_says(trained: tuple[Path, Path]) -> None:
    pictures, out = trained
    said = json.loads((out / "evaluation.json").read_text())
    assert said["accuracy"] == 1
    files = sorted(pictures.rglob("*.png"))
    for one in Predictor(out, "cpu")(files):
        assert one.best == Path(one.path).parent.name
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_the_command_line(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, out = trained
    (tmp_path / "broken.png").write_bytes(b"no picture")
    one = pictures / "2" / "0.png"
    done = in_process(main, ["predict", out, one, tmp_path / "broken.png", "--top", 2], capsys)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{one}: 2 ")
    assert "broken.png: not a picture" in done.stderr
    done = in_process(main, ["predict", out, pictures / "été & co", "--format", "csv",
                             "--out", tmp_path / "said.csv"], capsys)  # fmt: skip
    assert done.returncode == 0, done.stderr
    with (tmp_path / "said.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} == {"été & co"}
    assert set(rows[0]) == {"path", "class", "10", "2", "été & co"}
    done = in_process(main, ["predict", out, one, "--format", "json"], capsys)
    assert json.loads(done.stdout)[0]["class"] == "2"
    assert_refused(in_process(main, ["predict", out, tmp_path / "broken.png"], capsys), "none of 1")
    assert_refused(in_process(main, ["predict", pictures, one], capsys), "no preprocessing.json")


def test_a_second_training_does_not_overwrite_the_first(
    trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = trained
    before = (out / "weights.safetensors").read_bytes()
    again = in_process(main, ["--spec", out, "--data", "digits", "--out", out], capsys)
    assert_refused(again, "holds the weights of another training")
    assert (out / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize("inside", [True, False])
def test_an_onnx_file_says_the_same(
    trained: tuple[Path, Path], tmp_path: Path, inside: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Raw pixels in, with the preprocessing inside; without it, by what the metadata say."""
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    pictures, out = trained
    given = ["export", out, "--to", "onnx", "--out", tmp_path / "n.onnx"]
    done = in_process(models_command, given + ["--with-preprocessing"] * inside, capsys)
    assert done.returncode == 0, done.stderr
    session = runtime.InferenceSession(str(tmp_path / "n.onnx"))
    told = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    assert Preprocessing(**told) == read_preprocessing(out)
    predictor = Predictor(out, "cpu")
    data = load(pictures, size=SIDE, progress=False)
    wanted = predictor.probabilities(data.test.images)
    pixels = data.test.images.numpy()
    if inside:
        (found,) = session.run(["probabilities"], {"pixels": pixels})
    else:
        mean, std = (np.array(told[name], np.float32)[:, None, None] for name in ("mean", "std"))
        (logits,) = session.run(["logits"], {"images": (pixels / np.float32(255) - mean) / std})
        found = torch.from_numpy(logits).softmax(1).numpy()
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)
    assert (found.argmax(1) == data.test.labels.numpy()).all()


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a training on digits, of one channel."""
    out = tmp_path_factory.mktemp("grey") / "trained"
    main(["--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", "1", "--resolution",
          "16", "--device", "cpu", "--out", str(out)])  # fmt: skip
    return out


def test_a_grey_network(grey: Path, tmp_path: Path) -> None:
    data = load("digits", size=16, progress=False)
    assert read_preprocessing(grey).channels == "L"
    Image.fromarray(data.test.images[0, 0].numpy()).save(tmp_path / "digit.png")
    predictor = Predictor(grey, "cpu")
    (one,) = predictor([tmp_path / "digit.png"])
    wanted = predictor.probabilities(data.test.images[:1])[0].tolist()
    assert list(one.probabilities.values()) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"mean": [0.5]}, "3 numbers"), ({"std": [0, 1, 1]}, "above 0"), ({"side": 0}, "side"),
     ({"classes": []}, "classes"), ({"channels": "BGR"}, "RGB or L"),
     ({"resize": "crop"}, "resize"), ({"scales": {"whole": [3, 3]}}, "a scale"),
     ({"scales": {"odd": [0, 1]}}, "whole and real"), ({"scales": 3}, "scales"),
     ({"schema": 2}, "schema"), ({"more": 1}, "more")],
)  # fmt: skip
def test_what_no_training_wrote_is_refused(change: dict[str, object], message: str) -> None:
    good = {"classes": ["a"], "mean": [0.5] * 3, "std": [0.2] * 3, "side": 32}
    assert Preprocessing.from_json(json.dumps(good)).channels == "RGB"
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_json(json.dumps(good | change))


def test_deep_pictures_are_scaled_as_those_of_the_training(tmp_path: Path) -> None:
    """12-bit values in 16-bit files: each picture by the data set's scale, not by its own."""
    rng = np.random.default_rng(0)
    for level, name in ((40, "dark"), (3000, "bright")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(12):
            pixels = level + rng.integers(0, 1000 if name == "bright" else 5, (20, 20))
            file = tmp_path / "data" / name / f"{number}.png"
            Image.fromarray(pixels.astype(np.uint16)).save(file)
    out, dark = tmp_path / "trained", tmp_path / "data" / "dark" / "0.png"
    main(["--spec", "mobilenet-v1-0.25-128", "--data", str(tmp_path / "data"), "--epochs", "1",
          "--batch", "8", "--resolution", "16", "--device", "cpu", "--out", str(out)])  # fmt: skip
    assert read_preprocessing(out).scales == {"whole": (0, 4095)}
    data = load(tmp_path / "data", size=16, progress=False)
    predictor = Predictor(out, "cpu")
    decoded = decode(str(dark), 16, data.findings.scales)[0]
    assert decoded.max() <= 3  # of 255
    wanted = predictor.probabilities(torch.from_numpy(decoded[None].copy()))[0].tolist()
    (one,) = predictor([dark])
    assert list(one.probabilities.values()) == pytest.approx(wanted, abs=1e-6)


def test_a_class_whose_name_is_no_text(tmp_path: Path) -> None:
    """A folder's name may be any bytes; an ONNX file's metadata are UTF-8."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    spec = replace(family("mobilenet-v1-0.25-128"), classes=2, resolution=32)
    expects = Preprocessing(("caf\udce9", "thé"), (0.5,) * 3, (0.2,) * 3, 32)
    assert Preprocessing.from_json(expects.to_json()) == expects
    expects.write(tmp_path)
    assert read_preprocessing(tmp_path) == expects
    export(spec, tmp_path / "x.onnx", "onnx", expects=expects, inside=True)
    told = {p.key: json.loads(p.value) for p in onnx.load(tmp_path / "x.onnx").metadata_props}
    assert Preprocessing(**told) == expects


def test_the_documented_programs(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """docs/deploy.md: Python's names every picture, and ONNX Runtime's alone says the same."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    pictures, out = trained
    monkeypatch.chdir(tmp_path)
    files = [str(pictures / name / "3.png") for name in ("10", "2", "été & co")]
    exec(example("deploy.md", "In Python"), {"run": str(out), "pictures": files})
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" [")[0] for line in lines] == files
    models_command(["export", str(out), "--to", "onnx", "--with-preprocessing", "--out",
                    "network.onnx"])  # fmt: skip
    for one in Predictor(out, "cpu")(files):
        names: dict[str, Any] = {"file": one.path}
        exec(example("deploy.md", "ONNX"), names)
        assert names["best"] == one.best == Path(one.path).parent.name
        found = names["probabilities"][0]
        assert list(one.probabilities.values()) == pytest.approx(found, abs=1e-4)


def test_the_documented_program_on_grey(grey: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    models_command(["export", str(grey), "--to", "onnx", "--with-preprocessing", "--out",
                    str(tmp_path / "network.onnx")])  # fmt: skip
    data = load("digits", size=16, progress=False)
    Image.fromarray(data.test.images[0, 0].numpy()).save(tmp_path / "digit.png")
    names: dict[str, Any] = {"file": str(tmp_path / "digit.png")}
    with contextlib.chdir(tmp_path):
        exec(example("deploy.md", "ONNX"), names)
    (one,) = Predictor(grey, "cpu")([tmp_path / "digit.png"])
    assert list(one.probabilities.values()) == pytest.approx(names["probabilities"][0], abs=1e-4)


def test_every_key_is_documented() -> None:
    page = (DOCS / "deploy.md").read_text("utf-8")
    section = page.split("\n## `preprocessing.json`\n")[1].split("\n## ")[0]
    for item in fields(Preprocessing):
        assert f"`{item.name}`" in section
    assert f"`{RESIZE}`" in section


def test_a_folder_is_searched_as_those_of_a_data_set(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = trained
    folder = tmp_path / "new"
    for name in ("b10.png", "b9.png", "deeper/c.png", "@eaDir/thumb.png", ".hidden.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 30), (100, 100, 100)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    done = in_process(main, ["predict", out, folder, "--top", 1], capsys)
    assert done.returncode == 0, done.stderr
    names = [line.partition(": ")[0] for line in done.stdout.splitlines()]
    assert names == [str(folder / name) for name in ("b9.png", "b10.png", "deeper/c.png")]
    (tmp_path / "empty").mkdir()
    empty = in_process(main, ["predict", out, tmp_path / "empty"], capsys)
    assert_refused(empty, "no pictures in the folder")


def test_an_onnx_file_that_differs_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    honest = runtime.InferenceSession.run
    monkeypatch.setattr(runtime.InferenceSession, "run", lambda *given: [1.1 * honest(*given)[0]])
    (tmp_path / "x.onnx").write_text("what was there before")
    spec = replace(family("mobilenet-v1-0.25-128"), classes=2, resolution=32)
    with pytest.raises(ValueError, match=r"off the network by 0\.1"):
        export(spec, tmp_path / "x.onnx", "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]
    assert (tmp_path / "x.onnx").read_text() == "what was there before"
