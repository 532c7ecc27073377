"""How well the latency search foresees what it has not measured.

    python benchmarks/truth/latency_model.py [--space mnasnet] [--budget 25ms] [--held-out 48]

The sample that a search measures before its first training, then networks drawn from the window
that it predicts: their measured latency against the prediction, by the size of the sample. Some
are measured twice: what a measurement differs from its repetition by is no fault of the model's.
For comparison, a rate per multiply-add.
"""

from __future__ import annotations

import argparse

import numpy as np
import optuna
from numpy.typing import NDArray
from tqdm import tqdm

from common.units import format_duration, parse_duration
from nas.candidates import Candidates
from nas.costing.latency import Latency, MeasuredLatency
from nas.costing.latency_model import LatencyModel
from nas.objective import Objective
from nas.space import Batch, space
from training.stopwatch import Stopwatch
from trials.latencies import reference_alone

SAMPLES = 16, 24, 32, 48
TWICE = 16
Floats = NDArray[np.float64]


def by_macs(known: MeasuredLatency, rows: Batch) -> Floats:
    """Seconds a multiply-add, the median of the sample's."""
    macs = [known.space.costs(batch).macs.astype(float) for batch in (known.sample[0], rows)]
    return float(np.median(known.sample[1] / macs[0])) * macs[1]


def row(name: str, missed: Floats) -> str:
    half, most = (100 * np.quantile(np.abs(missed), share) for share in (0.5, 0.9))
    return f"| {name} | {half:.1f} % | {most:.1f} % | {len(missed)} |"


def main() -> None:
    """Print one row for each predictor."""
    options = argparse.ArgumentParser()
    options.add_argument("--space", default="mnasnet")
    options.add_argument("--budget", default="25ms")
    options.add_argument("--held-out", type=int, default=48)
    options.add_argument("--storage", help="an Optuna URL: what is measured is kept there")
    args = options.parse_args()
    searched, objective = space(args.space), Objective(parse_duration(args.budget))
    clock = Stopwatch("cpu", batch=1, threads=1)
    study = optuna.create_study(study_name="latency", storage=args.storage, load_if_exists=True)
    how = Latency(clock, clock.measured_on, max(SAMPLES), watch=tqdm)
    known = how.costing(searched, objective, study, seed=0)
    rows = Candidates(searched, objective, known).draw(args.held_out, np.random.default_rng(1))
    specs = [searched.spec_of(one) for one in rows]
    found = [known.readings.read(spec) for spec in tqdm(specs)]
    measured = np.array([reading.median for reading in found])
    again = np.array([known.readings.read(spec, 2).median for spec in tqdm(specs[:TWICE])])
    base = reference_alone(study, searched.template.key)
    assert base is not None
    print(clock.measured_on)
    print(
        f"template {format_duration(base.low)} alone (median {format_duration(base.median)}); "
        f"measured {format_duration(measured.min())} to {format_duration(measured.max())}; "
        f"rounds {np.mean([reading.n for reading in found]):.0f}"
    )
    print("| held out | median error | 90 % | networks |\n|---|---|---|---|")
    for count in SAMPLES:
        model = LatencyModel(searched, known.sample[0][:count], known.sample[1][:count])
        print(row(f"the model, sample of {count}", model(rows) / measured - 1))
    print(row("a rate per multiply-add", by_macs(known, rows) / measured - 1))
    print(row("a repeated measurement", again / measured[:TWICE] - 1))
    inside = objective.admits(measured)
    print(f"inside the window when measured: {np.sum(inside)} of {len(measured)}")


if __name__ == "__main__":
    main()
