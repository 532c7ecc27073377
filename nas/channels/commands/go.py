"""The run of ``python -m nas.channels``: one search for each setting of the limits."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from common.command import when_stopped
from common.units import format_size, parse_size
from models.choose import choose
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.channels.compare import CONVENTIONS, LINEAR, STAGEWISE, train_conventions
from nas.channels.conventions import largest, linear, stagewise
from nas.channels.space import ChannelSpace, channel_space
from nas.costing import LATENCY
from nas.objective import Objective
from nas.search import search
from nas.search.commands.costs import clocked, for_pictures, limits_of
from trials.caution import cautions, closing
from trials.progress import Progress
from trials.record import Evaluation
from trials.store.header import FILE_NAME
from trials.store.recalled import kept

if TYPE_CHECKING:
    from training.data import Data
    from training.evaluator import Evaluator


class Setting(NamedTuple):
    """The greatest FLOPs and parameters of one search."""

    flops: float
    params: float

    @property
    def name(self) -> str:
        return f"{format_size(self.flops)}-{format_size(self.params)}"


def go(args: argparse.Namespace) -> None:
    """Search every setting, train the conventions, draw the pages, print what was found."""
    from reports.channels import report, told
    from training.given import next_command, pictures_name, settle_pictures
    from training.options import facts, prepare, run_directory

    settle_pictures(args)
    settings, space = _settings(args), _space(args)
    if args.init != "scratch":
        raise ValueError(
            f"--init {args.init!r:.60}: channels are compared by trainings of their own"
        )
    name = "+".join(setting.name for setting in settings)
    whole = run_directory(args, f"channels-{name}-{pictures_name(args.data)}")
    directories = [whole / setting.name for setting in settings]
    begun = _begun(directories)
    evaluator, data = prepare(
        args,
        reference=space.template.resolution,
        largest=lambda data: _largest(args, for_pictures(data, space), settings),
        run_dir=begun,
        study=_study(begun),
    )
    space = for_pictures(data, space)
    print(f"run directory: {whole}", file=sys.stderr)
    with when_stopped(f"stopped; finished trainings are kept in {whole}: go on with --resume"):
        trained = [
            one
            for setting, directory in zip(settings, directories, strict=True)
            for one in _search(args, space, setting, directory, (evaluator, data))
        ]
    said, page = told(directories, args.storage), report(whole, args.storage)
    further = next_command(
        "scaling_search", "--target-flops", "2x", "--baseline", directories[-1], data=args.data
    )
    answer = f"{said}\nreport:   {page}"
    print(closing(cautions(facts(args.data, data, evaluator), trained), answer, further))


def _settings(args: argparse.Namespace) -> list[Setting]:
    """One for each limit of FLOPs. Raises ValueError where the limits of parameters are neither
    one nor as many, or two settings would have one name."""
    flops, params = ([parse_size(text) for text in given] for given in (args.flops, args.params))
    if len(params) not in (1, len(flops)):
        raise ValueError(
            f"{len(flops)} limits of FLOPs and {len(params)} of parameters: give as many, or one"
        )
    params *= len(flops) if len(params) == 1 else 1
    found = [Setting(*pair) for pair in zip(flops, params, strict=True)]
    names = [setting.name for setting in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f"two settings of --flops and --params are {twice[0]}, to three digits: leave one out"
        )
    return found


def _space(args: argparse.Namespace) -> ChannelSpace:
    """At the pixels that its FLOPs are counted at."""
    network = choose(args.around)
    if args.resolution:
        network = replace(network, resolution=args.resolution)
    return channel_space(network, args.depth)


def _begun(directories: Sequence[Path]) -> Path:
    """The first setting's directory that holds a run, whose recipe is that of all; else the first:
    a study of others may be known by its name."""
    return next((one for one in directories if (one / FILE_NAME).exists()), directories[0])


def _study(directory: Path) -> str:
    """The name of a part's study, by the run that it is a part of, in a storage of several runs."""
    return f"{directory.resolve().parent.name}/{directory.name}"


def _objective(args: argparse.Namespace, setting: Setting) -> Objective:
    """Accuracy alone is maximised: limits are limits."""
    limits = {"params": setting.params} | limits_of(args)
    return Objective(setting.flops, w=0.0, low=args.low, limits=limits)


def _largest(
    args: argparse.Namespace, space: ChannelSpace, settings: Sequence[Setting]
) -> Iterator[ArchSpec] | None:
    """As ``nas.search`` seeks them, in the setting of the most FLOPs."""
    aim = _objective(args, max(settings))
    if LATENCY in (aim.limits or {}):
        return None
    inside = Candidates(space, aim)
    return (inside.greatest(field) for field in ("params", "activations"))


def _search(
    args: argparse.Namespace,
    space: ChannelSpace,
    setting: Setting,
    directory: Path,
    trained_by: tuple[Evaluator, Data],
) -> list[Evaluation]:
    """One setting's search, its page, and the trainings of both conventions; what the search's
    trainings came to."""
    from reports.nas import report
    from training.options import executor, facts
    from training.options.logs import choices, logged

    # What cannot be made is told before anything is trained.
    networks = _conventions(args, space, setting) if args.compare > 0 else {}
    evaluator, data = trained_by
    limits = [("params", setting.params), *((clocked(args, kind), most) for kind, most in
              limits_of(args).items())]  # fmt: skip
    repeated = replace(evaluator, repeats=args.repeats)
    found = search(
        space,
        repeated,
        setting.flops,
        args.trials,
        args.sampler,
        seed=args.seed,
        run_dir=directory,
        resume=args.resume and (directory / FILE_NAME).exists(),
        w=0.0,
        low=args.low,
        limits=limits,
        stop_early=args.stop_early,
        executor=lambda: executor(args, repeated),
        storage=args.storage,
        join=args.join,
        study=_study(directory),
        minutes=args.minutes,
        settings=facts(args.data, data, evaluator)
        | {"repeats": args.repeats, "options": kept(args)},
        progress=logged(args.log, Progress, choices),
    )
    report(directory, args.storage)
    if networks:
        print(f"{args.compare} trainings of either convention", file=sys.stderr)
        runner = functools.partial(executor, args, evaluator)
        place, key = directory / CONVENTIONS, evaluator.recipe.key
        train_conventions(
            networks,
            args.compare,
            place,
            args.seed,
            key,
            runner,
            storage=args.storage,
            join=args.join,
            study=f"{_study(directory)}/{CONVENTIONS}",
        )
    return found.evaluations


def _conventions(
    args: argparse.Namespace, space: ChannelSpace, setting: Setting
) -> dict[str, ArchSpec]:
    """The largest network of either convention that obeys the closed-form limits."""
    aim = _objective(args, setting)
    known = {kind: most for kind, most in (aim.limits or {}).items() if kind != LATENCY}
    inside = Candidates(space, replace(aim, limits=known))
    return {
        name: replace(space.spec(largest(convention, inside)), name=name)
        for name, convention in ((LINEAR, linear), (STAGEWISE, stagewise))
    }
