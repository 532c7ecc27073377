"""From a search to a trained member of its family, by the commands alone, each fed by the last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.build import build
from models.choose import find
from models.cost import cost
from models.pretrained import at_hand
from models.spec import ArchSpec
from tests.support.command import command
from training.transfer.sources import open_parent, read_parent
from trials.store.study import read_run

QUICK = ("--data", "digits", "--proxy-images", 64, "--proxy-epochs", 1, "--device", "cpu")


def said(*arguments: object) -> str:
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_search_scale_export_train_report(tmp_path: Path) -> None:
    nas, scaling, trained = (tmp_path / name for name in ("nas", "scaling", "trained"))
    said("nas.search", *QUICK, "--resolution", 64, "--budget", "40M", "--trials", 3, "--out", nas)
    baseline = find(str(nas))
    assert (baseline.scaled, str(nas / "baseline.json") in baseline.origin) == (False, True)

    steps = ("--step", 0.5, "--trials", 5, "--depth-rounding", "nearest")
    line = said("scaling_search", "--baseline", nas, *QUICK, *steps, "--out", scaling)
    assert str(nas / "baseline.json") in line
    member = scaling / "family" / "phi-1.json"
    found = find(str(member))
    assert found.scaled
    assert "φ = 1" in found.origin

    facts = json.loads(member.read_text())
    assert f"{facts['cost']['macs']:,}" in said("models", "cost", member)
    assert found.spec.key in said("models", "show", member)
    assert find(str(scaling)).spec.key == json.loads(
        (scaling / "coefficients.json").read_text()
    )["point"]["key"]  # fmt: skip
    said("models", "export", member, "--to", "json", "--out", tmp_path / "member.json")
    assert ArchSpec.from_json((tmp_path / "member.json").read_text()) == found.spec

    again = tmp_path / "further"
    line = said("scaling_search", "family", "--baseline", member, "--phi", "1", "--out", again)
    assert "a member at φ = 1 of a family" in line
    assert cost(find(str(again / "phi-1.json")).spec).macs > 1.5 * cost(found.spec).macs

    train = ("--data", "digits", "--epochs", 1, "--resolution", 16, "--device", "cpu")
    said("training", "--spec", member, *train, "--out", trained)
    assert find(str(trained)).spec.stages == found.spec.stages
    for run in (nas, scaling):
        assert str(run / "report.html") in said("reports", run)


@pytest.mark.slow
def test_weights_go_from_search_to_family(tmp_path: Path) -> None:
    """A trained network is the parent of a search, whose answer is scaled, trained and grown."""
    parent, nas, scaling, further = (tmp_path / name for name in ("p", "nas", "scaling", "more"))
    digits = ("--data", "digits", "--device", "cpu")
    small = ("--resolution", 64, "--budget", "16M")
    said("training", "--spec", "mnasnet-b1", *digits, "--epochs", 1, "--resolution", 17,
         "--out", parent)  # fmt: skip
    line = said("nas.search", *digits, *small, "--low", 0.3, "--trials", 4, "--proxy-images", 200,
                "--proxy-resolution", 33, "--init", f"inherit:{parent}", "--parent-epochs", 1,
                "--workers", 1, "--out", nas)  # fmt: skip
    assert "trained further 2 times" in line
    assert (nas / "baseline.safetensors").is_file()
    page = (nas / "report.html").read_text()
    assert "inherited" in page

    fine = ("--proxy-images", 100, "--proxy-epochs", 1, "--parent-epochs", 1, "--workers", 1)
    line = said("scaling_search", "--baseline", nas, *digits, *fine, "--step", 0.5, "--trials", 3,
                "--depth-rounding", "nearest", "--out", scaling)  # fmt: skip
    settings = json.loads((scaling / "run.json").read_text())["settings"]
    assert settings["init"] is None  # grey pictures start from scratch unless told otherwise

    line = said("training", "--spec", nas, *digits, "--epochs", 1, "--resolution", 33,
                "--out", further)  # fmt: skip
    assert "weights: " in line
    assert "baseline.safetensors" in line
    said("scaling_search", "family", "--baseline", nas, "--phi", "0,1", "--weights", nas,
         "--out", tmp_path / "family")  # fmt: skip
    grown = open_parent(str(tmp_path / "family" / "phi-1.safetensors"))
    assert grown.spec.key != open_parent(str(nas)).spec.key
    assert build(grown.spec).load_state_dict(dict(grown.weights))


@pytest.mark.slow
@pytest.mark.skipif(not at_hand("efficientnet-lite0"), reason="needs the extra pretrained")
def test_finalists_are_judged_by_pictures_that_nobody_has_seen(tmp_path: Path) -> None:
    """Digits have 359 validation pictures: the last round has as many others, and a parent of its
    own; gone on with, nothing is trained again."""
    nas = tmp_path / "nas"
    lines = said("nas.search", "--data", "digits", "--device", "cpu", "--budget", "12M",
                 "--resolution", 33, "--low", 0.3, "--trials", 3, "--proxy-images", 100,
                 "--proxy-epochs", 1, "--init", "inherit:efficientnet-lite0",
                 "--parent-epochs", 1, "--workers", 1, "--out", nas)  # fmt: skip
    assert "round 2, judged by other pictures" in lines
    parents = [read_parent(nas / name / "parent.safetensors") for name in ("", "final-2")]
    assert parents[0].source == parents[1].source
    assert parents[0].digest != parents[1].digest
    told = [
        {record.evaluation.details["data"] for record in finals if record.evaluation}
        for finals in (
            read_run(nas / f"final-{step}", from_json=ArchSpec.from_json).finished()
            for step in (1, 2)
        )
    ]
    assert [len(one) for one in told] == [1, 1]
    assert told[0] != told[1]
    before = (nas / "baseline.json").read_text()
    again = said("nas.search", "--resume", "--out", nas)
    assert (nas / "baseline.json").read_text() == before
    assert "trained on the pictures first" not in again
