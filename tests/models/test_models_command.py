"""``python -m models``: what it prints, writes and returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.command import run
from models.__main__ import main
from models.choose import choose
from models.cost import cost
from models.describe import stages
from models.families import family, names
from models.spec import ArchSpec, StageSpec, Stem


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert run(main, argv) == 0
    return capsys.readouterr().out


def test_list_names_every_family(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "list").splitlines()
    listed = [line.split()[0] for line in lines[1 : len(names()) + 1]]
    assert listed == names()
    assert "efficientnet-b0" in listed
    assert any(line.split() == ["efficientnet-b0", "224", "386M", "5.29M", "402M"]
               for line in lines)  # fmt: skip


# arXiv:1905.11946, Table 1: resolution of the input, layers; channels but for the classifier.
TABLE_1 = [
    (224, 32, 1), (112, 16, 1), (112, 24, 2), (56, 40, 2), (28, 80, 3), (14, 112, 3), (14, 192, 4),
    (7, 320, 1), (7, 1000, 1),
]  # fmt: skip


def test_show_is_the_papers_table(capsys: pytest.CaptureFixture[str]) -> None:
    spec = family("efficientnet-b0")
    rows = stages(spec)
    assert [(row.resolution, row.channels, row.layers) for row in rows] == TABLE_1
    assert sum(row.macs for row in rows) == cost(spec).macs
    assert sum(row.params for row in rows) == cost(spec).params
    text = printed(capsys, "show", "efficientnet-b0")
    assert "MBConv6, k5×5, SE 0.25, stride 2" in text
    assert "112×112" in text
    assert text.splitlines()[-1].split() == ["total", "18", "386M", "5.29M"]


@pytest.mark.parametrize("name", names())
def test_every_family_can_be_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert name in printed(capsys, "show", name)


def test_cost(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "cost", "efficientnet-b0")
    for number in ("385,814,752", "5,288,548", "401,659,392"):
        assert number in text
    text = printed(capsys, "cost", "mobilenet-v1", "--resolution", "192")
    assert "418,121,728" in text


def test_export_json_is_a_baseline_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "spec.json"
    text = printed(capsys, "export", "rexnet-1.3", "--to", "json", "--out", str(out))
    assert text.strip() == str(out)
    assert choose(str(out)) == family("rexnet-1.3")
    assert printed(capsys, "cost", str(out)).startswith("rexnet-1.3 at 224 pixels")
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "baseline.json").write_text(out.read_text())
    assert "rexnet-1.3" in printed(capsys, "show", str(run_dir))


def test_export_keeps_the_weights_given(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from models.build import build

    spec = ArchSpec("tiny", Stem(8), (StageSpec("mbconv", 1, 8),), classes=4, resolution=16)
    (tmp_path / "tiny.json").write_text(spec.to_json())
    module = build(spec).eval()
    save_file(dict(module.state_dict()), tmp_path / "w.safetensors")
    out = tmp_path / "m.pt2"
    main(["export", str(tmp_path / "tiny.json"), "--to", "pt2", "--out", str(out),
          "--weights", str(tmp_path / "w.safetensors")])  # fmt: skip
    x = torch.randn(1, 3, 16, 16)
    assert torch.allclose(torch.export.load(out).module()(x), module(x), atol=1e-5)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["cost", "eficientnet-b0"], "did you mean"),
        (["cost", "convnext-t", "--resolution", "3"], "raise the resolution"),
        (["show", "."], "baseline.json"),
        (["export", "rexnet-0.9", "--to", "pt2", "--out", "x", "--weights", "pretrained"],
         "no published weights"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_2(
    argv: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(main, argv) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argv", [[], ["nope"], ["cost"], ["cost", "x", "--resolution", "0"]])
def test_bad_usage_exits_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
