"""Prepare all that a measurement on a GPU without a network needs: ``make gpu-bundle``.

    python -m benchmarks.gpu.bundle --shared ../shared/data [--out build/gpu-bundle] [--python 3.12]

Wheels of the packages in wheels.txt, for that Python on x86-64 Linux; CIFAR-10 as a compressed
folder of pictures (``cifar10.tar.xz``) and the two tables of known accuracies, copied. Prints what
it came to and the command to run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.steps.prepare import ACCEL, CIFAR, MACRO
from common.command import parser, path
from common.command import run as run_command

_WHEELS = Path(__file__).with_name("wheels.txt")
_SOURCE_ONLY = ("fvcore", "iopath")  # pure Python, published without wheels
_PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
)
COMMAND = (
    "python3 -m pip install -q --no-index --no-deps --no-cache-dir --upgrade --target /tmp/site "
    "{out}/wheels/*.whl && PYTHONPATH=/tmp/site:. python3 -m benchmarks.gpu --minutes 8 "
    "--bundle {out} --out results/gpu"
)


def main(argv: Sequence[str] | None = None) -> None:
    """Fill the folder."""
    made = parser("benchmarks.gpu.bundle", __doc__ or "")
    made.add_argument(
        "--shared",
        type=path,
        default=Path("../shared/data"),
        help=f"the folder that holds {CIFAR}, {MACRO} and {ACCEL}",
    )
    made.add_argument("--out", type=path, default=Path("build/gpu-bundle"))
    made.add_argument("--python", default="3.12", help="of the machine with the GPU")
    args = made.parse_args(argv)
    for name in (CIFAR, MACRO, ACCEL):
        if not (args.shared / name).is_file():
            raise ValueError(f"{args.shared / name} does not exist: give --shared")
    wheels = args.out / "wheels"
    shutil.rmtree(args.out, ignore_errors=True)
    wheels.mkdir(parents=True)
    _download(wheels, args.python)
    for name in (CIFAR, MACRO, ACCEL):
        shutil.copyfile(args.shared / name, args.out / name)
    size = sum(file.stat().st_size for file in args.out.rglob("*") if file.is_file())
    print(f"{args.out}: {size / 2**20:.1f} MiB, {len(list(wheels.iterdir()))} wheels")
    print(COMMAND.format(out=args.out))


def _download(wheels: Path, python: str) -> None:
    platforms = [word for one in _PLATFORMS for word in ("--platform", one)]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheels), *_SOURCE_ONLY],
        check=True,
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary=:all:",
            "--python-version",
            python,
            "--implementation",
            "cp",
            *platforms,
            "-d",
            str(wheels),
            "-r",
            str(_WHEELS),
        ],
        check=True,
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
