"""The options that every search shares, without what trains: --help need not wait for that."""

from __future__ import annotations

import argparse
import os

from common.command import add_quiet, count, count_from_zero, path, place, storage_url
from common.config import add_config
from training.given import add_pictures
from training.recipe.variation import add_variation

SCRATCH, INHERIT, OWN = "scratch", "inherit", "own"
LOGS = ("tensorboard", "mlflow")  # as training.options.logs has them; a test compares
ZERO_COST = ("naswot", "snip", "gradient-norm", "zico", "synflow")  # scores (``training.proxies``)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the pictures, the proxy training, its machines and the run directory."""
    data = parser.add_argument_group("pictures")
    add_pictures(data)
    proxy = parser.add_argument_group(
        "proxy training", "each candidate is trained shortly as its small twin; see docs/proxy.md"
    )
    proxy.add_argument("--proxy-resolution", type=count, help="pixels; default: by the pictures")
    proxy.add_argument("--proxy-images", type=count, help="training images; default: by the device")
    proxy.add_argument(
        "--proxy-epochs",
        type=count_from_zero,
        help="passes; default: by the device, or 2 of inherited weights; 0: these as they are",
    )
    add_variation(parser)
    add_init(parser.add_argument_group("weights to start from"))
    add_machines(parser.add_argument_group("machines"))
    run = parser.add_argument_group("run")
    run.add_argument(
        "--minutes",
        type=float,
        help="begin no training after this long; of a network search finals and comparisons have "
        "their share of it",
    )
    run.add_argument("--seed", type=int, default=0, help="of the whole search")
    run.add_argument("--out", type=path, help="run directory; default: a new one below runs/")
    run.add_argument("--resume", action="store_true", help="go on with the run in --out")
    run.add_argument(
        "--storage",
        type=storage_url,
        help="an Optuna storage URL in place of the run's journal file",
    )
    run.add_argument(
        "--join", action="store_true", help="with --storage: work on a study others work on too"
    )
    add_log(run)
    add_quiet(run)
    add_config(parser)


def add_log(group: argparse._ActionsContainer) -> None:
    """--log, which ``training.options.logs`` reads."""
    group.add_argument(
        "--log",
        type=log_target,
        action="append",
        default=[],
        metavar="tensorboard:DIR|mlflow:URI",
        help="write each training there too, by the library of the extra tensorboard or mlflow, "
        "such as mlflow:sqlite:///mlflow.db; again for others",
    )


def log_target(text: str) -> str:
    """``tensorboard:DIR`` or ``mlflow:URI``, the place meaning the same from every directory; an
    argparse type."""
    kind, _, where = text.partition(":")
    if kind not in LOGS or not where:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is no tensorboard:DIR or mlflow:URI")
    if kind == "tensorboard":
        return f"{kind}:{path(where).absolute()}"
    url = storage_url(where)
    start, slashes, file = url.partition("sqlite:///")
    if slashes and not start and file:
        url = f"{slashes}{os.path.abspath(file)}"
    return f"{kind}:{url}"


def add_output(parser: argparse.ArgumentParser) -> None:
    """--json and --dry-run."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print the answer as JSON, for scripts")
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="train nothing: say what would be trained, and the minutes and memory that it takes, "
        "by a measured warm-up",
    )


def add_machines(group: argparse._ArgumentGroup) -> None:
    """--device, --workers, --executor and what belongs to them."""
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    group.add_argument(
        "--workers",
        type=count,
        help="trainings at once; default: one a GPU, or one a core on a "
        "CPU; with Ray, what the cluster has room for",
    )
    group.add_argument(
        "--trial-timeout", type=float, metavar="SECONDS", help="kill a training after this long"
    )
    group.add_argument(
        "--executor",
        default="processes",
        choices=("processes", "ray"),
        help="processes of this machine, or a Ray cluster (extra ray); pictures are decoded here "
        "and sent to each of its nodes once",
    )
    group.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="of the cluster, auto on one of its nodes; default: Ray is started on this machine",
    )
    group.add_argument(
        "--gpus-per-trial",
        type=float,
        metavar="SHARE",
        help="train on the cluster's GPUs: how "
        "many, or which part of one, a training takes; default: 1 if --device is cuda",
    )


def add_init(group: argparse._ActionsContainer) -> None:
    """--init and --parent-epochs."""
    group.add_argument(
        "--init",
        type=place,
        metavar=f"{SCRATCH}|{OWN}|{INHERIT}:PARENT",
        help="what candidates start from: random weights; those that they inherit from a network "
        "of the search's own, which is trained on the pictures first; or from a family with "
        "published weights, a run or a file; default: inherit for pictures in colour where "
        "weights are at hand, else scratch",
    )
    group.add_argument(
        "--parent-epochs",
        type=count,
        help="passes of the parent over the pictures before anything is inherited",
    )
