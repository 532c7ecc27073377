"""Measure everything on a GPU, the most valuable first: docs/gpu.md says what and why.

    python -m benchmarks.gpu --minutes 8 --out DIR

DIR gets summary.md and results.json, rewritten all along, log.txt, and files that steps keep. Each
step runs in a process of its own and is killed when it overruns its share of the minutes.
``--rehearse`` goes the same way on the CPU, with next to no work, on made-up pictures.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.page import SUMMARY, blank, read, write
from benchmarks.gpu.plan import STEPS, allowances
from common.command import parser
from common.command import run as run_command

_GRACE = 8.0  # seconds that a step may take to end by itself
_LAST = 5.0  # seconds kept for the end of it all
_FEWEST = 5.0  # seconds with which a step is begun


def main(argv: Sequence[str] | None = None) -> None:
    """Run the steps; print the summary."""
    made = parser("benchmarks.gpu", __doc__ or "")
    made.add_argument("--minutes", type=float, default=8.0, help="for everything")
    made.add_argument("--out", type=Path, required=True, help="directory of the results")
    made.add_argument(
        "--bundle",
        type=Path,
        default=Path("build/gpu-bundle"),
        help="what make gpu-bundle has prepared",
    )
    made.add_argument("--steps", default=",".join(STEPS), help="some of them; prepare always runs")
    made.add_argument("--rehearse", action="store_true", help="on the CPU, with next to no work")
    args = made.parse_args(argv)
    if not args.minutes > 0:
        raise ValueError(f"--minutes {args.minutes:g} must be above 0")
    asked = args.steps.split(",")
    if unknown := sorted(set(asked) - set(STEPS)):
        raise ValueError(f"--steps has {unknown[0]!r}: known are {', '.join(STEPS)}")
    if not args.rehearse and not args.bundle.is_dir():
        raise ValueError(f"no folder {args.bundle}: run make gpu-bundle first, or add --rehearse")
    names = [name for name in STEPS if name in {"prepare", *asked}]
    args.out.mkdir(parents=True, exist_ok=True)
    write(args.out, {})
    work = Path(tempfile.mkdtemp(prefix="evenscale-gpu-"))
    common = ["--out", args.out, "--work", work, "--bundle", args.bundle]
    common += ["--rehearse"] * args.rehearse
    try:
        _run_all(names, 60 * args.minutes - _LAST, list(map(str, common)), args.out, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print((args.out / SUMMARY).read_text(), flush=True)


def _run_all(names: list[str], seconds: float, common: list[str], out: Path, work: Path) -> None:
    taken: dict[str, float] = {}
    with (out / "log.txt").open("ab", buffering=0) as log:
        for name, allowed in zip(names, allowances(names, seconds, taken), strict=True):
            start = time.monotonic()
            if allowed < _FEWEST:
                _note(out, name, f"skipped: {allowed:.0f} s were left for it", allowed)
            else:
                print(f"{name}: {allowed:.0f} s", flush=True)
                log.write(f"\n=== {name}: {allowed:.0f} s\n".encode())
                arguments = [name, "--seconds", f"{allowed:.1f}", *common]
                why = _run(arguments, allowed + _GRACE, log.fileno(), work)
                if why is not None:
                    _note(out, name, why, allowed)
            taken[name] = time.monotonic() - start
            print(f"{name}: {read(out)[name]['status']} after {taken[name]:.0f} s", flush=True)


def _run(arguments: list[str], seconds: float, log: int, work: Path) -> str | None:
    """Run a step; what became of it where it did not come to its own end."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "benchmarks.gpu.step", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        env={**os.environ, "EVENSCALE_CACHE": str(work / "cache")},
    )
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return f"killed after {seconds:.0f} s"
    finally:
        # Whatever it has started, also where this process is interrupted.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return None if code == 0 else f"died with exit code {code}"


def _note(out: Path, name: str, status: str, allowed: float) -> None:
    pages = read(out)
    page = {**blank(status, allowed), **pages.get(name, {}), "status": status}
    write(out, {**pages, name: page})


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that steps are ended too
    sys.exit(run_command(main))
